//! Jobs that run as long invocations, on the deployed stack: sent to the API and
//! to the queue, alone and in batches. The stack under test allows one model for
//! them (tools/test.py).

use std::collections::BTreeSet;

use docket::clock::now;
use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

const MODEL: &str = "amazon.nova-reel-v1:1";

fn behave(stack: &Stack, behaviour: Value) {
    stand_in::put(&stack.outputs["ModelEndpointUrl"], behaviour);
}

fn async_invoke(text: &str) -> Value {
    json!({"model_id": MODEL, "model_input": {"taskType": "TEXT_VIDEO", "text": text}, "tags": {"team": "film"}})
}

fn job(job_id: &str) -> Value {
    json!({"job_id": job_id, "async_invoke": async_invoke("a piano in the rain")})
}

fn read_job(stack: &Stack, job_id: &str) -> Value {
    stack.ask("GET", &format!("/jobs/{job_id}"), Value::Null).1
}

async fn wait_for(stack: &Stack, job_id: &str, status: &str) -> Value {
    eventually(status, async || (stack.status(job_id).await == status).then_some(())).await;
    read_job(stack, job_id)
}

/// The outcome of each record of a job in the consumer's log, with its duration in
/// milliseconds.
fn read_record_outcomes(stack: &Stack, job_id: &str, since: Timestamp) -> Vec<(String, u64)> {
    let consumer = &stack.outputs["ConsumerFunctionName"];
    let group = format!("/docket/{}/consumer", consumer.split("-Consumer").next().unwrap());
    let filter = json!({"logGroupName": group, "startTime": since.as_millisecond(), "limit": 10_000});
    let headers = [("x-amz-target", "Logs_20140328.FilterLogEvents"), ("content-type", "application/x-amz-json-1.1")];
    let answer = stack.aws("logs", "POST", "/", filter, &headers);
    let lines = answer["events"].as_array().expect("events").iter().filter_map(|event| event["message"].as_str());
    let lines = lines.flat_map(str::lines).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let job_lines = lines.filter(|line| line["message"] == "record handled" && line["job_id"] == job_id);
    job_lines.map(|line| (line["outcome"].as_str().unwrap().to_owned(), line["elapsed_ms"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn long_job_is_one_invocation_and_no_function_waits_for_it() {
    let stack = Stack::new().await;
    behave(&stack, json!({"async_latency_ms": 60_000}));
    let (id, begun) = (unique("minute"), now());
    assert_eq!(stack.ask("POST", "/jobs", job(&id)).0, 202);
    stack.send(&vec![job(&id).to_string(); 19]).await;
    let running = eventually("the start of the invocation", async || {
        read_job(&stack, &id)["invocation_arn"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(read_job(&stack, &id)["status"], "processing");
    let done = wait_for(&stack, &id, "complete").await;
    assert_eq!(done["invocation_arn"], running);
    assert_eq!(
        (&done["charged_attempts"], &done["usage"]["output_tokens"], &done["model_id"]),
        (&json!(1), &json!(0), &json!(MODEL))
    );
    assert!((55_000..120_000).contains(&done["model_latency_ms"].as_u64().unwrap()), "{done}");
    let objects = done["result"]["output"]["objects"].as_array().expect("objects");
    assert!(objects.iter().all(|object| object["key"].as_str().unwrap().starts_with(&format!("results/{id}/"))));
    assert_eq!(objects.len(), 2, "{done}");
    stack.wait_for_empty_queue().await;
    let calls = &stack.calls()["async"];
    assert_eq!((&calls["invocations"], &calls["starts"]), (&json!(1), &json!(1)), "{calls}");
    assert!(calls["gets"].as_u64().unwrap() <= 6, "{calls}");
    let records = read_record_outcomes(&stack, &id, begun);
    let waits = records.iter().filter(|(outcome, _)| outcome == "waiting").count();
    assert!((2..=7).contains(&waits), "{records:?}");
    let total: u64 = records.iter().map(|(_, milliseconds)| milliseconds).sum();
    assert!(total < 20_000, "twenty messages and their polls took {total} ms: {records:?}");
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn retry_by_the_api_starts_another_invocation() {
    let stack = Stack::new().await;
    let id = unique("retried");
    let fault = json!({"kind": "failed", "on": "invocation", "times": 1, "message": "no such picture"});
    behave(&stack, json!({"async_faults": [fault]}));
    assert_eq!(stack.ask("POST", "/jobs", job(&id)), (202, json!({"job_id": id, "status": "pending"})));
    let failed = wait_for(&stack, &id, "failed").await;
    assert_eq!(failed["error"], json!({"code": "invocation_failed", "message": "no such picture"}));
    assert_eq!(stack.ask("POST", &format!("/jobs/{id}/retry"), Value::Null).0, 202);
    let done = wait_for(&stack, &id, "complete").await;
    assert_ne!(done["invocation_arn"], failed["invocation_arn"]);
    let calls = &stack.calls()["async"];
    assert_eq!((&calls["invocations"], calls["by_token"].as_object().unwrap().len()), (&json!(2), 2));
    // Only the first invocation wrote a dead letter.
    assert_eq!(stack.drain_dead_letters().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn api_validates_long_jobs_and_accepts_a_repeated_request() {
    let stack = Stack::new().await;
    let id = unique("validated");
    let submit = |body: Value| {
        let (status, problem) = stack.ask("POST", "/jobs", body);
        (status, problem["field"].as_str().unwrap_or_default().to_owned())
    };
    let mut other = job(&id);
    other["async_invoke"]["model_id"] = json!("luma.ray-v2:0");
    assert_eq!(submit(other), (422, "async_invoke.model_id".into()));
    assert_eq!(
        submit(json!({"async_invoke": async_invoke("x"), "document": "Dear Sir."})),
        (422, "async_invoke".into())
    );
    let large = json!({"model_id": MODEL, "model_input": "x".repeat(900_001)});
    assert_eq!(submit(json!({"async_invoke": large})), (422, "async_invoke.model_input".into()));
    assert_eq!(stack.ask("POST", "/jobs", job(&id)).0, 202);
    assert_eq!(stack.ask("POST", "/jobs", job(&id)).0, 202, "a repeated request names the same job");
    assert_eq!(stack.ask("POST", "/jobs", json!({"job_id": id, "async_invoke": async_invoke("a flute")})).0, 409);
    wait_for(&stack, &id, "complete").await;
    // The largest allowed input reaches the model.
    let id = unique("large");
    let large = json!({"model_id": MODEL, "model_input": "x".repeat(899_998)});
    assert_eq!(stack.ask("POST", "/jobs", json!({"job_id": id, "async_invoke": large})).0, 202);
    wait_for(&stack, &id, "complete").await;
    assert_eq!(stack.calls()["async"]["invocations"], 2);
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batch_counts_long_jobs_and_cancellation_ends_their_polls() {
    let stack = Stack::new().await;
    let batch = unique("mixed");
    let jobs: Vec<Value> = (0..5)
        .map(|n| json!({"job_id": format!("{batch}-{n}"), "async_invoke": async_invoke(&n.to_string())}))
        .chain([json!({"job_id": format!("{batch}-document"), "document": "Dear Sir."})])
        .collect();
    let (status, accepted) = stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    assert_eq!((status, &accepted["rejected"]), (202, &json!(0)), "{accepted}");
    let ended = stack.wait_for_batch_end(&batch, 6).await;
    assert_eq!((&ended["request_counts"]["complete"], &ended["status"]), (&json!(6), &json!("complete")));
    let (_, _, results) = stack.request("GET", &format!("/batches/{batch}/results"), "", true, &[]);
    let outputs = results.lines().filter(|line| line.contains("\"s3_uri\"")).count();
    assert_eq!(outputs, 5, "{results}");
    let calls = stack.calls()["async"].clone();
    assert_eq!((&calls["invocations"], calls["by_output"].as_object().unwrap().len()), (&json!(5), 5));

    behave(&stack, json!({"async_latency_ms": 600_000}));
    let batch = unique("cancelled");
    let ids: Vec<String> = (0..3).map(|n| format!("{batch}-{n}")).collect();
    let jobs: Vec<Value> = ids.iter().map(|id| job(id)).collect();
    stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    eventually("three starts", async || {
        ids.iter().all(|id| read_job(&stack, id)["invocation_arn"].is_string()).then_some(())
    })
    .await;
    assert_eq!(stack.ask("DELETE", &format!("/batches/{batch}"), Value::Null).0, 200);
    let ended = stack.wait_for_batch_end(&batch, 3).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    let has_note: BTreeSet<bool> = ids.iter().map(|id| read_job(&stack, id)["note"].is_string()).collect();
    assert_eq!(has_note, BTreeSet::from([true]), "each job notes that its invocation may go on");
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.drain_dead_letters().await, 0);
}
