//! Jobs that run as long invocations, through the consumer's real binary. Repeated
//! starts make one invocation, no function waits for it, and every job ends as its
//! invocation did.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use docket::clock::now;
use docket::domain::job::stored::State;
use docket::domain::limits::MESSAGE_MAX_BYTES;
use serde_json::{Value, json};
use test_support::aws::{World, receive};
use test_support::event;
use test_support::event_source::deliver_records;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(30);
/// Longest wait for the end of a job, for slow machines.
const PATIENCE: Duration = Duration::from_secs(150);

fn body(job_id: &str) -> String {
    let async_invoke =
        json!({"model_id": "amazon.nova-reel-v1:1", "model_input": {"text": "a piano"}, "tags": {"team": "a"}});
    json!({"job_id": job_id, "async_invoke": async_invoke, "metadata": {"n": 1}}).to_string()
}

/// Delivers the queue's messages to a consumer, as an event source mapping does,
/// until `is_done` returns true.
async fn deliver(world: &World, consumer: &Function, mut is_done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_done().await {
        assert!(
            begun.elapsed() < PATIENCE,
            "the job did not end in time; messages in the queue: {:?}",
            world.queued().await
        );
        let records = receive(&world.sdk, &world.queue, 60).await;
        if records.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            deliver_records(world, consumer, records, TIME).await;
        }
    }
}

/// Delivers until the job has this status and the queue is empty.
async fn deliver_until_ended(world: &World, consumer: &Function, job_id: &str, status: &str) {
    deliver(world, consumer, async || world.status(job_id).await == status && world.queued().await == (0, 0)).await;
}

async fn deliver_until_waiting(world: &World, consumer: &Function, job_id: &str) {
    deliver(world, consumer, async || world.item(job_id).await.contains_key("waiting")).await;
}

async fn read_error(world: &World, job_id: &str) -> (String, String) {
    match world.row(job_id).await.expect("a stored job").state {
        State::Failed { error, .. } => (error.code, error.message),
        other => panic!("the job has not failed: {other:?}"),
    }
}

fn async_calls(world: &World) -> Value {
    world.model.calls()["async"].clone()
}

