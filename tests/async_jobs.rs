//! Jobs for models that work for minutes, through the consumer's real binary:
//! one invocation however often it is started, no function that waits, and each
//! job's right ending.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use docket::clock::now;
use docket::domain::job::stored::State;
use docket::domain::limits::MESSAGE_MAX_BYTES;
use serde_json::{Value, json};
use test_support::aws::{World, receive};
use test_support::event;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(30);
/// A job ends within it, slow machines included.
const PATIENCE: Duration = Duration::from_secs(150);

fn body(job_id: &str) -> String {
    let asked = json!({"model_id": "amazon.nova-reel-v1:1", "model_input": {"text": "a piano"}, "tags": {"team": "a"}});
    json!({"job_id": job_id, "async_invoke": asked, "metadata": {"n": 1}}).to_string()
}

/// Hands the queue's messages to a consumer, as an event source mapping does,
/// until `is_done` says so.
async fn deliver(world: &World, consumer: &Function, mut is_done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_done().await {
        assert!(begun.elapsed() < PATIENCE, "no end; the queue has {:?}", world.queued().await);
        let records = receive(&world.sdk, &world.queue, 60).await;
        if records.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            deliver_these(world, consumer, records, TIME).await;
        }
    }
}

/// One invocation; what it acknowledges leaves the queue.
async fn deliver_these(world: &World, consumer: &Function, records: Vec<Value>, time: Duration) {
    let answer = consumer.invoke(json!({"Records": records}), time).await.expect("a response");
    let wanted: HashSet<&str> =
        answer["batchItemFailures"].as_array().unwrap().iter().filter_map(|f| f["itemIdentifier"].as_str()).collect();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk);
    for record in records.iter().filter(|record| !wanted.contains(record["messageId"].as_str().unwrap())) {
        let receipt = record["receiptHandle"].as_str().unwrap();
        sqs.delete_message().queue_url(&world.queue).receipt_handle(receipt).send().await.expect("deleted");
    }
}

/// Delivers until the job stands so and nothing is in the queue.
async fn until_ended(world: &World, consumer: &Function, job_id: &str, status: &str) {
    deliver(world, consumer, async || world.status(job_id).await == status && world.queued().await == (0, 0)).await;
}

async fn until_waiting(world: &World, consumer: &Function, job_id: &str) {
    deliver(world, consumer, async || world.item(job_id).await.contains_key("waiting")).await;
}

async fn error_of(world: &World, job_id: &str) -> (String, String) {
    match world.row(job_id).await.expect("a row").state {
        State::Failed { error, .. } => (error.code, error.message),
        other => panic!("{other:?}"),
    }
}

fn seen(world: &World) -> Value {
    world.model.calls()["async"].clone()
}

