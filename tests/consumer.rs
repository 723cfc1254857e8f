//! The consumer's real binary: an event in, the exact batch response out, and
//! the row, the queue and the dead-letter queue as the design says.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use docket::domain::job::stored::State;
use serde_json::{Value, json};
use test_support::aws::{Letter, World};
use test_support::{event, read};

const TIME: Duration = Duration::from_secs(30);

fn nothing_failed() -> Value {
    json!({"batchItemFailures": []})
}

fn record(event: &Value, place: usize) -> &Value {
    &event["Records"][place]
}

fn id(event: &Value, place: usize) -> &str {
    record(event, place)["messageId"].as_str().expect("a message id")
}

fn failed(ids: &[&str]) -> Value {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    json!({"batchItemFailures": ids.iter().map(|id| json!({"itemIdentifier": id})).collect::<Vec<_>>()})
}

fn message(body: Value) -> (String, HashMap<String, String>) {
    (body.to_string(), HashMap::from([("priority".to_owned(), "normal".to_owned())]))
}

fn one(job_id: &str) -> (String, HashMap<String, String>) {
    message(json!({"job_id": job_id, "document": "The tenant pays a rent of 900 euros for the flat."}))
}

/// A dead letter as the message that its redrive would be.
fn redriven(letter: &Letter) -> (String, HashMap<String, String>) {
    (letter.body.clone(), letter.attributes.clone())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_good_batch_completes_and_nothing_is_wanted_again() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let event = event("sqs-batch");
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_failed()));
    for n in 1..=10 {
        let job_id = format!("sample-batch-{n:02}");
        let row = world.row(&job_id).await.expect("a row");
        let State::Complete(done) = &row.state else { panic!("{row:?}") };
        assert!(done.usage.input_tokens > 0 && done.usage.output_tokens > 0);
        assert_eq!((done.model_id.as_str(), done.stop_reason.as_str()), ("test.model-v1:0", "tool_use"));
        assert!(done.result.inline().unwrap()["summary"].as_str().is_some_and(|summary| summary.len() > 20));
        assert_eq!((row.attempt, row.charged_attempts), (1, 1));
        assert_eq!(row.batch_id.as_ref().map(|id| id.as_str()), Some("sample-batch"));
        assert!(row.document.size_bytes.is_some() && row.document.sha256.is_some());
    }
    assert_eq!(world.model.calls()["total"], 10);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_same_job_many_times_in_one_batch_makes_one_call() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"latency_ms": 300}));
    assert_eq!(consumer.invoke(event("sqs-duplicates"), TIME).await, Ok(nothing_failed()));
    assert_eq!(world.model.calls()["by_job"], json!({"sample-dup-a": 1, "sample-dup-b": 1}));
    // The whole batch comes again: a completed job is never sent to the model.
    assert_eq!(consumer.invoke(event("sqs-duplicates"), TIME).await, Ok(nothing_failed()));
    assert_eq!(world.model.calls()["total"], 2);
    assert_eq!(world.row("sample-dup-a").await.unwrap().attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_is_no_job_goes_to_the_dead_letter_queue_with_its_reason_and_the_rest_completes() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let event = event("sqs-malformed");
    let bodies: Vec<String> = (0..5).map(|n| record(&event, n)["body"].as_str().unwrap().to_owned()).collect();
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_failed()));
    assert_eq!(world.status("sample-among-malformed").await, "complete");
    let letters = world.letters().await;
    assert_eq!(letters.len(), 5);
    for body in bodies {
        let letter = letters.iter().find(|letter| letter.body == body).unwrap_or_else(|| panic!("lost: {body}"));
        assert_eq!(letter.attributes["error_code"], "malformed_message");
        assert!(!letter.attributes["error_message"].is_empty());
        assert_eq!(letter.attributes["priority"], "normal");
    }
    assert_eq!(world.model.calls()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn an_analysis_of_ones_own_is_asked_and_answered() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    assert_eq!(consumer.invoke(event("sqs-custom-analysis"), TIME).await, Ok(nothing_failed()));
    let State::Complete(labels) = world.row("sample-labels").await.unwrap().state else { panic!("not complete") };
    let label = labels.result.inline().unwrap()["classification"]["label"].as_str().unwrap();
    assert!(["residential lease", "commercial lease", "neither"].contains(&label));
    let State::Complete(schema) = world.row("sample-schema").await.unwrap().state else { panic!("not complete") };
    let schema = schema.result.inline().unwrap();
    assert!(schema["monthly_rent"].is_number() && schema.get("summary").is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_document_may_lie_in_a_bucket_and_one_that_does_not_fails_with_its_reason() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let text = read("events/documents/contract.txt");
    let size = text.len() as u64;
    s3.put_object().bucket(&world.bucket).key("a/contract ü.txt").body(text.into_bytes().into()).send().await.unwrap();
    let at = |key: &str| json!({"bucket": world.bucket, "key": key});
    let event = world
        .delivered(&[
            message(json!({"job_id": "there", "document_s3": at("a/contract ü.txt")})),
            message(json!({"job_id": "gone", "document_s3": at("a/gone.txt")})),
        ])
        .await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_failed()));
    let row = world.row("there").await.unwrap();
    assert_eq!(row.state.status().as_str(), "complete");
    assert_eq!(row.document.size_bytes, Some(size));
    let State::Failed { error, .. } = world.row("gone").await.unwrap().state else { panic!("not failed") };
    assert_eq!(error.code, "document_not_found");
    assert_eq!(world.letters().await[0].attributes["error_code"], "document_not_found");
    assert_eq!(world.model.calls()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn throttling_is_never_charged_to_a_document() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "throttling", "times": 5}]}));
    let event = world.delivered(&[one("throttled")]).await;
    for attempt in 1..=5 {
        assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failed(&[id(&event, 0)])));
        let row = world.row("throttled").await.unwrap();
        assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("pending", attempt, 0));
    }
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_failed()));
    let row = world.row("throttled").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("complete", 6, 1));
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_may_pass_is_tried_as_often_as_allowed_and_then_fails_with_the_last_reason() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MAX_ATTEMPTS", "2")]).await;
    world.model.behave(json!({"faults": [{"kind": "server_error"}]}));
    let event = world.delivered(&[one("unlucky")]).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failed(&[id(&event, 0)])));
    assert_eq!(world.status("unlucky").await, "pending");
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(nothing_failed()));
    let State::Failed { error, .. } = world.row("unlucky").await.unwrap().state else { panic!("not failed") };
    assert_eq!(error.code, "attempts_exhausted");
    assert!(error.message.contains("internal_server_exception"), "{}", error.message);
    let letter = &world.letters().await[0];
    assert_eq!(letter.body, record(&event, 0)["body"].as_str().unwrap());
    assert_eq!((letter.attributes["job_id"].as_str(), letter.attributes["failed_attempt"].as_str()), ("unlucky", "2"));
    assert_eq!(world.model.calls_of("unlucky"), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn poison_goes_straight_to_the_dead_letter_queue_and_its_redrive_runs_once_more() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "validation", "times": 1}]}));
    let event = world.delivered(&[one("poison")]).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(nothing_failed()));
    assert_eq!(world.status("poison").await, "failed");
    assert_eq!(world.model.calls_of("poison"), 1);
    // The same message again is not a redrive: it changes nothing.
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_failed()));
    assert_eq!((world.status("poison").await, world.model.calls_of("poison")), ("failed", 1));
    // The dead letter is: it begins the charged_attempts again, and its second copy does nothing.
    let letters = world.letters().await;
    assert_eq!((letters.len(), letters[0].attributes["error_code"].as_str()), (1, "validation_exception"));
    let redrive = world.delivered(&[redriven(&letters[0]), redriven(&letters[0])]).await;
    assert_eq!(consumer.invoke(redrive, TIME).await, Ok(nothing_failed()));
    let row = world.row("poison").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("complete", 2, 1));
    assert_eq!(world.model.calls_of("poison"), 2);
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn no_model_call_begins_without_time_for_it() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let event = world.delivered(&[one("late")]).await;
    // The model's time-out is 5 s.
    assert_eq!(consumer.invoke(event.clone(), Duration::from_secs(7)).await, Ok(failed(&[id(&event, 0)])));
    assert_eq!((world.status("late").await, world.model.calls_of("late")), ("none", 0));
    assert_eq!(consumer.invoke(event, TIME).await, Ok(nothing_failed()));
    assert_eq!((world.status("late").await, world.model.calls_of("late")), ("complete", 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_hanging_model_ends_at_its_time_out_and_harms_no_other_record() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MODEL_TIMEOUT_SECONDS", "2")]).await;
    world.model.behave(json!({"faults": [{"kind": "hang", "job_id": "hangs"}]}));
    let event = world.delivered(&[one("hangs"), one("runs")]).await;
    let hanging = (0..2).find(|n| record(&event, *n)["body"].as_str().unwrap().contains("hangs")).unwrap();
    let begun = Instant::now();
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failed(&[id(&event, hanging)])));
    assert!(begun.elapsed() >= Duration::from_secs(2), "the model's time-out is 2 s");
    let row = world.row("hangs").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.charged_attempts), ("pending", 1));
    assert_eq!(world.status("runs").await, "complete");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_message_without_an_id_or_a_body_is_not_lost() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let mut event = world.delivered(&[one("nameless")]).await;
    event["Records"][0].as_object_mut().unwrap().remove("messageId");
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(nothing_failed()), "it completed, so it needs no name");
    world.model.behave(json!({"faults": [{"kind": "throttling"}]}));
    event["Records"][0]["body"] = json!(r#"{"job_id": "nameless-2", "document": "x"}"#);
    let error = consumer.invoke(event, TIME).await.expect_err("the whole batch is wanted again");
    assert!(error["errorMessage"].as_str().unwrap().contains("without a message id"), "{error}");
    let no_body = json!({"Records": [{"messageId": "m-1", "receiptHandle": "r"}]});
    assert_eq!(consumer.invoke(no_body, TIME).await, Ok(nothing_failed()));
    assert_eq!(world.letters().await[0].attributes["error_code"], "malformed_message");
    assert_eq!(consumer.invoke(json!({"Records": []}), TIME).await, Ok(nothing_failed()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_message_that_is_wanted_again_waits_as_long_as_it_should() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "throttling", "times": 1}]}));
    let event = world.delivered(&[one("patient")]).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failed(&[id(&event, 0)])));
    // It was received for 600 s; the backoff after one delivery is at most 2 s.
    test_support::eventually("the message's return", async || (world.queued().await.0 == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn no_text_of_a_document_or_an_answer_is_logged_whatever_the_level() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("RUST_LOG", "trace")]).await;
    world.model.behave(json!({"faults": [{"kind": "unfit", "job_id": "secret-2"}]}));
    let secret = "The codeword is Xylophonquartz, and nobody shall read it in a log.";
    let event = world
        .delivered(&[
            message(json!({"job_id": "secret-1", "document": secret})),
            message(json!({"job_id": "secret-2", "document": secret})),
            message(json!({"job_id": 3, "document": secret})),
        ])
        .await;
    consumer.invoke(event, TIME).await.expect("a response");
    assert!(world.row("secret-1").await.is_some_and(|row| format!("{row:?}").contains("Xylophonquartz")));
    let output = consumer.output().await;
    assert!(output.contains("secret-1") && output.contains("record handled"), "{output}");
    assert!(output.contains("\"completed\":1"), "the metrics are told: {output}");
    assert!(!output.contains("Xylophonquartz"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_records_of_a_batch_run_side_by_side_within_the_bound() {
    let world = World::new().await;
    world.model.behave(json!({"latency_ms": 500}));
    let messages: Vec<_> = (0..8).map(|n| one(&format!("side-{n}"))).collect();
    let consumer = world.consumer().await;
    assert_eq!(consumer.invoke(world.delivered(&messages).await, TIME).await, Ok(nothing_failed()));
    assert_eq!(world.model.calls()["peak_in_flight"], 8);
    test_support::stand_in::reset(&world.model.url);
    world.model.behave(json!({"latency_ms": 200}));
    let bounded = world.consumer_with(&[("MAX_CONCURRENT_RECORDS", "3")]).await;
    let messages: Vec<_> = (0..8).map(|n| one(&format!("bound-{n}"))).collect();
    assert_eq!(bounded.invoke(world.delivered(&messages).await, TIME).await, Ok(nothing_failed()));
    assert_eq!(world.model.calls()["peak_in_flight"], 3);
}
