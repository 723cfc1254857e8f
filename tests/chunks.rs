//! A text longer than one call takes: a call for each part and one that joins
//! their results, and no part paid for twice.

use std::collections::HashMap;
use std::time::Duration;

use docket::aws::chunk_results::ChunkResult;
use docket::domain::job::stored::{Completed, State, Usage};
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::event;

const TIME: Duration = Duration::from_secs(60);
const CHUNK_BYTES: (&str, &str) = ("CHUNK_MAX_BYTES", "10000");

/// Five parts, when it is cut into [`CHUNK_BYTES`].
fn text_of_five_chunks() -> String {
    let paragraph =
        |n: usize| format!("In month {n} the tenant pays the landlord a rent of {} euros for the flat.\n\n", 900 + n);
    (0..600).map(paragraph).collect()
}

async fn delivered(world: &World, job_id: &str, text: &str) -> Value {
    let body = json!({"job_id": job_id, "document": text}).to_string();
    world.delivered(&[(body, HashMap::new())]).await
}

fn wanted_again(event: &Value) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]})
}

fn nothing_wanted() -> Value {
    json!({"batchItemFailures": []})
}

async fn completed(world: &World, job_id: &str) -> Completed {
    match world.row(job_id).await.expect("a row").state {
        State::Complete(done) => *done,
        other => panic!("{other:?}"),
    }
}

/// The results that lie in the bucket.
async fn stored(world: &World) -> Vec<ChunkResult> {
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let found = s3.list_objects_v2().bucket(&world.bucket).prefix("parts/").send().await.expect("the bucket answers");
    let mut results = Vec::new();
    for object in found.contents() {
        let key = object.key().expect("a key");
        let object = s3.get_object().bucket(&world.bucket).key(key).send().await.expect("there");
        let bytes = object.body.collect().await.expect("whole").into_bytes();
        results.push(serde_json::from_slice(&bytes).expect("a result"));
    }
    results
}

fn sum(results: &[ChunkResult]) -> Usage {
    results.iter().fold(Usage::default(), |sum, result| Usage {
        input_tokens: sum.input_tokens + result.usage.input_tokens,
        output_tokens: sum.output_tokens + result.usage.output_tokens,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_text_of_five_parts_is_six_calls_and_its_usage_their_sum() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    world.model.behave(json!({"latency_ms": 300}));
    let message = delivered(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(message, TIME).await, Ok(nothing_wanted()));
    let done = completed(&world, "long").await;
    assert_eq!(done.chunks, Some(5));
    assert_eq!(done.result.inline().unwrap()["classification"]["label"], "lease");
    assert!(done.model_latency_ms >= 6 * 300, "{} ms", done.model_latency_ms);
    assert_eq!(world.model.calls_of("long"), 6);
    assert_eq!(world.model.calls()["peak_in_flight"], 4, "side by side, within the bound");
    let results = stored(&world).await;
    assert_eq!((results.len(), sum(&results)), (6, done.usage));
    let producer = world.producer().await;
    let mut request = event("api-get-job");
    request["pathParameters"]["job_id"] = json!("long");
    let answer = producer.invoke(request, TIME).await.expect("an answer");
    let view: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(view["parts"], 5, "{view}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_part_that_is_throttled_costs_no_other_part_a_second_call() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    world.model.behave(json!({"latency_ms": 500, "faults": [{"kind": "throttling", "times": 1}]}));
    let event = delivered(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(wanted_again(&event)));
    let row = world.row("long").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.charged_attempts), ("pending", 0), "throttling is not charged");
    assert_eq!((world.model.calls_of("long"), stored(&world).await.len()), (4, 3), "those that ran were heard out");
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_wanted()));
    assert_eq!(world.model.calls_of("long"), 7, "five parts, one that joins them, one that was throttled");
    let done = completed(&world, "long").await;
    assert_eq!((done.chunks, done.usage), (Some(5), sum(&stored(&world).await)), "stored ones are counted too");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_an_invocation_has_no_time_for_goes_on_in_the_next() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    // A call begins with 5 s for it and 6.75 s for what follows: after one of
    // 2.5 s there is no time for another.
    let time = Duration::from_secs(14);
    world.model.behave(json!({"latency_ms": 2_500}));
    let event = delivered(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(event.clone(), time).await, Ok(wanted_again(&event)));
    assert_eq!((world.model.calls_of("long"), world.row("long").await.unwrap().charged_attempts), (4, 0));
    assert_eq!(consumer.invoke(event.clone(), time).await, Ok(wanted_again(&event)));
    assert_eq!((world.model.calls_of("long"), world.row("long").await.unwrap().charged_attempts), (5, 0));
    assert_eq!(consumer.invoke(event, time).await, Ok(nothing_wanted()));
    assert_eq!((world.model.calls_of("long"), completed(&world, "long").await.chunks), (6, Some(5)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_part_that_cannot_pass_ends_the_job() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    let faults = json!([{"kind": "throttling", "times": 1}, {"kind": "validation", "times": 1}]);
    world.model.behave(json!({"latency_ms": 300, "faults": faults}));
    let event = delivered(&world, "long", &text_of_five_chunks()).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_wanted()));
    let State::Failed { error, .. } = world.row("long").await.unwrap().state else { panic!("not failed") };
    assert_eq!(error.code, "validation_exception", "of several errors the one that says most");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn results_that_are_longer_than_a_part_are_joined_in_levels() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("CHUNK_MAX_BYTES", "1000")]).await;
    let event = delivered(&world, "long", &text_of_five_chunks()[..12_000]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_wanted()));
    let done = completed(&world, "long").await;
    let parts = u64::from(done.chunks.expect("parts"));
    assert!((12..=24).contains(&parts), "{parts} parts");
    let calls = world.model.calls_of("long");
    assert!(calls > parts + 1 && calls < 2 * parts, "{calls} calls for {parts} parts");
    assert_eq!(stored(&world).await.len() as u64, calls);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_text_of_one_part_is_one_call_and_the_bucket_is_left_alone() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[CHUNK_BYTES]).await;
    let event = delivered(&world, "short", &text_of_five_chunks()[..10_000]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_wanted()));
    assert_eq!((world.model.calls_of("short"), completed(&world, "short").await.chunks), (1, None));
    assert!(stored(&world).await.is_empty());
    assert!(!world.item("short").await.contains_key("parts"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_text_of_more_parts_than_there_may_be_is_told_the_limit_and_costs_nothing() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("CHUNK_MAX_BYTES", "1000")]).await;
    let event = delivered(&world, "endless", &"x".repeat(32_001)).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_wanted()));
    let State::Failed { error, .. } = world.row("endless").await.unwrap().state else { panic!("not failed") };
    assert_eq!(error.code, "document_too_large");
    assert!(error.message.contains("32000"), "{}", error.message);
    assert_eq!(world.model.calls()["total"], 0);
}
