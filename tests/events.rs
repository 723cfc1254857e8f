//! Events end to end on the local AWS. They pass the deployed table's stream, its
//! filtered event source mapping, the notifier, and the bus with a queue as target.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::event_listener::{Listener, is_batch_event};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

const DOCUMENT: &str = "A lease of a flat for 900 euros.";

async fn start_listener(stack: &Stack, batches: &[&String]) -> Listener {
    let pattern = json!({"source": ["docket"], "detail": {"batch_id": batches}});
    Listener::on(&stack.sdk, &stack.outputs["EventBusName"], pattern).await
}

fn submit(stack: &Stack, batch: &str, ids: &[String]) {
    let jobs: Vec<Value> = ids.iter().map(|id| json!({"job_id": id, "document": DOCUMENT})).collect();
    let (status, answer) = stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    assert!((200..300).contains(&status), "{status}: {answer}");
}

/// The batches whose end was published.
fn finished_batches(events: &[Value]) -> BTreeSet<&str> {
    let batches = events.iter().filter(|event| is_batch_event(event));
    batches.map(|event| event["detail"]["batch_id"].as_str().expect("a batch id")).collect()
}

fn parse_time(text: &Value) -> Timestamp {
    text.as_str().and_then(|text| text.parse().ok()).expect("a time")
}

/// The events of each job, by its id.
fn job_events(events: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut jobs: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in events.iter().filter(|event| !is_batch_event(event)) {
        jobs.entry(event["detail"]["job_id"].as_str().expect("a job id")).or_default().push(&event["detail"]);
    }
    jobs
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn finished_jobs_and_finished_batches_are_published() {
    let stack = Stack::new().await;
    let names = ["first", "second"].map(unique);
    let waiting = unique("waiting");
    let listener = start_listener(&stack, &[&names[0], &names[1], &waiting]).await;
    let ids = names.clone().map(|batch| (0..100).map(|n| format!("{batch}-{n}")).collect::<Vec<String>>());
    // Long enough for all jobs to be stored before the first one ends.
    let faults = json!([{"kind": "guardrail", "job_id": ids[0][3]}]);
    stand_in::put(&stack.outputs["ModelEndpointUrl"], json!({"latency_ms": 5_000, "faults": faults}));
    // The document of this job is never uploaded, so neither the job nor its batch ends.
    let upload = json!({"filename": "later.txt", "size": 10, "batch_id": waiting});
    assert_eq!(stack.ask("POST", "/uploads", upload).0, 201);
    for (batch, ids) in names.iter().zip(&ids) {
        submit(&stack, batch, ids);
    }
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{}", ids[1][5]), Value::Null).0, 200);
    for batch in &names {
        stack.wait_for_batch_end(batch, 100).await;
    }
    let mut events = Vec::new();
    eventually("the events of both batches", async || {
        events.extend(listener.received().await);
        (finished_batches(&events).len() == 2).then_some(())
    })
    .await;
    // Events that must not be published would arrive within this time.
    tokio::time::sleep(Duration::from_secs(5)).await;
    events.extend(listener.received().await);

    let jobs = job_events(&events);
    assert_eq!(jobs.keys().copied().collect::<BTreeSet<_>>(), ids.iter().flatten().map(String::as_str).collect());
    for (id, details) in &jobs {
        let expected = match () {
            () if *id == ids[0][3] => "failed",
            () if *id == ids[1][5] => "cancelled",
            () => "complete",
        };
        for detail in details {
            assert_eq!(detail["status"], expected, "{id}");
            assert_eq!(detail["usage"].is_null(), expected != "complete");
        }
        assert_eq!(stack.status(id).await, expected);
    }
    assert_eq!(finished_batches(&events), names.iter().map(String::as_str).collect());
    for event in events.iter().filter(|event| is_batch_event(event)) {
        let detail = &event["detail"];
        let batch_jobs = jobs.values().flatten().filter(|job| job["batch_id"] == detail["batch_id"]);
        let last = batch_jobs.map(|job| parse_time(&job["completed_at"])).max();
        assert_eq!(Some(parse_time(&detail["completed_at"])), last, "the batch ends with its last job");
        let (failed, cancelled) = if detail["batch_id"] == *names[0] { (1, 0) } else { (0, 1) };
        let counts = json!({
            "total": 100, "pending": 0, "processing": 0, "complete": 99, "failed": failed, "cancelled": cancelled,
        });
        assert_eq!(detail["request_counts"], counts);
    }
    println!("200 jobs and 2 batches: {} events", events.len());
}

/// Sets the bus of the deployed notifier.
fn point_notifier_at(stack: &Stack, bus: &str) {
    let function = &stack.outputs["NotifierFunctionName"];
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let mut variables = stack.aws("lambda", "GET", &path, Value::Null, &[])["Environment"]["Variables"].take();
    variables["EVENT_BUS_NAME"] = json!(bus);
    let headers = [("content-type", "application/json")];
    stack.aws("lambda", "PUT", &path, json!({"Environment": {"Variables": variables}}), &headers);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn events_without_a_bus_are_published_when_the_bus_is_back() {
    let stack = Stack::new().await;
    let batch = unique("no-bus");
    let listener = start_listener(&stack, &[&batch]).await;
    // EventBridge refuses every entry for a bus of another account.
    point_notifier_at(&stack, "arn:aws:events:us-east-1:111111111111:event-bus/none");
    let ids: Vec<String> = (0..30).map(|n| format!("{batch}-{n}")).collect();
    submit(&stack, &batch, &ids);
    stack.wait_for_batch_end(&batch, 30).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(listener.received().await, Vec::<Value>::new());
    point_notifier_at(&stack, &stack.outputs["EventBusName"]);
    let mut events = Vec::new();
    eventually("the event of the batch", async || {
        events.extend(listener.received().await);
        (finished_batches(&events).len() == 1).then_some(())
    })
    .await;
    assert_eq!(job_events(&events).into_keys().collect::<BTreeSet<_>>(), ids.iter().map(String::as_str).collect());
}
