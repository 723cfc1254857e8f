//! Pause and resume of a batch, and what the API shows of pauses and holds.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::api;
use test_support::function::Function;
use test_support::virtual_queue::Pace;

use crate::account::Account;

const MINUTE: Duration = Duration::from_secs(60);

/// Sends a request to the producer; `resource` is the path with the names of its parameters.
async fn request(producer: &Function, method: &str, resource: &str, id: &str, body: Value) -> Value {
    let (status, answer) = api::ask(producer, method, resource, id, &[], body).await;
    assert!(status < 300, "{method} {resource} {id}: {status} {answer}");
    answer
}

fn documents(prefix: &str, count: usize) -> (Value, Vec<String>) {
    let ids: Vec<String> = (0..count).map(|n| format!("{prefix}-{n}")).collect();
    let jobs = ids.iter().map(|id| json!({"job_id": id, "document": format!("The rent of {id} is 900 euros.")}));
    (json!({"jobs": jobs.collect::<Vec<_>>()}), ids)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn paused_batch_makes_no_call_and_completes_after_its_resume() {
    let account = Account::start(2).await;
    let producer = account.producer().await;
    let send =
        async |method: &str, resource: &str, id: &str, body| request(&producer, method, resource, id, body).await;
    send("POST", "/batches", "", json!({"batch_id": "leases"})).await;
    // Both environments know the batch before its pause.
    let (jobs, first) = documents("before", 20);
    send("POST", "/batches/{batch_id}/jobs", "leases", jobs).await;
    account.wait_until_complete(&first).await;
    let calls = account.calls();
    let paused = send("POST", "/batches/{batch_id}/pause", "leases", Value::Null).await;
    assert_eq!(paused["paused"]["reason"], "requested", "{paused}");
    let (jobs, ids) = documents("paused", 40);
    send("POST", "/batches/{batch_id}/jobs", "leases", jobs).await;
    account.skip_to(account.queue.now() + 120 * MINUTE).await;
    assert_eq!(account.calls(), calls, "a call of a paused batch");
    account.assert_waiting(&ids).await;
    for (resource, id) in [("/batches/{batch_id}", "leases"), ("/jobs/{job_id}", "paused-1")] {
        let view = send("GET", resource, id, Value::Null).await;
        assert_eq!(view["paused"]["reason"], "requested", "{view}");
    }
    let before = account.queue.now();
    let resumed = send("POST", "/batches/{batch_id}/resume", "leases", Value::Null).await;
    assert_eq!(resumed.get("paused"), None, "{resumed}");
    account.wait_until_complete(&ids).await;
    let took = account.queue.now() - before;
    println!("hold: jobs of a resumed batch completed within {took:?}");
    assert!(took < MINUTE, "{took:?}");
    account.assert_complete(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batch_and_job_show_the_hold_of_their_model() {
    let account = Account::start(1).await;
    let producer = account.producer().await;
    let send =
        async |method: &str, resource: &str, id: &str, body| request(&producer, method, resource, id, body).await;
    account.world.model.behave(json!({"faults": [{"kind": "access_denied"}]}));
    send("POST", "/batches", "", json!({"batch_id": "held"})).await;
    let (jobs, ids) = documents("held", 3);
    send("POST", "/batches/{batch_id}/jobs", "held", jobs).await;
    account.wait_for_hold().await;
    account.skip_to(5 * MINUTE).await;
    for (resource, id) in [("/batches/{batch_id}", "held"), ("/jobs/{job_id}", ids[0].as_str())] {
        let view = send("GET", resource, id, Value::Null).await;
        let hold = &view["hold"];
        assert_eq!(
            (&hold["kind"], &hold["code"]),
            (&json!("account_fault"), &json!("access_denied_exception")),
            "{view}"
        );
        assert!(hold["reason"].as_str().is_some_and(|reason| reason.contains("remedy")), "{view}");
    }
    account.world.model.behave(json!({}));
    account.wait_for_lift(&ids).await;
    account.queue.set_pace(Pace::Real);
    for (resource, id) in [("/batches/{batch_id}", "held"), ("/jobs/{job_id}", ids[0].as_str())] {
        let view = send("GET", resource, id, Value::Null).await;
        assert_eq!(view.get("hold"), None, "{view}");
    }
    account.assert_complete(&ids).await;
}
