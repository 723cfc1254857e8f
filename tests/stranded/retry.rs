//! Retries of many jobs, repeated retries of one job, and cancelled batches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use docket::aws::jobs::{ClaimAnswer, NewJob};
use docket::domain::batch::cursor::Select;
use docket::domain::batch::filter::Filter;
use docket::domain::document::DocumentRecord;
use docket::domain::document::location::S3Location;
use docket::domain::failure::Failure;
use docket::domain::job::claim::Claimant;
use docket::domain::job::priority::Priority;
use docket::domain::job::stored::Status;
use docket::domain::job::{DocumentSource, Job, Work};
use docket::domain::message::control::{BatchRetry, Control};
use docket::domain::message::submitted::submitted_key;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use test_support::inline_job;

use crate::scene::Scene;

/// The failed jobs of the large test: 10,000 in the long tests, fewer in `make test`.
fn failed_count() -> usize {
    std::env::var("RETRIED_JOBS").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

/// Stores failed jobs of a batch, every third with another error code.
async fn store_failed(scene: &Scene, batch_id: &str, count: usize) {
    let jobs = scene.world.jobs();
    let stored = (0..count).map(async |n| {
        let job_id: docket::domain::ids::JobId = format!("{batch_id}-{n}").parse().unwrap();
        let at = S3Location { bucket: scene.world.bucket.clone(), key: "k".into(), version_id: None, sha256: None };
        let new = NewJob {
            job_id: job_id.clone(),
            batch_id: Some(batch_id.parse().unwrap()),
            priority: Default::default(),
            analysis: None,
            metadata: None,
            document: Some(DocumentRecord::unread(&at)),
            async_request: None,
            work_id: docket::domain::job::work_id::object_work_id(&at),
            request_hash: "h".into(),
        };
        let now = docket::clock::now();
        jobs.create(new, now).await.expect("the table answers");
        let owner = docket::domain::ids::Owner::new(uuid::Uuid::new_v4());
        let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: 3, is_alone: false };
        let work = Work::Document(DocumentSource::S3(at));
        let job = Job { work, ..inline_job(job_id.as_str()) };
        let claimed = jobs.claim(&job, &claimant, now, now + Duration::from_secs(30)).await;
        let Ok(ClaimAnswer::Claimed(claim)) = claimed else { panic!("{claimed:?}") };
        let code = if n % 3 == 0 { "document_empty" } else { "guardrail_intervened" };
        jobs.fail(&job_id, &claim, &Failure::new(code, "m"), docket::clock::now()).await.expect("the table answers");
    });
    stream::iter(stored).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// The number of messages of each job in the queue.
async fn messages(scene: &Scene) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in test_support::aws::drain_messages(&scene.world.sdk, &scene.world.queue).await {
        let body: Value = serde_json::from_str(&message.body).expect("JSON");
        let job_id = body["job_id"].as_str().expect("a job");
        *counts.entry(job_id.to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batch_retry_sends_one_message_for_each_failed_job() {
    let scene = Scene::start().await;
    let count = failed_count();
    store_failed(&scene, "leases", count).await;
    let begun = std::time::Instant::now();
    let (status, body) = scene.ask("POST", "/batches/{batch_id}/retry", "leases", "", Value::Null).await;
    println!("{count} jobs: {body} after {:?}", begun.elapsed());
    assert_eq!((status, &body["not_retried"]), (202, &json!([])));
    // The consumer continues a retry that takes longer than one request.
    scene.deliver_controls().await;
    let sent = messages(&scene).await;
    assert!(sent.len() == count && sent.values().all(|count| *count == 1), "{} jobs", sent.len());
    let filter = Filter::from(Select::Only(Status::Failed));
    let page = scene.world.jobs().get_page(&"leases".parse().unwrap(), &filter, None, 500).await.expect("a page");
    assert!(page.job_ids.is_empty(), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn control_message_continues_a_retry_at_its_cursor() {
    let scene = Scene::start().await;
    store_failed(&scene, "leases", 300).await;
    let filter = Filter::from(Select::Only(Status::Failed));
    let batch_id: docket::domain::ids::BatchId = "leases".parse().unwrap();
    let first = scene.world.jobs().get_page(&batch_id, &filter, None, 100).await.expect("a page");
    // The attempts that fail after the request are not retried by it.
    let asked_at = docket::clock::now();
    let retry = BatchRetry { batch_id: batch_id.clone(), filter: filter.clone(), cursor: first.next, asked_at };
    scene.control(&Control::Retry(retry.clone()).body()).await;
    let sent = messages(&scene).await;
    let before: BTreeSet<String> = first.job_ids.iter().map(ToString::to_string).collect();
    assert_eq!(sent.len(), 200);
    assert!(sent.keys().all(|id| !before.contains(id)), "the cursor is passed");
    let early = BatchRetry { asked_at: asked_at - Duration::from_secs(3_600), cursor: None, ..retry };
    scene.control(&Control::Retry(early).body()).await;
    assert!(messages(&scene).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn filter_limits_the_retry_and_the_cancellation() {
    let scene = Scene::start().await;
    store_failed(&scene, "leases", 9).await;
    let path = "/batches/{batch_id}/retry";
    let (status, body) = scene.ask("POST", path, "leases", "error_code=document_empty", Value::Null).await;
    assert_eq!((status, &body["retried"]), (202, &json!(3)), "{body}");
    assert_eq!(messages(&scene).await.len(), 3);
    let (status, problem) = scene.ask("POST", path, "leases", "label=lease", Value::Null).await;
    assert_eq!((status, &problem["field"]), (422, &json!("label")));
    let (status, batch) = scene.ask("DELETE", "/batches/{batch_id}", "leases", "status=pending", Value::Null).await;
    assert_eq!((status, &batch["request_counts"]["cancelled"]), (200, &json!(3)), "{batch}");
    assert_eq!((batch.get("cancelled_at"), &batch["request_counts"]["failed"]), (None, &json!(6)), "{batch}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn repeated_retries_of_a_throttled_job_do_not_amplify() {
    let scene = Scene::start().await;
    scene.world.model.behave(json!({"faults": [{"kind": "throttling"}]}));
    scene.submit("throttled").await;
    scene.deliver(1).await;
    assert_eq!(scene.world.model.calls_of("throttled"), 1);
    let begun = std::time::Instant::now();
    for _ in 0..40 {
        assert_eq!(scene.ask("POST", "/jobs/{job_id}/retry", "throttled", "", Value::Null).await.0, 202);
        scene.submit("throttled").await;
    }
    let (visible, hidden) = scene.world.queued().await;
    // The job's own message, and at most one more a minute on a slow machine.
    assert!(visible + hidden <= 1 + begun.elapsed().as_secs() / 60, "{visible} and {hidden}");
    // Copies of other producers share the backoff.
    let item = scene.world.item("throttled").await;
    let row = scene.world.row("throttled").await.expect("a stored job");
    let document = json!(row.document.location().expect("a document"));
    let mut late = item;
    let far = (docket::clock::now() + Duration::from_secs(3_600)).as_millisecond();
    late.insert("not_before".into(), aws_sdk_dynamodb::types::AttributeValue::N(far.to_string()));
    scene.world.put_item(late).await;
    let copy = (json!({"job_id": "throttled", "document_s3": document}).to_string(), Default::default());
    let event = scene.world.deliver(&[copy]).await;
    // The job's own message may be among them.
    let delivered = event["Records"].as_array().map(Vec::len);
    let answer = scene.consumer.invoke(event, crate::scene::TIME).await.expect("a response");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), delivered);
    assert_eq!(scene.world.model.calls_of("throttled"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn cancelled_batch_takes_no_job_by_any_way() {
    let scene = Scene::start().await;
    store_failed(&scene, "gone", 1).await;
    scene.upload("by-url", Some("gone"), false).await;
    assert_eq!(scene.ask("DELETE", "/batches/{batch_id}", "gone", "", Value::Null).await.0, 200);
    let requests = [
        ("POST", "/jobs", "", json!({"document": "A lease.", "batch_id": "gone"})),
        ("POST", "/uploads", "", json!({"filename": "a.txt", "size": 10, "batch_id": "gone"})),
        ("POST", "/batches/{batch_id}/jobs", "gone", json!({"jobs": [{"document": "A lease."}]})),
        ("POST", "/batches/{batch_id}/retry", "gone", Value::Null),
        ("POST", "/jobs/{job_id}/retry", "gone-0", Value::Null),
    ];
    for (method, resource, id, body) in requests {
        let (status, problem) = scene.ask(method, resource, id, "", body).await;
        assert_eq!((status, problem["type"].as_str()), (409, Some("urn:docket:problem:batch-cancelled")), "{resource}");
    }
    let body = json!({"job_id": "by-message", "document": "A lease.", "batch_id": "gone"});
    scene.world.send(&body.to_string()).await;
    // The URL was given before the batch was cancelled, and the objects arrive later.
    let batch_id = "gone".parse().expect("a valid batch id");
    let file = "file-1".parse().expect("a valid job id");
    let submitted = submitted_key(&batch_id, &file, "leases/a.txt", Priority::Normal);
    for key in ["uploads/gone/a.txt", &submitted, "incoming/by-url/a lease.txt"] {
        scene.put_object(key).await;
        scene.world.send(&scene.s3_event(key)).await;
    }
    scene.deliver_all().await;
    let (_, page) = scene.ask("GET", "/batches/{batch_id}/jobs", "gone", "", Value::Null).await;
    let jobs = page["data"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 5, "{page}");
    for job in jobs {
        let expected = if job["job_id"] == "gone-0" { "failed" } else { "cancelled" };
        assert_eq!(job["status"], expected, "{job}");
    }
    let row = scene.world.row("by-message").await.expect("a stored job");
    let last = row.attempts.last().expect("an attempt");
    assert_eq!((last.end.as_str(), last.code.as_deref()), ("cancelled", Some("batch_cancelled")));
    assert_eq!(scene.world.model.calls()["total"], 0);
}
