//! The consumer's real binary: each event has an exact batch response, and an exact
//! effect on the stored job, the queue and the dead-letter queue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use docket::domain::job::stored::State;
use serde_json::{Value, json};
use test_support::aws::{ReceivedMessage, World};
use test_support::{event, read};

const TIME: Duration = Duration::from_secs(30);

fn no_failures() -> Value {
    json!({"batchItemFailures": []})
}

fn record(event: &Value, place: usize) -> &Value {
    &event["Records"][place]
}

fn message_id(event: &Value, place: usize) -> &str {
    record(event, place)["messageId"].as_str().expect("a message id")
}

fn failures(ids: &[&str]) -> Value {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    json!({"batchItemFailures": ids.iter().map(|id| json!({"itemIdentifier": id})).collect::<Vec<_>>()})
}

fn message(body: Value) -> (String, HashMap<String, String>) {
    (body.to_string(), HashMap::from([("priority".to_owned(), "normal".to_owned())]))
}

fn inline_message(job_id: &str) -> (String, HashMap<String, String>) {
    message(json!({"job_id": job_id, "document": "The tenant pays a rent of 900 euros for the flat."}))
}

/// The message that the redrive of a dead letter sends.
fn redrive_message(letter: &ReceivedMessage) -> (String, HashMap<String, String>) {
    (letter.body.clone(), letter.attributes.clone())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn valid_batch_completes_and_no_record_fails() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let event = event("sqs-batch");
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    for n in 1..=10 {
        let job_id = format!("sample-batch-{n:02}");
        let row = world.row(&job_id).await.expect("a stored job");
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
async fn repeated_job_in_one_batch_makes_one_call() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"latency_ms": 300}));
    assert_eq!(consumer.invoke(event("sqs-duplicates"), TIME).await, Ok(no_failures()));
    assert_eq!(world.model.calls()["by_job"], json!({"sample-dup-a": 1, "sample-dup-b": 1}));
    // The batch is redelivered: a completed job is not sent to the model again.
    assert_eq!(consumer.invoke(event("sqs-duplicates"), TIME).await, Ok(no_failures()));
    assert_eq!(world.model.calls()["total"], 2);
    assert_eq!(world.row("sample-dup-a").await.unwrap().attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn malformed_message_is_dead_lettered_and_others_complete() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let event = event("sqs-malformed");
    let bodies: Vec<String> = (0..5).map(|n| record(&event, n)["body"].as_str().unwrap().to_owned()).collect();
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    assert_eq!(world.status("sample-among-malformed").await, "complete");
    let letters = world.drain_dead_letters().await;
    assert_eq!(letters.len(), 5);
    for body in bodies {
        let letter = letters
            .iter()
            .find(|letter| letter.body == body)
            .unwrap_or_else(|| panic!("there is no dead letter with the body {body}"));
        assert_eq!(letter.attributes["error_code"], "malformed_message");
        assert!(!letter.attributes["error_message"].is_empty());
        assert_eq!(letter.attributes["priority"], "normal");
    }
    assert_eq!(world.model.calls()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn custom_labels_and_custom_schema_are_answered() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    assert_eq!(consumer.invoke(event("sqs-custom-analysis"), TIME).await, Ok(no_failures()));
    let State::Complete(labels) = world.row("sample-labels").await.unwrap().state else {
        panic!("the job is not complete")
    };
    let label = labels.result.inline().unwrap()["classification"]["label"].as_str().unwrap();
    assert!(["residential lease", "commercial lease", "neither"].contains(&label));
    let State::Complete(schema) = world.row("sample-schema").await.unwrap().state else {
        panic!("the job is not complete")
    };
    let schema = schema.result.inline().unwrap();
    assert!(schema["monthly_rent"].is_number() && schema.get("summary").is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_in_a_bucket_completes_and_a_missing_one_fails() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let text = read("events/documents/contract.txt");
    let size = text.len() as u64;
    s3.put_object().bucket(&world.bucket).key("a/contract ü.txt").body(text.into_bytes().into()).send().await.unwrap();
    let at = |key: &str| json!({"bucket": world.bucket, "key": key});
    let event = world
        .deliver(&[
            message(json!({"job_id": "stored", "document_s3": at("a/contract ü.txt")})),
            message(json!({"job_id": "missing", "document_s3": at("a/missing.txt")})),
        ])
        .await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let row = world.row("stored").await.unwrap();
    assert_eq!(row.state.status().as_str(), "complete");
    assert_eq!(row.document.size_bytes, Some(size));
    let State::Failed { error, .. } = world.row("missing").await.unwrap().state else {
        panic!("the job has not failed")
    };
    assert_eq!(error.code, "document_not_found");
    assert_eq!(world.drain_dead_letters().await[0].attributes["error_code"], "document_not_found");
    assert_eq!(world.model.calls()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn throttled_attempts_are_not_charged() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "throttling", "times": 5}]}));
    let event = world.deliver(&[inline_message("throttled")]).await;
    for attempt in 1..=5 {
        assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failures(&[message_id(&event, 0)])));
        let row = world.row("throttled").await.unwrap();
        assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("pending", attempt, 0));
        world.end_backoff("throttled").await;
    }
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let row = world.row("throttled").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("complete", 6, 1));
    assert!(world.drain_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn transient_errors_fail_the_job_after_its_last_attempt() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MAX_ATTEMPTS", "2")]).await;
    // The canary succeeds, so the errors are the document's own.
    world.model.behave(json!({"faults": [{"kind": "server_error", "job_id": "unlucky"}]}));
    let event = world.deliver(&[inline_message("unlucky")]).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failures(&[message_id(&event, 0)])));
    assert_eq!(world.status("unlucky").await, "pending");
    world.end_backoff("unlucky").await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(no_failures()));
    let State::Failed { error, .. } = world.row("unlucky").await.unwrap().state else {
        panic!("the job has not failed")
    };
    assert_eq!(error.code, "attempts_exhausted");
    assert!(error.message.contains("internal_server_exception"), "{}", error.message);
    let letter = &world.drain_dead_letters().await[0];
    assert_eq!(letter.body, record(&event, 0)["body"].as_str().unwrap());
    assert_eq!((letter.attributes["job_id"].as_str(), letter.attributes["failed_attempt"].as_str()), ("unlucky", "2"));
    assert_eq!(world.model.calls_of("unlucky"), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn poison_is_dead_lettered_and_its_redrive_runs_once() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "validation", "times": 1}]}));
    let event = world.deliver(&[inline_message("poison")]).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(no_failures()));
    assert_eq!(world.status("poison").await, "failed");
    assert_eq!(world.model.calls_of("poison"), 1);
    // A second copy of the message is not a redrive: it changes nothing.
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    assert_eq!((world.status("poison").await, world.model.calls_of("poison")), ("failed", 1));
    // A redrive of the dead letter restarts the charged attempts. Its second copy does nothing.
    let letters = world.drain_dead_letters().await;
    assert_eq!((letters.len(), letters[0].attributes["error_code"].as_str()), (1, "validation_exception"));
    let redrive = world.deliver(&[redrive_message(&letters[0]), redrive_message(&letters[0])]).await;
    assert_eq!(consumer.invoke(redrive, TIME).await, Ok(no_failures()));
    let row = world.row("poison").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("complete", 2, 1));
    assert_eq!(world.model.calls_of("poison"), 2);
    assert!(world.drain_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn model_call_does_not_begin_without_time_for_it() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let event = world.deliver(&[inline_message("late")]).await;
    // A call may take 5 s, the model's time-out, and its ending 4.75 s.
    assert_eq!(consumer.invoke(event.clone(), Duration::from_secs(7)).await, Ok(failures(&[message_id(&event, 0)])));
    assert_eq!((world.status("late").await, world.model.calls_of("late")), ("none", 0));
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    assert_eq!((world.status("late").await, world.model.calls_of("late")), ("complete", 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn hanging_call_times_out_and_harms_no_other_record() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MODEL_TIMEOUT_SECONDS", "2")]).await;
    world.model.behave(json!({"faults": [{"kind": "hang", "job_id": "hangs"}]}));
    let event = world.deliver(&[inline_message("hangs"), inline_message("runs")]).await;
    let hanging = (0..2).find(|n| record(&event, *n)["body"].as_str().unwrap().contains("hangs")).unwrap();
    let begun = Instant::now();
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failures(&[message_id(&event, hanging)])));
    assert!(begun.elapsed() >= Duration::from_secs(2), "the model's time-out is 2 s");
    let row = world.row("hangs").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.charged_attempts), ("pending", 1));
    assert_eq!(world.status("runs").await, "complete");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn message_without_an_id_or_a_body_is_not_lost() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let mut event = world.deliver(&[inline_message("nameless")]).await;
    event["Records"][0].as_object_mut().unwrap().remove("messageId");
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(no_failures()), "a completed record needs no message id");
    world.model.behave(json!({"faults": [{"kind": "throttling"}]}));
    event["Records"][0]["body"] = json!(r#"{"job_id": "nameless-2", "document": "x"}"#);
    let error = consumer.invoke(event, TIME).await.expect_err("the invocation fails, so all records are retried");
    assert!(error["errorMessage"].as_str().unwrap().contains("has no message id"), "{error}");
    let no_body = json!({"Records": [{"messageId": "m-1", "receiptHandle": "r"}]});
    assert_eq!(consumer.invoke(no_body, TIME).await, Ok(no_failures()));
    assert_eq!(world.drain_dead_letters().await[0].attributes["error_code"], "malformed_message");
    assert_eq!(consumer.invoke(json!({"Records": []}), TIME).await, Ok(no_failures()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn retried_message_becomes_visible_after_its_backoff() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "throttling", "times": 1}]}));
    let event = world.deliver(&[inline_message("patient")]).await;
    assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(failures(&[message_id(&event, 0)])));
    // Its visibility time-out was 600 s. The backoff after one delivery is at most 2 s.
    test_support::eventually("the retried message", async || (world.queued().await.0 == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_and_answer_texts_are_logged_at_no_level() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("RUST_LOG", "trace")]).await;
    world.model.behave(json!({"faults": [{"kind": "unfit", "job_id": "secret-2"}]}));
    let secret = "The codeword is Xylophonquartz, and nobody shall read it in a log.";
    let event = world
        .deliver(&[
            message(json!({"job_id": "secret-1", "document": secret})),
            message(json!({"job_id": "secret-2", "document": secret})),
            message(json!({"job_id": 3, "document": secret})),
        ])
        .await;
    consumer.invoke(event, TIME).await.expect("a response");
    assert!(world.row("secret-1").await.is_some_and(|row| format!("{row:?}").contains("Xylophonquartz")));
    let output = consumer.output().await;
    assert!(output.contains("secret-1") && output.contains("record handled"), "{output}");
    assert!(output.contains("\"completed\":1"), "no metric in the output: {output}");
    assert!(!output.contains("Xylophonquartz"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn records_of_a_batch_run_concurrently_within_the_limit() {
    let world = World::new().await;
    world.model.behave(json!({"latency_ms": 500}));
    let messages: Vec<_> = (0..8).map(|n| inline_message(&format!("concurrent-{n}"))).collect();
    let consumer = world.consumer().await;
    assert_eq!(consumer.invoke(world.deliver(&messages).await, TIME).await, Ok(no_failures()));
    assert_eq!(world.model.calls()["peak_in_flight"], 8);
    test_support::stand_in::reset(&world.model.url);
    world.model.behave(json!({"latency_ms": 200}));
    let limited = world.consumer_with(&[("MAX_CONCURRENT_RECORDS", "3")]).await;
    let messages: Vec<_> = (0..8).map(|n| inline_message(&format!("limited-{n}"))).collect();
    assert_eq!(limited.invoke(world.deliver(&messages).await, TIME).await, Ok(no_failures()));
    assert_eq!(world.model.calls()["peak_in_flight"], 3);
}
