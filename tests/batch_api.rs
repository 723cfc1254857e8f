//! Batches by the API of the deployed stack.

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

fn behave(stack: &Stack, behaviour: Value) {
    stand_in::put(&stack.outputs["ModelEndpointUrl"], behaviour);
}

async fn wait_for(stack: &Stack, job_id: &str, status: &str) {
    eventually(status, async || (stack.status(job_id).await == status).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_batch_is_made_filled_counted_and_its_results_are_read() {
    let stack = Stack::new().await;
    let batch = unique("whole");
    let made = json!({"batch_id": batch, "metadata": {"case": "A"}, "analysis": {"labels": ["letter", "other"]}});
    let (status, told) = stack.ask("POST", "/batches", made.clone());
    assert_eq!((status, told["status"].as_str()), (201, Some("in_progress")), "{told}");
    assert_eq!(stack.ask("POST", "/batches", made).0, 201, "the same again is the same batch");
    assert_eq!(stack.ask("POST", "/batches", json!({"batch_id": batch})).0, 409);
    let jobs: Vec<Value> = (0..25)
        .map(|n| match n {
            7 => json!({"document": ""}),
            8 => json!({"document": "x", "lables": []}),
            _ => {
                json!({"job_id": format!("{batch}-{n}"), "document": format!("Dear Sir, letter {n}. The rent is due.")})
            }
        })
        .collect();
    let (status, answers) = stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    assert_eq!((status, &answers["accepted"], &answers["rejected"]), (202, &json!(23), &json!(2)), "{answers}");
    assert_eq!(answers["jobs"][7]["error"]["field"], "document");
    assert_eq!(answers["jobs"][8]["error"]["field"], "lables");
    assert_eq!(answers["jobs"][24]["job_id"], format!("{batch}-24"));
    let told = stack.batch_has_ended(&batch, 23).await;
    assert_eq!((&told["status"], &told["request_counts"]["complete"]), (&json!("complete"), &json!(23)));
    assert_eq!(told["metadata"], json!({"case": "A"}));
    assert!(told["usage"]["input_tokens"].as_u64().unwrap() > 0 && told["jobs_per_minute"].as_f64().unwrap() > 0.0);
    assert!(told["completed_at"].is_string() && told.get("estimated_completion_at").is_none());

    // Page by page, each job once.
    let mut seen = std::collections::BTreeSet::new();
    let mut path = format!("/batches/{batch}/results?limit=10");
    let mut pages = 0;
    loop {
        let (status, headers, text) = stack.request("GET", &path, "", true, &[]);
        assert_eq!((status, headers["content-type"].as_str()), (200, "application/jsonl"));
        pages += 1;
        for line in text.lines() {
            let job: Value = serde_json::from_str(line).expect("a JSON line");
            assert!(["letter", "other"].contains(&job["result"]["classification"]["label"].as_str().unwrap()));
            assert!(seen.insert(job["job_id"].as_str().unwrap().to_owned()), "twice: {job}");
        }
        match headers.get("next-cursor") {
            Some(cursor) => path = format!("/batches/{batch}/results?limit=10&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), pages >= 3), (23, true));
    let (_, headers, csv) =
        stack.request("GET", &format!("/batches/{batch}/results"), "", true, &[("accept", "text/csv")]);
    assert!(headers["content-type"].starts_with("text/csv"));
    assert_eq!(csv.lines().count(), 24, "{csv}");
    assert!(csv.starts_with("job_id,name,status,label,"));
    assert_eq!(stack.ask("GET", &format!("/batches/{}", unique("none")), Value::Null).0, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_is_cancelled_does_not_start_and_what_runs_is_dropped_when_it_ends() {
    let stack = Stack::new().await;
    // Two hundred in flight, so that most of the batch waits.
    behave(&stack, json!({"latency_ms": 4000}));
    let batch = unique("cancelled");
    let jobs: Vec<Value> =
        (0..400).map(|n| json!({"job_id": format!("{batch}-{n}"), "document": "Dear Sir."})).collect();
    let (status, answers) = stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    assert_eq!((status, &answers["rejected"]), (202, &json!(0)));
    eventually("a call in flight", async || (stack.calls()["in_flight"].as_u64()? > 0).then_some(())).await;
    let (status, told) = stack.ask("DELETE", &format!("/batches/{batch}"), Value::Null);
    assert_eq!((status, &told["has_more"]), (200, &json!(false)), "{told}");
    let told = stack.batch_has_ended(&batch, 400).await;
    assert_eq!(told["status"], "cancelled");
    let at_the_end = stack.calls()["total"].as_u64().unwrap();
    assert!(at_the_end < 400, "{at_the_end} calls");
    stack.queue_is_empty().await;
    assert_eq!(stack.calls()["total"], at_the_end, "none starts after the cancellation");
    assert_eq!(stack.batch(&batch)["request_counts"], told["request_counts"], "a result that came later is dropped");
    // A message of another producer for this batch does not start either.
    let late = unique("late");
    stack.send(&[json!({"job_id": late, "document": "x", "batch_id": batch}).to_string()]).await;
    wait_for(&stack, &late, "cancelled").await;
    assert_eq!(stack.calls()["by_job"].get(&late), None);
    assert_eq!(stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": [{"document": "x"}]})).0, 409);
    assert_eq!(stack.ask("POST", &format!("/batches/{batch}/retry"), Value::Null).0, 409);
    assert_eq!(stack.dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn one_job_is_cancelled_and_a_finished_one_is_not() {
    let stack = Stack::new().await;
    behave(&stack, json!({"latency_ms": 3000}));
    let id = unique("one");
    stack.ask("POST", "/jobs", json!({"job_id": id, "document": "Dear Sir."}));
    eventually("its call", async || (stack.calls()["by_job"][&id] == 1).then_some(())).await;
    let (status, told) = stack.ask("DELETE", &format!("/jobs/{id}"), Value::Null);
    assert_eq!((status, told["status"].as_str()), (200, Some("cancelled")), "{told}");
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{id}"), Value::Null).0, 200, "repeatable");
    stack.queue_is_empty().await;
    assert_eq!(stack.status(&id).await, "cancelled", "its result found no claim to end");
    let done = unique("done");
    stack.ask("POST", "/jobs", json!({"job_id": done, "document": "Dear Sir."}));
    wait_for(&stack, &done, "complete").await;
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{done}"), Value::Null).0, 409);
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{}", unique("none")), Value::Null).0, 404);
    assert_eq!(stack.dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn failed_jobs_and_no_others_are_tried_again() {
    let stack = Stack::new().await;
    let batch = unique("again");
    let fault = json!({"kind": "validation", "job_id_contains": "-poison"});
    behave(&stack, json!({"faults": [fault]}));
    let names = ["a", "b", "c-poison", "d-poison"];
    let jobs: Vec<Value> =
        names.iter().map(|name| json!({"job_id": format!("{batch}-{name}"), "document": "Dear Sir."})).collect();
    stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    let told = stack.batch_has_ended(&batch, 4).await;
    assert_eq!((&told["request_counts"]["failed"], &told["request_counts"]["complete"]), (&json!(2), &json!(2)));
    let (_, failed) = stack.ask("GET", &format!("/batches/{batch}/jobs?status=failed"), Value::Null);
    assert_eq!(failed["data"].as_array().unwrap().len(), 2);
    assert_eq!(failed["data"][0]["error"]["code"], "validation_exception");
    behave(&stack, json!({"faults": []}));
    let (status, told) = stack.ask("POST", &format!("/batches/{batch}/retry"), Value::Null);
    assert_eq!((status, &told["retried"], &told["has_more"]), (202, &json!(2), &json!(false)), "{told}");
    let told = stack.batch_has_ended(&batch, 4).await;
    assert_eq!(told["request_counts"]["complete"], 4);
    let calls = stack.calls();
    let expected = [("a", 1), ("b", 1), ("c-poison", 2), ("d-poison", 2)];
    for (name, count) in expected {
        assert_eq!(calls["by_job"][&format!("{batch}-{name}")], count, "{name}");
    }
    assert_eq!(stack.ask("POST", &format!("/jobs/{batch}-a/retry"), Value::Null).0, 409);
    stack.dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_failed_job_whose_document_came_in_a_message_is_redriven_and_not_retried() {
    let stack = Stack::new().await;
    let id = unique("inline");
    behave(&stack, json!({"faults": [{"kind": "validation", "job_id": id}]}));
    stack.send(&[json!({"job_id": id, "document": "Dear Sir."}).to_string()]).await;
    wait_for(&stack, &id, "failed").await;
    let (status, problem) = stack.ask("POST", &format!("/jobs/{id}/retry"), Value::Null);
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("redrive"), "{problem}");
    assert_eq!(stack.status(&id).await, "failed");
    stack.dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_same_document_asked_the_same_way_is_paid_for_once() {
    let stack = Stack::new().await;
    let batch = unique("same");
    stack.ask("POST", "/batches", json!({"batch_id": batch, "deduplicate": true}));
    let submit = |id: &str, document: &str, analysis: Value| {
        let job = json!({"job_id": format!("{batch}-{id}"), "document": document, "analysis": analysis});
        stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": [job]}))
    };
    let text = format!("Dear Sir, this is about {batch}.");
    submit("first", &text, json!({}));
    wait_for(&stack, &format!("{batch}-first"), "complete").await;
    submit("second", &text, json!({}));
    submit("asked-otherwise", &text, json!({"labels": ["a", "b"]}));
    submit("another", "Dear Madam.", json!({}));
    stack.batch_has_ended(&batch, 4).await;
    let job = |id: &str| stack.ask("GET", &format!("/jobs/{batch}-{id}"), Value::Null).1;
    let (first, second) = (job("first"), job("second"));
    assert_eq!(second["deduplicated_from"], format!("{batch}-first"));
    assert_eq!((&second["result"], &second["usage"]["input_tokens"]), (&first["result"], &json!(0)));
    assert_eq!(job("asked-otherwise").get("deduplicated_from"), None);
    assert_eq!(stack.calls()["total"], 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn an_urgent_job_does_not_wait_behind_the_others() {
    let stack = Stack::new().await;
    // 200 calls in flight of 3 s each: the last of 1,000 waits 12 s and more.
    behave(&stack, json!({"latency_ms": 3000}));
    let batch = unique("crowd");
    let crowd: Vec<String> = (0..1_000)
        .map(|n| json!({"job_id": format!("{batch}-{n}"), "document": "Dear Sir.", "batch_id": batch}).to_string())
        .collect();
    stack.send(&crowd).await;
    let id = unique("urgent");
    stack.ask("POST", "/jobs", json!({"job_id": id, "document": "Dear Sir, at once.", "priority": "high"}));
    wait_for(&stack, &id, "complete").await;
    let log = stand_in::get(&format!("{}/_calls/log", stack.outputs["ModelEndpointUrl"]));
    let begun_before = log.as_array().expect("a log").len();
    assert!(begun_before < 900, "{begun_before} of 1,000 had begun");
    stack.batch_has_ended(&batch, 1_000).await;
}
