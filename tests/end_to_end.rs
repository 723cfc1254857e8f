//! End to end on the local AWS: the deployed stack with its queue, event source
//! mapping, functions and API.

use std::time::{Duration, Instant};

use docket::domain::job::stored::State;
use serde_json::json;
use test_support::stack::Stack;
use test_support::{eventually, read, stand_in, unique};

fn message(job_id: &str, document: &str) -> String {
    json!({"job_id": job_id, "document": document}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn fifty_copies_of_a_message_make_one_call() {
    let stack = Stack::new().await;
    let job_id = unique("fifty");
    let before = stack.drain_dead_letters().await;
    stack.send(&vec![message(&job_id, &read("events/documents/lease.txt")); 50]).await;
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.calls()["by_job"], json!({&job_id: 1}));
    let State::Complete(done) = stack.row(&job_id).await.expect("a stored job").state else {
        panic!("the job is not complete")
    };
    assert_eq!(done.result.inline().unwrap()["classification"]["label"], "lease");
    assert_eq!((before, stack.drain_dead_letters().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_submitted_to_the_api_is_analysed() {
    let stack = Stack::new().await;
    let job_id = unique("by-api");
    let body = json!({"job_id": job_id, "document": read("events/documents/judgment.txt")}).to_string();
    let (status, accepted) = stack.api("POST", "/jobs", &body, true);
    assert_eq!((status, accepted), (202, json!({"job_id": job_id, "status": "pending"})));
    let path = format!("/jobs/{job_id}");
    let view = eventually("the result", async || {
        let (status, view) = stack.api("GET", &path, "", true);
        (status == 200 && view["status"] == "complete").then_some(view)
    })
    .await;
    assert_eq!(view["result"]["classification"]["label"], "judgment");
    assert!(view["usage"]["input_tokens"].as_u64().is_some_and(|tokens| tokens > 100));
    assert_eq!(stack.api("GET", "/jobs/unknown", "", true).0, 404);
    assert_eq!(stack.api("POST", "/jobs", "{}", true).0, 422);
    assert_eq!(stack.calls()["by_job"], json!({&job_id: 1}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn api_refuses_unsigned_requests() {
    let stack = Stack::new().await;
    for (method, path) in [("POST", "/jobs"), ("GET", "/jobs/any")] {
        assert_eq!(stack.api(method, path, "", false).0, 403, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn poison_delays_no_other_job_and_throttled_jobs_complete() {
    let stack = Stack::new().await;
    let ids: Vec<String> = (0..40).map(|n| unique(&format!("mixed-{n}"))).collect();
    stand_in::put(
        &stack.outputs["ModelEndpointUrl"],
        json!({"latency_ms": 50, "seed": 7, "faults": [
            {"kind": "validation", "job_id": ids[3]},
            {"kind": "throttling", "rate": 0.3, "times": 30},
        ]}),
    );
    let mut bodies: Vec<String> = ids.iter().map(|id| message(id, "A lease of a flat for 900 euros.")).collect();
    bodies.push("not a job".into());
    stack.send(&bodies).await;
    stack.wait_for_empty_queue().await;
    for (place, id) in ids.iter().enumerate() {
        assert_eq!(stack.status(id).await, if place == 3 { "failed" } else { "complete" }, "{id}");
        let charged_attempts = stack.row(id).await.unwrap().charged_attempts;
        assert_eq!(charged_attempts, 1, "throttling is not charged");
    }
    assert!(stack.calls()["throttled"].as_u64().unwrap() > 0, "no call was throttled");
    assert_eq!(stack.drain_dead_letters().await, 2);
}

/// The stack under test allows eight charged attempts (tools/test.py). With one call in
/// ten failing, all 2,000 documents complete except in one run of 50,000.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn all_documents_complete_despite_throttles_errors_and_hangs() {
    let stack = Stack::new().await;
    let ids: Vec<String> = (0..2_000).map(|n| unique(&format!("storm-{n}"))).collect();
    let faults = json!([
        {"kind": "throttling", "rate": 0.3, "job_id_contains": "storm-"},
        {"kind": "server_error", "rate": 0.05, "job_id_contains": "storm-"},
        {"kind": "hang", "rate": 0.02, "job_id_contains": "storm-"},
    ]);
    stand_in::put(&stack.outputs["ModelEndpointUrl"], json!({"latency_ms": 100, "faults": faults}));
    stack.send(&ids.iter().map(|id| message(id, "A lease of a flat for 900 euros.")).collect::<Vec<_>>()).await;
    stack.wait_for_empty_queue().await;
    let log = stand_in::get(&format!("{}/_calls/log", stack.outputs["ModelEndpointUrl"]));
    let mut charged: std::collections::HashMap<&str, u32> = Default::default();
    for call in log.as_array().unwrap() {
        *charged.entry(call["job_id"].as_str().unwrap()).or_default() +=
            u32::from(call["outcome"] != "ThrottlingException");
    }
    for id in &ids {
        let row = stack.row(id).await.expect("a stored job");
        assert_eq!(row.state.status().as_str(), "complete", "{id}");
        // Without time for a canary, an error is counted apart.
        let counted = row.charged_attempts + row.unproven_errors;
        assert_eq!(counted, charged[id.as_str()], "{id}: every call except the throttled ones is charged");
    }
    assert_eq!(stack.drain_dead_letters().await, 0);
    println!(
        "2,000 documents: {} calls, {} of them throttled",
        log.as_array().unwrap().len(),
        stack.calls()["throttled"]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn thousand_documents_of_one_second_run_concurrently() {
    let stack = Stack::new().await;
    stand_in::put(&stack.outputs["ModelEndpointUrl"], json!({"latency_ms": 1000}));
    let bodies: Vec<String> =
        (0..1_000).map(|n| message(&unique(&format!("many-{n}")), "A short letter, dear Sir.")).collect();
    let begun = Instant::now();
    stack.send(&bodies).await;
    stack.wait_for_empty_queue().await;
    let elapsed = begun.elapsed();
    println!(
        "1,000 documents of 1 s: {:.1} s, at most {} calls in flight",
        elapsed.as_secs_f64(),
        stack.calls()["peak_in_flight"]
    );
    let calls = stack.calls();
    assert_eq!(calls["total"], 1_000);
    assert_eq!(calls["by_job"].as_object().unwrap().len(), 1_000, "one call for each document");
    // One call after another would take 1,000 s. The benchmark measures the exact duration.
    assert!(elapsed < Duration::from_secs(100), "{elapsed:?}");
    assert_eq!(stack.drain_dead_letters().await, 0);
}
