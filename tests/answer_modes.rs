//! The forms of the answer: the same documents have the same results in each mode, a form
//! that a model refuses costs no attempt, and an answer that does not fit is asked again
//! with the complaint about it.

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::job::stored::{Completed, State};
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::{event, eventually, stand_in};

const TIME: Duration = Duration::from_secs(60);

/// Modes and models, with the form that the model answers in.
const CASES: [(&str, &str, &str); 10] = [
    ("auto", "eu.amazon.nova-2-lite-v1:0", "tool"),
    ("auto", "global.anthropic.claude-opus-5-5", "auto"),
    ("auto", "us.meta.llama3-3-70b-instruct-v1:0", "auto"),
    ("auto", "mistral.pixtral-large-2502-v1:0", "any"),
    ("auto", "google.gemma-3-27b-it", "json_schema"),
    ("auto", "amazon.titan-text-premier-v1:0", "text"),
    ("tool", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "tool"),
    ("any_tool", "mistral.mistral-large-2402-v1:0", "any"),
    ("json_schema", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "json_schema"),
    ("text", "eu.amazon.nova-2-lite-v1:0", "text"),
];

fn no_failures() -> Value {
    json!({"batchItemFailures": []})
}

fn message(body: Value) -> (String, HashMap<String, String>) {
    (body.to_string(), HashMap::new())
}

fn short_message(job_id: &str) -> (String, HashMap<String, String>) {
    message(json!({"job_id": job_id, "document": "The tenant pays a rent of 900 euros for the flat."}))
}

async fn read_completion(world: &World, job_id: &str) -> Completed {
    match world.row(job_id).await.expect("a stored job").state {
        State::Complete(done) => *done,
        other => panic!("{job_id} is not complete: {other:?}"),
    }
}

fn log(world: &World) -> Vec<Value> {
    stand_in::get(&format!("{}/_calls/log", world.model.url)).as_array().expect("a list").clone()
}