/// Receives the poll that is due.
async fn receive_due_poll(world: &World) -> Value {
    let begun = Instant::now();
    loop {
        let mut records = receive(&world.sdk, &world.queue, 600).await;
        if let Some(record) = records.pop() {
            return record;
        }
        assert!(begun.elapsed() < PATIENCE, "no poll was delivered in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn twenty_messages_and_a_dead_worker_make_one_invocation() {
    let world = World::new().await;
    let doomed = world.consumer_with(&[("MAX_ATTEMPTS", "5")]).await;
    let consumer = world.consumer_with(&[("MAX_ATTEMPTS", "5")]).await;
    let other = world.consumer_with(&[("MAX_ATTEMPTS", "5")]).await;
    // Bedrock receives the first start and does not answer it. The answer to the
    // second start is lost.
    let faults = json!([{"kind": "hang", "times": 1}, {"kind": "answer_lost", "times": 1}]);
    world.model.behave(json!({"async_latency_ms": 20_000, "async_faults": faults}));
    for _ in 0..20 {
        world.send(&body("twenty")).await;
    }
    let first = receive(&world.sdk, &world.queue, 5).await;
    let dying = doomed.try_invoke(json!({"Records": first}), Duration::from_secs(10), Duration::from_secs(3)).await;
    assert_eq!(dying, None, "the consumer waits for the answer");
    doomed.output().await;
    assert_eq!((&async_calls(&world)["starts"], &async_calls(&world)["invocations"]), (&json!(1), &json!(1)));
    tokio::join!(
        deliver_until_ended(&world, &consumer, "twenty", "complete"),
        deliver_until_ended(&world, &other, "twenty", "complete")
    );
    let calls = async_calls(&world);
    assert_eq!(calls["invocations"], 1, "{calls}");
    assert_eq!(calls["starts"], 3, "an invocation with a stored ARN is not started again: {calls}");
    let row = world.row("twenty").await.unwrap();
    let State::Complete(done) = row.state else { panic!("the job is not complete") };
    assert_eq!(
        (row.charged_attempts, row.possible_duplicate_call),
        // The attempt of the dead worker is not charged.
        (2, false),
        "polls are not charged, and no call is paid twice"
    );
    assert_eq!((done.usage.input_tokens, done.model_id.as_str()), (0, "amazon.nova-reel-v1:1"));
    let output = &done.result.inline().unwrap()["output"];
    let names: Vec<&str> =
        output["objects"].as_array().unwrap().iter().filter_map(|o| o["key"].as_str()?.rsplit('/').next()).collect();
    assert_eq!(names, ["manifest.json", "output.json"], "{output}");
    let prefix = format!("s3://{}/results/twenty/", world.bucket);
    assert!(output["s3_uri"].as_str().unwrap().starts_with(&prefix), "{output}");
    assert!(output["objects"][1]["size_bytes"].as_u64().unwrap() > 10);
    assert!(world.drain_dead_letters().await.is_empty());
    for function in [consumer, other] {
        let output = function.output().await;
        let longest = longest_ms(&output);
        assert!(longest < 10_000, "a function waited {longest} ms for the invocation of 20 s");
        assert!(output.contains("\"outcome\":\"waiting\"") || output.contains("\"outcome\":\"superseded\""));
    }
}

/// How long the longest batch of a function took.
fn longest_ms(output: &str) -> u64 {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["elapsed_ms"].as_u64()).max().expect("a batch was handled")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn redrive_of_a_failed_invocation_starts_another_one() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("RUST_LOG", "trace")]).await;
    let words = "the prompt speaks of Xylophonquartz";
    let fault = json!({"kind": "failed", "on": "invocation", "times": 1, "message": words});
    world.model.behave(json!({"async_latency_ms": 1_000, "async_faults": [fault]}));
    world.send(&body("fails")).await;
    deliver_until_ended(&world, &consumer, "fails", "failed").await;
    assert_eq!(read_error(&world, "fails").await, ("invocation_failed".into(), words.into()));
    let attempt = world.row("fails").await.unwrap().attempt;
    let letters = world.drain_dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].body, letters[0].attributes.get("poll")), (&body("fails"), None));
    assert_eq!(letters[0].attributes["error_code"], "invocation_failed");
    assert_eq!(letters[0].attributes["failed_attempt"], attempt.to_string());
    // Two copies of the redrive.
    let redriven = (letters[0].body.clone(), letters[0].attributes.clone());
    let event = world.deliver(&[redriven.clone(), redriven]).await;
    for record in event["Records"].as_array().unwrap() {
        deliver_records(&world, &consumer, vec![record.clone()], TIME).await;
    }
    deliver_until_ended(&world, &consumer, "fails", "complete").await;
    let calls = async_calls(&world);
    assert_eq!((&calls["starts"], &calls["invocations"]), (&json!(2), &json!(2)));
    assert_eq!(calls["by_token"].as_object().unwrap().len(), 2, "a redrive uses another token");
    let row = world.row("fails").await.unwrap();
    assert_eq!((row.generation, row.charged_attempts), (attempt, 1));
    assert!(world.drain_dead_letters().await.is_empty());
    let output = consumer.output().await;
    assert!(output.contains("\"outcome\":\"dead_lettered\"") && !output.contains("Xylophonquartz"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn one_copy_of_a_poll_continues_and_old_copies_do_nothing() {
    let world = World::new().await;
    let consumers = [world.consumer().await, world.consumer().await, world.consumer().await];
    let fault = json!({"kind": "failed", "on": "invocation"});
    world.model.behave(json!({"async_latency_ms": 1_000, "async_faults": [fault]}));
    world.send(&body("copies")).await;
    deliver_until_waiting(&world, &consumers[0], "copies").await;
    let poll = receive_due_poll(&world).await;
    assert_eq!(poll["messageAttributes"]["poll"]["stringValue"], "0.1");
    assert_eq!(poll["body"].as_str(), Some(body("copies").as_str()), "a poll has the body of the job's message");
    let deliveries = consumers.iter().map(|consumer| deliver_records(&world, consumer, vec![poll.clone()], TIME));
    futures_util::future::join_all(deliveries).await;
    assert_eq!(world.status("copies").await, "failed");
    assert_eq!(
        (world.drain_dead_letters().await.len(), &async_calls(&world)["gets"]),
        (1, &json!(1)),
        "one of three copies resumed the job"
    );
    // Old copies of the poll and of the job's message change nothing and are acknowledged.
    let before = world.item("copies").await;
    let copies = json!({"Records": [poll, {"messageId": "old", "receiptHandle": "r", "body": body("copies")}]});
    assert_eq!(consumers[0].invoke(copies, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(world.item("copies").await, before);
    assert_eq!((&async_calls(&world)["starts"], &async_calls(&world)["gets"]), (&json!(1), &json!(1)));
    assert!(world.drain_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn failed_start_ends_the_attempt_as_a_failed_call_would() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    for (kind, status, charged_attempts, code) in [
        ("throttling", "pending", 0, ""),
        ("unavailable", "pending", 0, ""),
        ("quota_exceeded", "pending", 0, ""),
        ("server_error", "pending", 1, ""),
        ("conflict", "failed", 1, "conflict_exception"),
        ("validation", "failed", 1, "validation_exception"),
        // A fault of the account fails no job: its message is retried.
        ("access_denied", "pending", 0, ""),
    ] {
        world.model.behave(json!({"async_faults": [{"kind": kind}]}));
        let event = world.deliver(&[(body(kind), HashMap::new())]).await;
        consumer.invoke(event, TIME).await.expect("a response");
        let row = world.row(kind).await.expect("a stored job");
        assert_eq!((row.state.status().as_str(), row.charged_attempts), (status, charged_attempts), "{kind}");
        let letters = world.drain_dead_letters().await;
        assert_eq!(letters.first().map_or("", |letter| &letter.attributes["error_code"]), code, "{kind}");
        assert!(row.invocation.is_none());
    }
    // A message without space for a poll's attribute starts no invocation: no poll could
    // follow it.
    let full = body("full") + &" ".repeat(MESSAGE_MAX_BYTES - body("full").len());
    let event = world.deliver(&[(full, HashMap::new())]).await;
    consumer.invoke(event, TIME).await.expect("a response");
    assert_eq!(read_error(&world, "full").await.0, "message_too_large");
    assert_eq!(async_calls(&world)["invocations"], 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unanswered_poll_is_repeated_and_not_charged() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MODEL_TIMEOUT_SECONDS", "2"), ("MAX_ATTEMPTS", "1")]).await;
    let kinds = ["throttling", "server_error", "hang", "answer_lost", "access_denied"];
    let faults: Vec<Value> = kinds.iter().map(|kind| json!({"kind": kind, "on": "get", "times": 1})).collect();
    world.model.behave(json!({"async_faults": faults}));
    world.send(&body("unanswered")).await;
    deliver_until_ended(&world, &consumer, "unanswered", "complete").await;
    let row = world.row("unanswered").await.unwrap();
    assert_eq!(
        (row.charged_attempts, &async_calls(&world)["gets"], &async_calls(&world)["starts"]),
        (1, &json!(6), &json!(1))
    );
    assert_eq!(row.attempt, 7, "each poll increments the attempt, and none is charged");
    // A permanent error of a poll ends the job.
    world.model.behave(json!({"async_faults": [{"kind": "validation", "on": "get"}]}));
    world.send(&body("refused")).await;
    deliver_until_ended(&world, &consumer, "refused", "failed").await;
    assert_eq!(read_error(&world, "refused").await.0, "validation_exception");
    assert_eq!(world.drain_dead_letters().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn endless_invocation_fails_with_its_arn_after_the_limit() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"async_latency_ms": 3_600_000}));
    world.send(&body("endless")).await;
    deliver_until_waiting(&world, &consumer, "endless").await;
    let mut item = world.item("endless").await;
    let arn = item["invocation_arn"].as_s().unwrap().clone();
    let yesterday = (now() - Duration::from_secs(24 * 3600 + 60)).to_string();
    item.insert("invocation_started_at".into(), AttributeValue::S(yesterday));
    world.put_item(item).await;
    deliver_until_ended(&world, &consumer, "endless", "failed").await;
    let (code, message) = read_error(&world, "endless").await;
    assert_eq!(code, "invocation_timed_out");
    assert!(message.contains(&arn), "{message}");
    assert_eq!(world.drain_dead_letters().await[0].attributes["error_code"], "invocation_timed_out");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn cancelled_job_is_not_polled_and_notes_its_invocation() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"async_latency_ms": 8_000}));
    world.send(&body("cancelled")).await;
    deliver_until_waiting(&world, &consumer, "cancelled").await;
    let producer = world.producer().await;
    let mut request = event("api-get-job");
    request["pathParameters"]["job_id"] = json!("cancelled");
    let read_job = async |request: &Value| -> Value {
        let answer = producer.invoke(request.clone(), TIME).await.expect("an answer");
        serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON")
    };
    let running = read_job(&request).await;
    let arn = running["invocation_arn"].as_str().expect("an ARN").to_owned();
    assert_eq!((running["status"].as_str(), running.get("note")), (Some("processing"), None));
    world.jobs().cancel(&"cancelled".parse().unwrap(), now()).await.expect("the table answers");
    let view = read_job(&request).await;
    assert_eq!((view["status"].as_str(), view["invocation_arn"].as_str()), (Some("cancelled"), Some(arn.as_str())));
    assert!(view["note"].as_str().unwrap().contains("may continue"), "{view}");
    deliver_records(&world, &consumer, vec![receive_due_poll(&world).await], TIME).await;
    assert_eq!((world.queued().await, world.status("cancelled").await), ((0, 0), "cancelled"));
    assert_eq!(async_calls(&world)["gets"], 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn no_start_and_no_poll_begins_without_time_for_it() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.send(&body("late")).await;
    // A start may take 5 s here, the model's time-out, and its ending 4.75 s.
    let short = Duration::from_secs(7);
    deliver_records(&world, &consumer, receive(&world.sdk, &world.queue, 60).await, short).await;
    assert_eq!((world.status("late").await, &async_calls(&world)["starts"]), ("none", &json!(0)));
    deliver_until_waiting(&world, &consumer, "late").await;
    deliver_records(&world, &consumer, vec![receive_due_poll(&world).await], short).await;
    assert_eq!((world.status("late").await, &async_calls(&world)["gets"]), ("processing", &json!(0)));
    deliver_until_ended(&world, &consumer, "late", "complete").await;
}