/// The check that is due, taken out of the queue.
async fn due_poll(world: &World) -> Value {
    let begun = Instant::now();
    loop {
        let mut records = receive(&world.sdk, &world.queue, 600).await;
        if let Some(record) = records.pop() {
            return record;
        }
        assert!(begun.elapsed() < PATIENCE, "no check");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_job_that_is_started_twenty_times_over_by_workers_that_die_is_one_invocation() {
    let world = World::new().await;
    let doomed = world.consumer_with(&[("MAX_ATTEMPTS", "5")]).await;
    let consumer = world.consumer_with(&[("MAX_ATTEMPTS", "5")]).await;
    let other = world.consumer_with(&[("MAX_ATTEMPTS", "5")]).await;
    // The first start takes effect and is never answered; the second loses its
    // answer.
    let faults = json!([{"kind": "hang", "times": 1}, {"kind": "answer_lost", "times": 1}]);
    world.model.behave(json!({"async_latency_ms": 20_000, "async_faults": faults}));
    for _ in 0..20 {
        world.send(&body("twenty")).await;
    }
    let first = receive(&world.sdk, &world.queue, 5).await;
    let dying = doomed.try_invoke(json!({"Records": first}), Duration::from_secs(10), Duration::from_secs(3)).await;
    assert_eq!(dying, None, "it waits for the answer");
    doomed.output().await;
    assert_eq!((&seen(&world)["starts"], &seen(&world)["invocations"]), (&json!(1), &json!(1)));
    tokio::join!(
        until_ended(&world, &consumer, "twenty", "complete"),
        until_ended(&world, &other, "twenty", "complete")
    );
    let seen = seen(&world);
    assert_eq!(seen["invocations"], 1, "{seen}");
    assert_eq!(seen["starts"], 3, "a start that is known is not repeated: {seen}");
    let row = world.row("twenty").await.unwrap();
    let State::Complete(done) = row.state else { panic!("not complete") };
    assert_eq!(
        (row.charged_attempts, row.possible_duplicate_call),
        (3, false),
        "checks are not charged, and nothing is paid twice"
    );
    assert_eq!((done.usage.input_tokens, done.model_id.as_str()), (0, "amazon.nova-reel-v1:1"));
    let output = &done.result.inline().unwrap()["output"];
    let names: Vec<&str> =
        output["objects"].as_array().unwrap().iter().filter_map(|o| o["key"].as_str()?.rsplit('/').next()).collect();
    assert_eq!(names, ["manifest.json", "output.json"], "{output}");
    let prefix = format!("s3://{}/results/twenty/", world.bucket);
    assert!(output["s3_uri"].as_str().unwrap().starts_with(&prefix), "{output}");
    assert!(output["objects"][1]["size_bytes"].as_u64().unwrap() > 10);
    assert!(world.letters().await.is_empty());
    for function in [consumer, other] {
        let output = function.output().await;
        let longest = longest_ms(&output);
        assert!(longest < 10_000, "an invocation of 20 s was waited for: {longest} ms");
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
async fn a_failed_invocation_is_a_dead_letter_whose_redrive_is_another_invocation() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("RUST_LOG", "trace")]).await;
    let words = "the prompt speaks of Xylophonquartz";
    let fault = json!({"kind": "failed", "on": "invocation", "times": 1, "message": words});
    world.model.behave(json!({"async_latency_ms": 1_000, "async_faults": [fault]}));
    world.send(&body("fails")).await;
    until_ended(&world, &consumer, "fails", "failed").await;
    assert_eq!(error_of(&world, "fails").await, ("invocation_failed".into(), words.into()));
    let attempt = world.row("fails").await.unwrap().attempt;
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].body, letters[0].attributes.get("check")), (&body("fails"), None));
    assert_eq!(letters[0].attributes["error_code"], "invocation_failed");
    assert_eq!(letters[0].attributes["failed_attempt"], attempt.to_string());
    // Its redrive, twice over.
    let redriven = (letters[0].body.clone(), letters[0].attributes.clone());
    let event = world.delivered(&[redriven.clone(), redriven]).await;
    for record in event["Records"].as_array().unwrap() {
        deliver_these(&world, &consumer, vec![record.clone()], TIME).await;
    }
    until_ended(&world, &consumer, "fails", "complete").await;
    let seen = seen(&world);
    assert_eq!((&seen["starts"], &seen["invocations"]), (&json!(2), &json!(2)));
    assert_eq!(seen["by_token"].as_object().unwrap().len(), 2, "another life has another token");
    let row = world.row("fails").await.unwrap();
    assert_eq!((row.generation, row.charged_attempts), (attempt, 1));
    assert!(world.letters().await.is_empty());
    let output = consumer.output().await;
    assert!(output.contains("\"outcome\":\"dead_lettered\"") && !output.contains("Xylophonquartz"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn of_two_copies_of_a_check_one_goes_on_and_an_old_one_does_nothing() {
    let world = World::new().await;
    let consumers = [world.consumer().await, world.consumer().await, world.consumer().await];
    let fault = json!({"kind": "failed", "on": "invocation"});
    world.model.behave(json!({"async_latency_ms": 1_000, "async_faults": [fault]}));
    world.send(&body("copies")).await;
    until_waiting(&world, &consumers[0], "copies").await;
    let check = due_poll(&world).await;
    assert_eq!(check["messageAttributes"]["check"]["stringValue"], "0.1");
    assert_eq!(check["body"].as_str(), Some(body("copies").as_str()), "a check is the job's own message once more");
    let side_by_side = consumers.iter().map(|consumer| deliver_these(&world, consumer, vec![check.clone()], TIME));
    futures_util::future::join_all(side_by_side).await;
    assert_eq!(world.status("copies").await, "failed");
    assert_eq!((world.letters().await.len(), &seen(&world)["gets"]), (1, &json!(1)), "one of three went on");
    // Old copies, of the check and of the job, change nothing and are done with.
    let before = world.item("copies").await;
    let copies = json!({"Records": [check, {"messageId": "old", "receiptHandle": "r", "body": body("copies")}]});
    assert_eq!(consumers[0].invoke(copies, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(world.item("copies").await, before);
    assert_eq!((&seen(&world)["starts"], &seen(&world)["gets"]), (&json!(1), &json!(1)));
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_start_that_is_refused_ends_as_a_call_of_the_model_would() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    for (kind, status, charged_attempts, code) in [
        ("throttling", "pending", 0, ""),
        ("unavailable", "pending", 0, ""),
        ("quota_exceeded", "pending", 0, ""),
        ("server_error", "pending", 1, ""),
        ("conflict", "failed", 1, "conflict_exception"),
        ("validation", "failed", 1, "validation_exception"),
        ("access_denied", "failed", 1, "access_denied_exception"),
    ] {
        world.model.behave(json!({"async_faults": [{"kind": kind}]}));
        let event = world.delivered(&[(body(kind), HashMap::new())]).await;
        consumer.invoke(event, TIME).await.expect("a response");
        let row = world.row(kind).await.expect("a row");
        assert_eq!((row.state.status().as_str(), row.charged_attempts), (status, charged_attempts), "{kind}");
        let letters = world.letters().await;
        assert_eq!(letters.first().map_or("", |letter| &letter.attributes["error_code"]), code, "{kind}");
        assert!(row.invocation.is_none());
    }
    // A message that leaves no room for a check's: no invocation that nobody follows.
    let full = body("full") + &" ".repeat(MESSAGE_MAX_BYTES - body("full").len());
    let event = world.delivered(&[(full, HashMap::new())]).await;
    consumer.invoke(event, TIME).await.expect("a response");
    assert_eq!(error_of(&world, "full").await.0, "message_too_large");
    assert_eq!(seen(&world)["invocations"], 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_check_without_an_answer_is_made_again_and_costs_no_try() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MODEL_TIMEOUT_SECONDS", "2"), ("MAX_ATTEMPTS", "1")]).await;
    let kinds = ["throttling", "server_error", "hang", "answer_lost"];
    let faults: Vec<Value> = kinds.iter().map(|kind| json!({"kind": kind, "on": "get", "times": 1})).collect();
    world.model.behave(json!({"async_faults": faults}));
    world.send(&body("unanswered")).await;
    until_ended(&world, &consumer, "unanswered", "complete").await;
    let row = world.row("unanswered").await.unwrap();
    assert_eq!((row.charged_attempts, &seen(&world)["gets"], &seen(&world)["starts"]), (1, &json!(5), &json!(1)));
    assert_eq!(row.attempt, 6, "each check counts the attempt up, and none is charged");
    // One that Bedrock refuses for good ends the job.
    world.model.behave(json!({"async_faults": [{"kind": "access_denied", "on": "get"}]}));
    world.send(&body("refused")).await;
    until_ended(&world, &consumer, "refused", "failed").await;
    assert_eq!(error_of(&world, "refused").await.0, "access_denied_exception");
    assert_eq!(world.letters().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn an_invocation_without_an_end_fails_with_its_arn_when_its_time_is_over() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"async_latency_ms": 3_600_000}));
    world.send(&body("endless")).await;
    until_waiting(&world, &consumer, "endless").await;
    let mut item = world.item("endless").await;
    let arn = item["invocation_arn"].as_s().unwrap().clone();
    let yesterday = (now() - Duration::from_secs(24 * 3600 + 60)).to_string();
    item.insert("invocation_started_at".into(), AttributeValue::S(yesterday));
    world.put_item(item).await;
    until_ended(&world, &consumer, "endless", "failed").await;
    let (code, message) = error_of(&world, "endless").await;
    assert_eq!(code, "invocation_timed_out");
    assert!(message.contains(&arn), "{message}");
    assert_eq!(world.letters().await[0].attributes["error_code"], "invocation_timed_out");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_cancelled_job_is_checked_no_more_and_says_that_the_invocation_goes_on() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"async_latency_ms": 8_000}));
    world.send(&body("cancelled")).await;
    until_waiting(&world, &consumer, "cancelled").await;
    let producer = world.producer().await;
    let mut request = event("api-get-job");
    request["pathParameters"]["job_id"] = json!("cancelled");
    let told = async |request: &Value| -> Value {
        let answer = producer.invoke(request.clone(), TIME).await.expect("an answer");
        serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON")
    };
    let running = told(&request).await;
    let arn = running["invocation_arn"].as_str().expect("an ARN").to_owned();
    assert_eq!((running["status"].as_str(), running.get("note")), (Some("processing"), None));
    world.jobs().cancel(&"cancelled".parse().unwrap(), now()).await.expect("the table answers");
    let view = told(&request).await;
    assert_eq!((view["status"].as_str(), view["invocation_arn"].as_str()), (Some("cancelled"), Some(arn.as_str())));
    assert!(view["note"].as_str().unwrap().contains("may go on"), "{view}");
    deliver_these(&world, &consumer, vec![due_poll(&world).await], TIME).await;
    assert_eq!((world.queued().await, world.status("cancelled").await), ((0, 0), "cancelled"));
    assert_eq!(seen(&world)["gets"], 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn neither_a_start_nor_a_check_begins_without_time_for_it() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.send(&body("late")).await;
    // A start may take 5 s here, as the model may.
    let short = Duration::from_secs(7);
    deliver_these(&world, &consumer, receive(&world.sdk, &world.queue, 60).await, short).await;
    assert_eq!((world.status("late").await, &seen(&world)["starts"]), ("none", &json!(0)));
    until_waiting(&world, &consumer, "late").await;
    deliver_these(&world, &consumer, vec![due_poll(&world).await], short).await;
    assert_eq!((world.status("late").await, &seen(&world)["gets"]), ("processing", &json!(0)));
    until_ended(&world, &consumer, "late", "complete").await;
}