/// The texts of a field of all calls, in the order of their begin.
fn list(world: &World, field: &str) -> Vec<String> {
    log(world).iter().map(|call| call[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// The sample events, and a text of several chunks.
async fn deliver_corpus(world: &World) -> Vec<Value> {
    let paragraph = |n: usize| format!("In month {n} the tenant pays the landlord a rent of {} euros.\n\n", 900 + n);
    let long: String = (0..300).map(paragraph).collect();
    let long = world.deliver(&[message(json!({"job_id": "long", "document": long}))]).await;
    vec![event("sqs-batch"), event("sqs-custom-analysis"), long]
}

fn job_ids(event: &Value) -> Vec<String> {
    let bodies = event["Records"].as_array().expect("records").iter().map(|record| record["body"].as_str());
    let body = |body: Option<&str>| serde_json::from_str::<Value>(body.expect("a body")).expect("JSON");
    bodies.map(|text| body(text)["job_id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn each_mode_gives_the_same_results() {
    let mut expected: HashMap<String, Value> = HashMap::new();
    for (mode, model_id, form) in CASES {
        let world = World::new().await;
        let consumer =
            world.consumer_with(&[("ANSWER_MODE", mode), ("MODEL_ID", model_id), ("CHUNK_MAX_BYTES", "10000")]).await;
        for event in deliver_corpus(&world).await {
            assert_eq!(consumer.invoke(event.clone(), TIME).await, Ok(no_failures()), "{mode} {model_id}");
            for job_id in job_ids(&event) {
                let done = read_completion(&world, &job_id).await;
                let result = done.result.inline().expect("a small result").clone();
                assert_eq!(
                    expected.entry(job_id.clone()).or_insert_with(|| result.clone()),
                    &result,
                    "{job_id} {mode}"
                );
                assert_eq!(world.row(&job_id).await.unwrap().attempt, 1);
            }
        }
        assert!(list(&world, "form").iter().all(|used| used == form), "{mode} {model_id}: {:?}", list(&world, "form"));
        let calls = list(&world, "call");
        for name in ["document", "chunk-1", "chunk-2", "join"] {
            assert!(calls.iter().any(|call| call == name), "{calls:?}");
        }
        let is_nova_tool = model_id.contains("nova") && form == "tool";
        let top_k = |call: &Value| call["request_fields"]["inferenceConfig"]["topK"] == 1;
        assert!(log(&world).iter().all(|call| top_k(call) == is_nova_tool), "{mode} {model_id}");
        assert!(log(&world).iter().all(|call| call["generation"] == "0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn refused_form_is_followed_by_the_next_one_uncharged() {
    let world = World::new().await;
    let thinking = r#"{"thinking": {"type": "enabled", "budget_tokens": 1024}}"#;
    let model_id = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let consumer = world.consumer_with(&[("MODEL_ID", model_id), ("MODEL_REQUEST_FIELDS", thinking)]).await;
    for job_id in ["first", "second"] {
        let event = world.deliver(&[short_message(job_id)]).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
        let row = world.row(job_id).await.unwrap();
        assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("complete", 1, 1));
    }
    // The environment remembers the refusal, so the second job makes one call.
    assert_eq!(list(&world, "form"), ["tool", "auto", "auto"]);
    assert_eq!(list(&world, "outcome"), ["refused", "tool_use", "tool_use"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unfit_answer_is_asked_again_with_the_complaint() {
    for (mode, form) in [("tool", "tool"), ("json_schema", "json_schema"), ("text", "text")] {
        for fault in ["unfit", "no_tool", "malformed_tool_use", "malformed_model_output", "inexact_number"] {
            let world = World::new().await;
            let model_id = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
            let consumer = world.consumer_with(&[("ANSWER_MODE", mode), ("MODEL_ID", model_id)]).await;
            world.model.behave(json!({"faults": [{"kind": fault, "times": 1}]}));
            let event = world.deliver(&[short_message("again")]).await;
            assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()), "{mode} {fault}");
            let row = world.row("again").await.unwrap();
            assert_eq!((row.attempt, row.charged_attempts), (1, 1), "{mode} {fault}");
            assert_eq!(list(&world, "call"), ["document", "repair"], "{mode} {fault}");
            assert_eq!(list(&world, "form"), [form, form]);
            let complaint = &list(&world, "complaint")[1];
            let reason = match (fault, mode) {
                ("unfit", _) => "the field \"summary\" is missing",
                ("no_tool", "tool") => "without a call of the tool",
                ("no_tool", _) => "exactly one JSON object",
                ("inexact_number", _) => "at `/classification/confidence`: 64 bits cannot hold the number exactly",
                (stop_reason, _) => stop_reason,
            };
            assert!(complaint.contains(reason), "{mode} {fault}: {complaint}");
            let usage = read_completion(&world, "again").await.usage;
            let counted: u64 = log(&world).iter().map(|call| call["counted_tokens"].as_u64().unwrap()).sum();
            assert_eq!(usage.input_tokens + usage.output_tokens, counted, "{mode} {fault}: the usage of both calls");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn answer_that_never_fits_fails_with_the_missing_field() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MAX_ATTEMPTS", "2")]).await;
    world.model.behave(json!({"faults": [{"kind": "unfit"}]}));
    let event = world.deliver(&[short_message("never")]).await;
    // The second delivery waits for the backoff of the first attempt.
    eventually("the last attempt", async || {
        (consumer.invoke(event.clone(), TIME).await == Ok(no_failures())).then_some(())
    })
    .await;
    let State::Failed { error, .. } = world.row("never").await.unwrap().state else { panic!("the job has not failed") };
    assert_eq!(error.code, "attempts_exhausted");
    assert!(error.message.contains("the field \"summary\" is missing"), "{}", error.message);
    assert_eq!(list(&world, "call"), ["document", "repair", "document", "repair"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn answer_is_not_asked_again_without_time() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"latency_ms": 2_500, "faults": [{"kind": "unfit"}]}));
    let event = world.deliver(&[short_message("late")]).await;
    // A call may take 5 s and its ending 4.75 s, so a second call would begin too late.
    assert_ne!(consumer.invoke(event, Duration::from_millis(11_500)).await, Ok(no_failures()));
    let row = world.row("late").await.unwrap();
    assert_eq!((row.state.status().as_str(), row.charged_attempts), ("pending", 1));
    assert_eq!(list(&world, "call"), ["document"]);
}

/// The habit of a small language model: its list repeats until the tokens end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn answer_that_repeats_itself_fails_after_one_call() {
    for (mode, model_id) in [
        ("tool", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("json_schema", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("text", "eu.amazon.nova-2-lite-v1:0"),
    ] {
        let world = World::new().await;
        let consumer = world.consumer_with(&[("ANSWER_MODE", mode), ("MODEL_ID", model_id)]).await;
        world.model.behave(json!({"faults": [{"kind": "runaway"}]}));
        let event = world.deliver(&[short_message("runaway")]).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()), "{mode}");
        let State::Failed { error, .. } = world.row("runaway").await.unwrap().state else {
            panic!("{mode}: not failed")
        };
        assert_eq!((error.code.as_str(), world.model.calls_of("runaway")), ("answer_truncated", 1), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn broken_tool_use_is_repeated_once_and_then_fails() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MODEL_ID", "eu.amazon.nova-2-lite-v1:0")]).await;
    world.model.behave(json!({"faults": [
        {"kind": "broken_tool_use", "job_id": "once", "times": 1},
        {"kind": "broken_tool_use", "job_id": "always"},
    ]}));
    for job_id in ["once", "always"] {
        let event = world.deliver(&[short_message(job_id)]).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
        assert_eq!(world.model.calls_of(job_id), 2);
    }
    assert_eq!(world.status("once").await, "complete");
    let State::Failed { error, .. } = world.row("always").await.unwrap().state else { panic!("it has not failed") };
    assert_eq!(error.code, "model_error_exception");
    assert!(error.message.contains("raise `analysis.max_tokens` or the parameter MaxTokens"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn new_schema_is_primed_by_one_call() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("MODEL_ID", "google.gemma-3-27b-it")]).await;
    world.model.behave(json!({"latency_ms": 300}));
    let messages: Vec<_> = (0..6).map(|n| short_message(&format!("primed-{n}"))).collect();
    let event = world.deliver(&messages).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let mut calls = log(&world);
    calls.sort_by_key(|call| call["began_ms"].as_u64());
    assert_eq!(calls.len(), 6);
    let first_end = calls[0]["ended_ms"].as_u64().unwrap();
    assert!(calls[1..].iter().all(|call| call["began_ms"].as_u64().unwrap() >= first_end), "{calls:?}");
    assert!(world.model.calls()["peak_in_flight"].as_u64().unwrap() > 1, "the others run at the same time");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn numbers_are_stored_with_all_their_digits() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let numbers = r#"[18446744073709551615, -9223372036854775808, 0.30000000000000004, 1e125, 123456789.123456, 900]"#;
    let body = format!(r#"{{"job_id": "exact", "document": "A lease.", "metadata": {{"n": {numbers}}}}}"#);
    let event = world.deliver(&[(body, HashMap::new())]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let stored = world.row("exact").await.unwrap().metadata.expect("metadata");
    assert_eq!(stored["n"], serde_json::from_str::<Value>(numbers).unwrap());
    let body = r#"{"job_id": "rounded", "document": "A lease.", "metadata": {"iban": 12345678901234567890123}}"#;
    let event = world.deliver(&[(body.to_owned(), HashMap::new())]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(no_failures()));
    let letter = &world.drain_dead_letters().await[0];
    assert_eq!(letter.attributes["error_code"], "malformed_message");
    assert!(letter.attributes["error_message"].starts_with("`metadata.iban`"), "{:?}", letter.attributes);
}
