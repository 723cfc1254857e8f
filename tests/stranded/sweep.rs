//! The sweep, after a purge of the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use docket::domain::hold::Hold;
use docket::domain::job::claim::Claimant;
use docket::domain::job::stored::State;
use serde_json::{Value, json};

use crate::scene::Scene;

const HOUR: Duration = Duration::from_secs(3_600);

/// The jobs of the large test: 2,000 in the long tests, fewer in `make test`.
fn job_count() -> usize {
    std::env::var("STRANDED_JOBS").ok().and_then(|count| count.parse().ok()).unwrap_or(150)
}

fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn purged_jobs_all_end_within_two_sweeps() {
    let scene = Scene::start().await;
    let third = job_count() / 3;
    let (posted, uploaded, batch) = (ids("posted", third), ids("uploaded", third), ids("batch", third));
    for id in &posted {
        scene.submit(id).await;
    }
    scene.submit_batch("leases", &batch).await;
    for id in &uploaded {
        scene.upload(id, Some("uploads"), true).await;
    }
    scene.upload("missing", Some("uploads"), false).await;
    let all = [&posted[..], &uploaded, &batch].concat();
    // The purge finds half of the jobs of the first two kinds in the queue, and some whose
    // worker has died.
    scene.deliver((third / 20).max(1)).await;
    let jobs = scene.world.jobs();
    let is_pending = async |id: &&String| scene.world.status(id).await == "pending";
    let mut silent = Vec::new();
    for id in &posted {
        if silent.len() < 5 && is_pending(&id).await {
            silent.push(id.clone());
        }
    }
    for id in &silent {
        let owner = docket::domain::ids::Owner::new(uuid::Uuid::new_v4());
        let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: 3, is_alone: false };
        let now = docket::clock::now();
        jobs.claim(&Scene::submitted_job(id), &claimant, now, now + Duration::from_secs(30))
            .await
            .expect("the table answers");
    }
    scene.purge().await;
    let before = scene.statuses(&all).await;
    assert!(before["pending"] > all.len() / 2 && before["processing"] >= silent.len(), "{before:?}");
    scene.sweep().await;
    assert_eq!(scene.world.queued().await, (0, 0), "no job is idle for an hour");
    for _ in 0..2 {
        scene.let_pass(HOUR + Duration::from_secs(60)).await;
        scene.sweep().await;
        scene.deliver_all().await;
    }
    let after = scene.statuses(&all).await;
    assert_eq!(after.get("complete"), Some(&all.len()), "{after:?}");
    let counts = scene.world.model.calls()["by_job"].clone();
    for id in &all {
        assert_eq!(counts[id], json!(1), "{id}");
    }
    let State::Failed { error, .. } = scene.world.row("missing").await.expect("a stored job").state else {
        panic!("the upload that never arrived has not failed")
    };
    assert_eq!(error.code, "upload_expired");
    let (_, batch) = scene.ask("GET", "/batches/{batch_id}", "uploads", "", Value::Null).await;
    assert_eq!(batch["status"], "complete", "{batch}");
    println!("{} purged jobs are complete after two sweeps; before: {before:?}", all.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn jobs_that_merely_wait_are_not_sent_again() {
    let scene = Scene::start().await;
    let waiting = ids("waiting", 60);
    scene.submit_batch("waiting", &waiting).await;
    for _ in 0..3 {
        scene.let_pass(5 * HOUR).await;
        scene.sweep().await;
    }
    assert_eq!(scene.world.queued().await, (60, 0));
    // One message is lost: one is sent, for the job that waits longest.
    let lost = test_support::aws::receive(&scene.world.sdk, &scene.world.queue, 600).await;
    assert!(!lost.is_empty());
    let sqs = aws_sdk_sqs::Client::new(&scene.world.sdk);
    let receipt = lost[0]["receiptHandle"].as_str().expect("a receipt");
    sqs.delete_message().queue_url(&scene.world.queue).receipt_handle(receipt).send().await.expect("deleted");
    scene.sweep().await;
    let (visible, hidden) = scene.world.queued().await;
    assert_eq!(visible + hidden, 60);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn purged_job_of_high_priority_ends() {
    let scene = Scene::start().await;
    let ids = ids("urgent", 3);
    for id in &ids {
        scene.submit_with(id, "high").await;
    }
    scene.purge().await;
    scene.let_pass(2 * HOUR).await;
    scene.sweep().await;
    scene.deliver_all().await;
    assert_eq!(scene.statuses(&ids).await.get("complete"), Some(&3));
}

/// Jobs that wait for a hold of the model, and its target. No queue has a message.
async fn purged_during_a_hold(ids: &[String]) -> (Scene, Hold) {
    let mut scene = Scene::start().await;
    scene.world.model.behave(json!({"faults": [{"kind": "access_denied"}]}));
    for id in ids {
        scene.submit(id).await;
    }
    scene.deliver(1).await;
    let hold = scene.world.jobs().list_holds().await.expect("the table answers").remove(0);
    for id in ids {
        assert_eq!(scene.world.row(id).await.expect("a stored job").waiting_for, Some(hold.target.clone()), "{id}");
    }
    scene.purge().await;
    scene.world.model.behave(json!({}));
    scene.let_pass(2 * HOUR).await;
    scene.restart_consumer().await;
    (scene, hold)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn jobs_end_although_the_probe_of_their_hold_was_lost() {
    let ids = ids("held", 3);
    let (scene, hold) = purged_during_a_hold(&ids).await;
    let jobs = scene.world.jobs();
    jobs.end_hold(&hold.target).await.expect("the table answers");
    let overdue = Hold::new(hold.target, hold.kind, hold.reason, docket::clock::now() - HOUR);
    assert!(jobs.open_hold(&overdue).await.expect("the table answers"));
    scene.sweep().await;
    scene.deliver_all().await;
    assert_eq!(scene.statuses(&ids).await.get("complete"), Some(&3));
    assert_eq!(jobs.list_holds().await.expect("the table answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn jobs_end_although_the_resend_of_their_hold_was_lost() {
    let ids = ids("ended", 3);
    let (scene, hold) = purged_during_a_hold(&ids).await;
    scene.world.jobs().end_hold(&hold.target).await.expect("the table answers");
    scene.sweep().await;
    scene.deliver_all().await;
    assert_eq!(scene.statuses(&ids).await.get("complete"), Some(&3));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn invocation_ends_although_its_poll_was_lost() {
    let scene = Scene::start().await;
    scene.world.model.behave(json!({"async_latency_ms": 1}));
    let request = json!({"model_id": "amazon.nova-reel-v1:1", "model_input": {"text": "a piano"}});
    let ids = ids("reel", 3);
    for id in &ids {
        let (status, body) = scene.ask("POST", "/jobs", "", "", json!({"job_id": id, "async_invoke": request})).await;
        assert_eq!(status, 202, "{body}");
    }
    scene.deliver(1).await;
    for id in &ids {
        assert!(scene.world.item(id).await.contains_key("waiting"), "{id}");
    }
    scene.purge().await;
    scene.let_pass(2 * HOUR).await;
    scene.sweep().await;
    scene.deliver_all().await;
    assert_eq!(scene.statuses(&ids).await.get("complete"), Some(&3));
    assert_eq!(scene.world.model.calls()["async"]["invocations"], json!(3));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn caller_queues_lost_jobs_again_by_both_requests() {
    let scene = Scene::start().await;
    let jobs = ["by-retry", "by-post"];
    for id in jobs {
        scene.submit(id).await;
    }
    scene.purge().await;
    scene.let_pass(Duration::from_secs(120)).await;
    assert_eq!(scene.ask("POST", "/jobs/{job_id}/retry", "by-retry", "", Value::Null).await.0, 202);
    scene.submit("by-post").await;
    scene.deliver_all().await;
    let ended: BTreeSet<&str> = [scene.world.status("by-retry").await, scene.world.status("by-post").await].into();
    assert_eq!(ended, BTreeSet::from(["complete"]));
    let (status, problem) = scene.ask("POST", "/jobs/{job_id}/retry", "by-post", "", Value::Null).await;
    assert_eq!((status, problem["type"].as_str()), (409, Some("urn:docket:problem:invalid-state")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn lost_message_with_its_document_ends_the_job() {
    let scene = Scene::start().await;
    scene.world.model.behave(json!({"faults": [{"kind": "throttling"}]}));
    scene.world.send(&json!({"job_id": "inline", "document": "A lease of a flat."}).to_string()).await;
    scene.deliver(1).await;
    assert_eq!(scene.world.status("inline").await, "pending");
    scene.purge().await;
    scene.let_pass(9 * 24 * HOUR).await;
    scene.sweep().await;
    assert_eq!(scene.world.status("inline").await, "pending", "a queue may still have the message");
    scene.let_pass(2 * 24 * HOUR).await;
    scene.sweep().await;
    let State::Failed { error, .. } = scene.world.row("inline").await.expect("a stored job").state else {
        panic!("the job has not failed")
    };
    assert_eq!(error.code, "message_lost");
}
