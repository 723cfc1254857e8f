//! Batches through the API of the deployed stack.

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
async fn batch_is_created_filled_counted_and_its_results_are_read() {
    let stack = Stack::new().await;
    let batch = unique("filled");
    let request = json!({"batch_id": batch, "metadata": {"case": "A"}, "analysis": {"labels": ["letter", "other"]}});
    let (status, created) = stack.ask("POST", "/batches", request.clone());
    assert_eq!((status, created["status"].as_str()), (201, Some("in_progress")), "{created}");
    assert_eq!(stack.ask("POST", "/batches", request).0, 201, "a repeated request names the same batch");
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
    let ended = stack.wait_for_batch_end(&batch, 23).await;
    assert_eq!((&ended["status"], &ended["request_counts"]["complete"]), (&json!("complete"), &json!(23)));
    assert_eq!(ended["metadata"], json!({"case": "A"}));
    assert!(ended["usage"]["input_tokens"].as_u64().unwrap() > 0 && ended["jobs_per_minute"].as_f64().unwrap() > 0.0);
    assert!(ended["completed_at"].is_string() && ended.get("estimated_completion_at").is_none());

    // All pages together hold each job once.
    let mut listed = std::collections::BTreeSet::new();
    let mut path = format!("/batches/{batch}/results?limit=10");
    let mut pages = 0;
    loop {
        let (status, headers, text) = stack.request("GET", &path, "", true, &[]);
        assert_eq!((status, headers["content-type"].as_str()), (200, "application/jsonl"));
        pages += 1;
        for line in text.lines() {
            let job: Value = serde_json::from_str(line).expect("a JSON line");
            assert!(["letter", "other"].contains(&job["result"]["classification"]["label"].as_str().unwrap()));
            assert!(listed.insert(job["job_id"].as_str().unwrap().to_owned()), "this job is listed twice: {job}");
        }
        match headers.get("next-cursor") {
            Some(cursor) => path = format!("/batches/{batch}/results?limit=10&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!((listed.len(), pages >= 3), (23, true));
    let (_, headers, csv) =
        stack.request("GET", &format!("/batches/{batch}/results"), "", true, &[("accept", "text/csv")]);
    assert!(headers["content-type"].starts_with("text/csv"));
    assert_eq!(csv.lines().count(), 24, "{csv}");
    assert!(csv.starts_with("job_id,name,status,label,"));
    assert_eq!(stack.ask("GET", &format!("/batches/{}", unique("none")), Value::Null).0, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn cancelled_batch_starts_no_jobs_and_drops_late_results() {
    let stack = Stack::new().await;
    // At most 200 jobs run at once, so half of the batch waits. Each call takes longer than
    // the submission and the cancellation, also on a busy machine.
    behave(&stack, json!({"latency_ms": 15_000}));
    let batch = unique("cancelled");
    let jobs: Vec<Value> =
        (0..400).map(|n| json!({"job_id": format!("{batch}-{n}"), "document": "Dear Sir."})).collect();
    let (status, answers) = stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    assert_eq!((status, &answers["rejected"]), (202, &json!(0)));
    eventually("a call in flight", async || (stack.calls()["in_flight"].as_u64()? > 0).then_some(())).await;
    let (status, cancelled) = stack.ask("DELETE", &format!("/batches/{batch}"), Value::Null);
    assert_eq!((status, &cancelled["has_more"]), (200, &json!(false)), "{cancelled}");
    let ended = stack.wait_for_batch_end(&batch, 400).await;
    assert_eq!(ended["status"], "cancelled");
    let calls = stack.calls()["total"].as_u64().unwrap();
    assert!(calls < 400, "{calls} calls");
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.calls()["total"], calls, "no call begins after the cancellation");
    assert_eq!(stack.batch(&batch)["request_counts"], ended["request_counts"], "a late result is dropped");
    // Another producer's message for this batch is cancelled too.
    let late = unique("late");
    stack.send(&[json!({"job_id": late, "document": "x", "batch_id": batch}).to_string()]).await;
    wait_for(&stack, &late, "cancelled").await;
    assert_eq!(stack.calls()["by_job"].get(&late), None);
    assert_eq!(stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": [{"document": "x"}]})).0, 409);
    assert_eq!(stack.ask("POST", &format!("/batches/{batch}/retry"), Value::Null).0, 409);
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn running_job_is_cancelled_and_a_finished_job_is_not() {
    let stack = Stack::new().await;
    behave(&stack, json!({"latency_ms": 3000}));
    let id = unique("one");
    stack.ask("POST", "/jobs", json!({"job_id": id, "document": "Dear Sir."}));
    eventually("the call of the job", async || (stack.calls()["by_job"][&id] == 1).then_some(())).await;
    let (status, cancelled) = stack.ask("DELETE", &format!("/jobs/{id}"), Value::Null);
    assert_eq!((status, cancelled["status"].as_str()), (200, Some("cancelled")), "{cancelled}");
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{id}"), Value::Null).0, 200, "a repeated cancellation succeeds");
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.status(&id).await, "cancelled", "the late result is dropped");
    let done = unique("done");
    stack.ask("POST", "/jobs", json!({"job_id": done, "document": "Dear Sir."}));
    wait_for(&stack, &done, "complete").await;
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{done}"), Value::Null).0, 409);
    assert_eq!(stack.ask("DELETE", &format!("/jobs/{}", unique("none")), Value::Null).0, 404);
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batch_retry_sends_failed_jobs_and_no_others() {
    let stack = Stack::new().await;
    let batch = unique("retried");
    let fault = json!({"kind": "validation", "job_id_contains": "-poison"});
    behave(&stack, json!({"faults": [fault]}));
    let names = ["a", "b", "c-poison", "d-poison"];
    let jobs: Vec<Value> =
        names.iter().map(|name| json!({"job_id": format!("{batch}-{name}"), "document": "Dear Sir."})).collect();
    stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    let ended = stack.wait_for_batch_end(&batch, 4).await;
    assert_eq!((&ended["request_counts"]["failed"], &ended["request_counts"]["complete"]), (&json!(2), &json!(2)));
    let (_, failed) = stack.ask("GET", &format!("/batches/{batch}/jobs?status=failed"), Value::Null);
    assert_eq!(failed["data"].as_array().unwrap().len(), 2);
    assert_eq!(failed["data"][0]["error"]["code"], "validation_exception");
    behave(&stack, json!({"faults": []}));
    let (status, retried) = stack.ask("POST", &format!("/batches/{batch}/retry"), Value::Null);
    assert_eq!((status, &retried["retried"], &retried["continues"]), (202, &json!(2), &json!(false)), "{retried}");
    let ended = stack.wait_for_batch_end(&batch, 4).await;
    assert_eq!(ended["request_counts"]["complete"], 4);
    let calls = stack.calls();
    let expected = [("a", 1), ("b", 1), ("c-poison", 2), ("d-poison", 2)];
    for (name, count) in expected {
        assert_eq!(calls["by_job"][&format!("{batch}-{name}")], count, "{name}");
    }
    assert_eq!(stack.ask("POST", &format!("/jobs/{batch}-a/retry"), Value::Null).0, 409);
    stack.drain_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn failed_job_with_its_document_in_a_message_needs_a_redrive() {
    let stack = Stack::new().await;
    let id = unique("inline");
    behave(&stack, json!({"faults": [{"kind": "validation", "job_id": id}]}));
    stack.send(&[json!({"job_id": id, "document": "Dear Sir."}).to_string()]).await;
    wait_for(&stack, &id, "failed").await;
    let (status, problem) = stack.ask("POST", &format!("/jobs/{id}/retry"), Value::Null);
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("redrive"), "{problem}");
    assert_eq!(stack.status(&id).await, "failed");
    stack.drain_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn same_document_with_the_same_analysis_is_paid_for_once() {
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
    submit("other-analysis", &text, json!({"labels": ["a", "b"]}));
    submit("other-document", "Dear Madam.", json!({}));
    stack.wait_for_batch_end(&batch, 4).await;
    let job = |id: &str| stack.ask("GET", &format!("/jobs/{batch}-{id}"), Value::Null).1;
    let (first, second) = (job("first"), job("second"));
    assert_eq!(second["deduplicated_from"], format!("{batch}-first"));
    assert_eq!((&second["result"], &second["usage"]["input_tokens"]), (&first["result"], &json!(0)));
    assert_eq!(job("other-analysis").get("deduplicated_from"), None);
    assert_eq!(stack.calls()["total"], 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn high_priority_job_does_not_wait_behind_the_others() {
    let stack = Stack::new().await;
    // At most 200 calls of 3 s run at once: the last of 1,000 waits at least 12 s.
    behave(&stack, json!({"latency_ms": 3000}));
    let batch = unique("backlog");
    let backlog: Vec<String> = (0..1_000)
        .map(|n| json!({"job_id": format!("{batch}-{n}"), "document": "Dear Sir.", "batch_id": batch}).to_string())
        .collect();
    stack.send(&backlog).await;
    let id = unique("urgent");
    stack.ask("POST", "/jobs", json!({"job_id": id, "document": "Dear Sir, at once.", "priority": "high"}));
    wait_for(&stack, &id, "complete").await;
    let log = stand_in::get(&format!("{}/_calls/log", stack.outputs["ModelEndpointUrl"]));
    let begun_calls = log.as_array().expect("a log").len();
    assert!(begun_calls < 900, "{begun_calls} of 1,000 calls had begun");
    stack.wait_for_batch_end(&batch, 1_000).await;
}
