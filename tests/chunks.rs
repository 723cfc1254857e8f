//! A text larger than one call allows: one call for each chunk, one call that joins
//! the results, and no chunk is paid for twice.

use std::collections::HashMap;
use std::time::Duration;

use docket::aws::chunk_results::ChunkResult;
use docket::domain::job::stored::{Completed, State, Usage};
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::event;

const TIME: Duration = Duration::from_secs(60);
const CHUNK_BYTES: (&str, &str) = ("CHUNK_MAX_BYTES", "10000");

/// A text that [`CHUNK_BYTES`] cuts into five chunks.
fn text_of_five_chunks() -> String {
    let paragraph =
        |n: usize| format!("In month {n} the tenant pays the landlord a rent of {} euros for the flat.\n\n", 900 + n);
    (0..600).map(paragraph).collect()
}

async fn deliver_text(world: &World, job_id: &str, text: &str) -> Value {
    let body = json!({"job_id": job_id, "document": text}).to_string();
    world.deliver(&[(body, HashMap::new())]).await
}

fn one_failure(event: &Value) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]})
}

fn no_failures() -> Value {
    json!({"batchItemFailures": []})
}

async fn read_completion(world: &World, job_id: &str) -> Completed {
    match world.row(job_id).await.expect("a stored job").state {
        State::Complete(done) => *done,
        other => panic!("the job is not complete: {other:?}"),
    }
}

/// The results of chunks and joins that are stored in the bucket.
async fn list_stored_results(world: &World) -> Vec<ChunkResult> {
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let found = s3.list_objects_v2().bucket(&world.bucket).prefix("chunks/").send().await.expect("the bucket answers");
    let mut results = Vec::new();
    for object in found.contents() {
        let key = object.key().expect("a key");
        let object = s3.get_object().bucket(&world.bucket).key(key).send().await.expect("the bucket answers");
        let bytes = object.body.collect().await.expect("the bytes of the object").into_bytes();
        results.push(serde_json::from_slice(&bytes).expect("a chunk result"));
    }
    results
}

fn sum_usage(results: &[ChunkResult]) -> Usage {
    results.iter().fold(Usage::default(), |sum, result| Usage {
        input_tokens: sum.input_tokens + result.usage.input_tokens,
        output_tokens: sum.output_tokens + result.usage.output_tokens,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn text_of_five_chunks_makes_six_calls_and_sums_their_usage() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    world.model.behave(json!({"latency_ms": 300}));
    let message = deliver_text(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(message, TIME).await, Ok(no_failures()));
    let done = read_completion(&world, "long").await;
    assert_eq!(done.chunks, Some(5));
    assert_eq!(done.result.inline().unwrap()["classification"]["label"], "lease");
    assert!(done.model_latency_ms >= 6 * 300, "{} ms", done.model_latency_ms);
    assert_eq!(world.model.calls_of("long"), 6);
    assert_eq!(world.model.calls()["peak_in_flight"], 4, "chunks run concurrently, within the limit");
    let results = list_stored_results(&world).await;
    assert_eq!((results.len(), sum_usage(&results)), (6, done.usage));
    let producer = world.producer().await;
    let mut request = event("api-get-job");
    request["pathParameters"]["job_id"] = json!("long");
    let answer = producer.invoke(request, TIME).await.expect("an answer");
    let view: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(view["chunks"], 5, "{view}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn throttled_chunk_costs_no_other_chunk_a_second_call() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    world.model.behave(json!({"latency_ms": 500, "faults": [{"kind": "throttling", "times": 1}]}));
    let event = deliver_text(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(one_failure(&event)));
    let row = world.row("long").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.charged_attempts), ("pending", 0), "throttling is not charged");
    assert_eq!(
        (world.model.calls_of("long"), list_stored_results(&world).await.len()),
        (4, 3),
        "the calls in flight were completed"
    );
    world.end_backoff("long").await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    assert_eq!(world.model.calls_of("long"), 7, "five chunks, one join, and one throttled call");
    let done = read_completion(&world, "long").await;
    assert_eq!(
        (done.chunks, done.usage),
        (Some(5), sum_usage(&list_stored_results(&world).await)),
        "the usage of stored chunks is counted too"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn chunks_left_without_time_run_in_the_next_invocation() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    // A call needs 5 s, and the work after it 6.75 s. After one call of 2.5 s, an
    // invocation of 14 s has no time for another.
    let time = Duration::from_secs(14);
    world.model.behave(json!({"latency_ms": 2_500}));
    let event = deliver_text(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(event.clone(), time).await, Ok(one_failure(&event)));
    assert_eq!((world.model.calls_of("long"), world.row("long").await.unwrap().charged_attempts), (4, 0));
    world.end_backoff("long").await;
    assert_eq!(consumer.invoke(event.clone(), time).await, Ok(one_failure(&event)));
    assert_eq!((world.model.calls_of("long"), world.row("long").await.unwrap().charged_attempts), (5, 0));
    world.end_backoff("long").await;
    assert_eq!(consumer.invoke(event, time).await, Ok(no_failures()));
    assert_eq!((world.model.calls_of("long"), read_completion(&world, "long").await.chunks), (6, Some(5)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn chunk_with_a_permanent_error_fails_the_job() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    let faults = json!([{"kind": "throttling", "times": 1}, {"kind": "validation", "times": 1}]);
    world.model.behave(json!({"latency_ms": 300, "faults": faults}));
    let event = deliver_text(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let State::Failed { error, .. } = world.row("long").await.unwrap().state else { panic!("the job has not failed") };
    assert_eq!(error.code, "validation_exception", "the permanent error is reported, not the throttling");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn results_longer_than_a_chunk_are_joined_in_levels() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("CHUNK_MAX_BYTES", "1000")]).await;
    let event = deliver_text(&world, "long", &text_of_five_chunks()[..12_000]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let done = read_completion(&world, "long").await;
    let chunks = u64::from(done.chunks.expect("several chunks"));
    assert!((12..=24).contains(&chunks), "{chunks} chunks");
    let calls = world.model.calls_of("long");
    assert!(calls > chunks + 1 && calls < 2 * chunks, "{calls} calls for {chunks} chunks");
    assert_eq!(list_stored_results(&world).await.len() as u64, calls);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn text_of_one_chunk_makes_one_call_and_stores_no_chunks() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    let event = deliver_text(&world, "short", &text_of_five_chunks()[..10_000]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    assert_eq!((world.model.calls_of("short"), read_completion(&world, "short").await.chunks), (1, None));
    assert!(list_stored_results(&world).await.is_empty());
    assert!(!world.item("short").await.contains_key("chunks"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn text_over_the_chunk_limit_fails_and_makes_no_call() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("CHUNK_MAX_BYTES", "1000")]).await;
    let event = deliver_text(&world, "endless", &"x".repeat(32_001)).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let State::Failed { error, .. } = world.row("endless").await.unwrap().state else {
        panic!("the job has not failed")
    };
    assert_eq!(error.code, "document_too_large");
    assert!(error.message.contains("32000"), "{}", error.message);
    assert_eq!(world.model.calls()["total"], 0);
}
