//! A message that names another document than the stored job is refused. The job does not
//! change, in every state.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use docket::domain::message::submitted::submitted_key;
use serde_json::{Value, json};
use test_support::aws::{World, drain_messages};
use test_support::event;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(30);

/// The body of an S3 event for one new object.
fn s3_event(bucket: &str, key: &str, version: Option<&str>) -> String {
    let object = json!({"key": key, "size": 7, "versionId": version, "sequencer": "0055"});
    let s3 = json!({"bucket": {"name": bucket}, "object": object});
    json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]}).to_string()
}

fn attributes(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Delivers messages, each in a separate invocation; none is retried.
async fn handle(world: &World, consumer: &Function, messages: &[(String, HashMap<String, String>)]) {
    for message in messages {
        let event = world.deliver(std::slice::from_ref(message)).await;
        let answer = consumer.invoke(event, TIME).await;
        assert_eq!(answer, Ok(json!({"batchItemFailures": []})), "{}", message.0);
    }
}

/// Delivers messages that a job must refuse. Each is dead-lettered with the reason, and
/// the job and the number of calls do not change.
async fn assert_refused(
    world: &World,
    consumer: &Function,
    job_id: &str,
    foreign: &[(String, HashMap<String, String>)],
) {
    let (before, calls) = (world.item(job_id).await, world.model.calls_of(job_id));
    assert!(!before.is_empty(), "{job_id} is stored");
    world.drain_dead_letters().await;
    handle(world, consumer, foreign).await;
    assert_eq!(world.item(job_id).await, before, "{job_id}");
    assert_eq!(world.model.calls_of(job_id), calls, "{job_id}");
    let letters = world.drain_dead_letters().await;
    assert_eq!(letters.len(), foreign.len(), "{letters:?}");
    for letter in letters {
        assert_eq!(letter.attributes["error_code"], "document_mismatch", "{letter:?}");
        // A redrive of this dead letter is no redrive of the job's own attempt.
        assert!(!letter.attributes.contains_key("failed_attempt"), "{letter:?}");
    }
}

/// Messages with the job's id and another document, of each kind.
fn foreign_messages(world: &World, job_id: &str) -> Vec<(String, HashMap<String, String>)> {
    let bodies = [
        json!({"job_id": job_id, "document": "Another document."}).to_string(),
        json!({"job_id": job_id, "document_s3": {"bucket": world.bucket, "key": "uploads/other.txt"}}).to_string(),
        json!({"job_id": job_id, "async_invoke": {"model_id": "m", "model_input": {}}}).to_string(),
        s3_event(&world.bucket, &format!("incoming/{job_id}/other.txt"), None),
        s3_event(&world.bucket, &format!("incoming-high/{job_id}/letter.txt"), None),
        s3_event(&world.bucket, &format!("submitted/b/{job_id}/letter.txt"), None),
    ];
    let attempts = [&[][..], &[("failed_attempt", "1")], &[("failed_attempt", "1"), ("poll", "0.1")]];
    bodies.iter().flat_map(|body| attempts.map(|pairs| (body.clone(), attributes(pairs)))).collect()
}

async fn call(producer: &Function, sample: &str, path: &str, body: Value) -> Value {
    let mut event = event(sample);
    event["body"] = json!(body.to_string());
    event["path"] = json!(path);
    event["resource"] = json!(path);
    event["requestContext"]["path"] = json!(format!("/v1{path}"));
    event["requestContext"]["resourcePath"] = json!(path);
    for headers in ["headers", "multiValueHeaders"] {
        let headers = event[headers].as_object_mut().expect("headers");
        headers.retain(|name, _| !name.eq_ignore_ascii_case("idempotency-key"));
    }
    let answer = producer.invoke(event, TIME).await.expect("an answer");
    let body = answer["body"].as_str().unwrap_or_default();
    assert!(answer["statusCode"].as_u64().is_some_and(|status| status < 300), "{body}");
    serde_json::from_str(body).expect("a JSON body")
}

async fn put(world: &World, key: &str, text: &str) {
    let body = ByteStream::from(text.as_bytes().to_vec());
    let request = aws_sdk_s3::Client::new(&world.sdk).put_object().bucket(&world.bucket).key(key).body(body);
    request.send().await.expect("the object is stored");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn upload_that_is_awaited_takes_its_own_object_alone() {
    let world = World::new().await;
    let (producer, consumer) = (world.producer().await, world.consumer().await);
    let request = json!({"job_id": "awaited", "filename": "letter.txt", "size": 30});
    call(&producer, "api-post-job", "/uploads", request).await;
    assert_refused(&world, &consumer, "awaited", &foreign_messages(&world, "awaited")).await;

    // The same key in another bucket is a separate job.
    let before = world.item("awaited").await;
    let other_bucket = test_support::unique("foreign");
    let foreign = s3_event(&other_bucket, "incoming/awaited/letter.txt", None);
    handle(&world, &consumer, &[(foreign, attributes(&[]))]).await;
    assert_eq!(world.item("awaited").await, before);
    let letters = world.drain_dead_letters().await;
    assert!(letters.len() == 1 && letters[0].attributes["job_id"].starts_with("s3-"), "{letters:?}");

    put(&world, "incoming/awaited/letter.txt", "Dear Sir, the rent is due soon.").await;
    let own = s3_event(&world.bucket, "incoming/awaited/letter.txt", None);
    handle(&world, &consumer, &[(own.clone(), attributes(&[])), (own, attributes(&[]))]).await;
    assert_eq!(world.status("awaited").await, "complete");
    assert_eq!(world.model.calls_of("awaited"), 1);
    assert_refused(&world, &consumer, "awaited", &foreign_messages(&world, "awaited")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn job_in_any_state_refuses_another_document() {
    let world = World::new().await;
    let (producer, consumer) = (world.producer().await, world.consumer().await);
    let request = json!({"job_id": "stated", "document": "The tenant pays the rent."});
    call(&producer, "api-post-job", "/jobs", request).await;
    // The job's own message takes no part.
    drain_messages(&world.sdk, &world.queue).await;
    let pending = world.item("stated").await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(number.to_string());
    let error = AttributeValue::M(HashMap::from([("code".into(), text("c")), ("message".into(), text("m"))]));
    let (past, future) = (docket::clock::now().as_millisecond() - 1, docket::clock::now().as_millisecond() + 600_000);
    for (status, more) in [
        ("pending", vec![]),
        ("processing", vec![("lease_until", number(future))]),
        // The last allowed attempt fell silent alone: the job's own message would fail it.
        (
            "processing",
            vec![
                ("lease_until", number(past)),
                ("charged_attempts", number(9)),
                ("ran_alone", AttributeValue::Bool(true)),
            ],
        ),
        ("failed", vec![("attempt", number(1)), ("error", error)]),
        ("cancelled", vec![]),
    ] {
        let mut item = pending.clone();
        item.insert("status".into(), text(status));
        item.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        world.put_item(item).await;
        assert_refused(&world, &consumer, "stated", &foreign_messages(&world, "stated")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn held_job_is_not_parked_by_another_document() {
    let world = World::new().await;
    let (producer, consumer) = (world.producer().await, world.consumer().await);
    let request = json!({"job_id": "held", "document": "The tenant pays the rent.", "batch_id": "paused"});
    call(&producer, "api-post-job", "/jobs", request).await;
    // The job's own message takes no part.
    drain_messages(&world.sdk, &world.queue).await;
    let paused = docket::clock::now();
    world.jobs().pause_batch(&"paused".parse().unwrap(), paused).await.expect("the table answers");
    let foreign: Vec<_> = foreign_messages(&world, "held")
        .into_iter()
        .filter(|(body, _)| !body.contains("Records"))
        .map(|(body, attributes)| {
            let mut body: Value = serde_json::from_str(&body).unwrap();
            body["batch_id"] = json!("paused");
            (body.to_string(), attributes)
        })
        .collect();
    assert_refused(&world, &consumer, "held", &foreign).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn submitted_document_uploaded_again_has_no_effect() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let priority = docket::domain::job::priority::Priority::Normal;
    let key = submitted_key(&"b".parse().unwrap(), &"file-1".parse().unwrap(), "a.txt", priority);
    put(&world, &key, "The tenant pays the rent.").await;
    // The bucket of this test has no versions, so the first event names none.
    handle(&world, &consumer, &[(s3_event(&world.bucket, &key, None), attributes(&[]))]).await;
    assert_eq!(world.status("file-1").await, "complete");
    let before = world.item("file-1").await;
    handle(&world, &consumer, &[(s3_event(&world.bucket, &key, Some("v2")), attributes(&[]))]).await;
    assert_eq!(world.item("file-1").await, before);
    assert_eq!(world.drain_dead_letters().await.len(), 0);
    assert_eq!(world.model.calls_of("file-1"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn message_and_item_of_a_newer_version_wait_unchanged() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let newer = json!({"docket_version": 2, "job_id": "newer", "document": {"pages": []}}).to_string();
    let event = world.deliver(&[(newer, attributes(&[]))]).await;
    let id = event["Records"][0]["messageId"].clone();
    let retried = |id: Value| Ok(json!({"batchItemFailures": [{"itemIdentifier": id}]}));
    assert_eq!(consumer.invoke(event, TIME).await, retried(id));
    assert_eq!(world.status("newer").await, "none");

    let item = HashMap::from([
        ("job_id".to_owned(), AttributeValue::S("later".into())),
        ("status".to_owned(), AttributeValue::S("pending".into())),
        ("version".to_owned(), AttributeValue::N("2".into())),
    ]);
    world.put_item(item.clone()).await;
    let body = json!({"job_id": "later", "document": "The tenant pays the rent."}).to_string();
    let event = world.deliver(&[(body, attributes(&[]))]).await;
    let id = event["Records"][0]["messageId"].clone();
    assert_eq!(consumer.invoke(event, TIME).await, retried(id));
    assert_eq!(world.item("later").await, item);
    assert_eq!(world.model.calls()["total"], 0);
    assert_eq!(world.drain_dead_letters().await.len(), 0);
}
