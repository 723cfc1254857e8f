//! Hostile jobs and the largest legal messages, with the real binaries. The hostile jobs are
//! sent straight to the queue, past the checks of the API.

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::job::stored::State;
use docket::domain::limits::{
    ASYNC_INPUT_MAX_BYTES, BATCH_REQUEST_JOBS_MAX, DOCUMENT_MAX_BYTES, JOB_VALUES_MAX, METADATA_MAX_BYTES,
    REQUEST_VALUES_MAX, SCHEMA_RULES_MAX,
};
use serde_json::{Map, Value, json};
use test_support::aws::World;
use test_support::event;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(60);

/// The memory of a function with the template's default, in kB.
const MEMORY_MAX_KB: u64 = 512 * 1_024;

/// Most JSON of one Lambda invocation, in bytes.
const EVENT_MAX_BYTES: usize = 6_000_000;

type Message = (String, HashMap<String, String>);

fn message(body: Value) -> Message {
    (body.to_string(), HashMap::new())
}

fn with_schema(job_id: &str, rules: Value) -> Message {
    let mut schema = json!({"type": "object"});
    schema.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    message(json!({"job_id": job_id, "document": "A lease.", "analysis": {"schema": schema}}))
}

/// A schema whose rules refer to the next one.
fn chained(count: usize, rule: impl Fn(Value) -> Value) -> Value {
    let next = |number: usize| json!({"$ref": format!("#/$defs/r{number}")});
    let mut defs: Map<String, Value> =
        (0..count).map(|number| (format!("r{number}"), rule(next(number + 1)))).collect();
    defs.insert(format!("r{count}"), json!(true));
    json!({"$defs": defs, "properties": {"a": next(0)}, "allOf": [next(0)]})
}

/// The peak memory of a function's process.
fn peak_kb(function: &Function) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", function.process_id())).expect("the process runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.expect("a number of kB")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn hostile_jobs_fail_and_innocent_jobs_complete_with_one_call() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let hostile = [
        with_schema("doubling", chained(40, |next| json!({"allOf": [next, next]}))),
        with_schema("endless", chained(420, |next| json!({"not": next}))),
        with_schema("patterns", json!({"properties": {"a": {"pattern": "(\\p{L}{100}){10}".repeat(30)}}})),
    ];
    let mut messages: Vec<Message> = (0..30)
        .map(|number| {
            let mut body = json!({"job_id": format!("innocent-{number}"), "document": "A lease of a flat."});
            if number % 2 == 0 {
                body["analysis"] = json!({"labels": ["lease", "other"]});
            }
            message(body)
        })
        .collect();
    for (place, hostile) in hostile.into_iter().enumerate() {
        messages.insert(10 * place, hostile);
    }
    let event = world.deliver(&messages).await;
    let answer = consumer.invoke(event, TIME).await.expect("a response");
    assert_eq!(answer, json!({"batchItemFailures": []}));
    for number in 0..30 {
        let job_id = format!("innocent-{number}");
        assert_eq!(world.status(&job_id).await, "complete", "{job_id}");
        assert_eq!(world.model.calls_of(&job_id), 1, "{job_id}");
    }
    for job_id in ["doubling", "endless", "patterns"] {
        let State::Failed { error, .. } = world.row(job_id).await.expect("a stored job").state else {
            panic!("{job_id} has not failed")
        };
        assert_eq!(error.code, "analysis_invalid", "{job_id}");
        assert!(error.message.contains("`analysis.schema`") && error.message.contains("`/"), "{}", error.message);
        assert_eq!(world.model.calls_of(job_id), 0, "{job_id}");
    }
    assert_eq!(world.drain_dead_letters().await.len(), 3);
}

/// Messages over the limit, and the largest of every kind that the consumer accepts, in
/// batches of one invocation's size.
fn largest_messages() -> Vec<Vec<Message>> {
    let text = "word ".repeat(200_000);
    let documents = (0..5).map(|n| message(json!({"job_id": format!("document-{n}"), "document": text}))).collect();
    let objects = vec![json!({"a": 0}); JOB_VALUES_MAX / 2 - 10];
    let invocation = |n: usize, input: Value| {
        let request = json!({"model_id": "amazon.nova-reel-v1:1", "model_input": input});
        message(json!({"job_id": format!("invocation-{n}"), "async_invoke": request}))
    };
    let large = json!({"text": "x".repeat(ASYNC_INPUT_MAX_BYTES - 200_000), "values": objects});
    let invocations = (0..6).map(|n| invocation(n, large.clone())).collect();
    let small_invocations = (10..45).map(|n| invocation(n, json!({"values": objects}))).collect();
    let fields: Map<String, Value> =
        (0..SCHEMA_RULES_MAX - 10).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
    let schema = json!({"type": "object", "properties": fields});
    let analysis = |n: usize| {
        let mut schema = schema.clone();
        schema["title"] = json!(n.to_string());
        let metadata = json!({"a": vec![0; METADATA_MAX_BYTES / 2 - 10]});
        message(json!({"job_id": format!("analysis-{n}"), "document": "A lease.", "metadata": metadata,
                       "analysis": {"schema": schema}}))
    };
    let analyses = (0..60).map(analysis).collect();
    let over = (0..6).map(|n| invocation(100 + n, json!(vec![json!({"": 0}); 120_000]))).collect();
    // Polls of the invocations arrive with the later messages.
    vec![over, documents, invocations, small_invocations, analyses]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn consumer_survives_the_largest_messages_within_its_memory() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")]).await;
    for batch in largest_messages() {
        let mut event = world.deliver(&batch).await;
        let records = event["Records"].as_array_mut().unwrap();
        while event_bytes(records) > EVENT_MAX_BYTES {
            records.pop();
        }
        let first = records[0]["body"].as_str().unwrap()[..40].to_owned();
        let count = records.len();
        consumer.invoke(event, TIME).await.expect("a response");
        println!("{count} messages such as {first}: at most {} kB", peak_kb(&consumer));
        assert!(peak_kb(&consumer) < MEMORY_MAX_KB, "{first}: {} kB", peak_kb(&consumer));
    }
    let letters = world.drain_dead_letters().await;
    let malformed = letters.iter().filter(|letter| letter.attributes["error_code"] == "malformed_message").count();
    assert_eq!(malformed, 6, "messages with too many values are dead letters: {malformed}");
}

fn event_bytes(records: &[Value]) -> usize {
    records.iter().map(|record| record["body"].as_str().map_or(0, str::len) + 1_000).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn producer_survives_the_largest_requests_within_its_memory() {
    let world = World::new().await;
    let producer = world.producer().await;
    let post = async |path: &str, body: String| {
        let mut event = event("api-post-job");
        event["body"] = json!(body);
        if path != "/jobs" {
            event["resource"] = json!("/batches/{batch_id}/jobs");
            event["requestContext"]["resourcePath"] = json!("/batches/{batch_id}/jobs");
            event["path"] = json!(path);
            event["pathParameters"] = json!({"batch_id": "large"});
        }
        let answer = producer.invoke(event, TIME).await.expect("a response");
        println!("{path}, {} bytes: at most {} kB", body.len(), peak_kb(&producer));
        assert!(peak_kb(&producer) < MEMORY_MAX_KB, "{path}: {} kB", peak_kb(&producer));
        answer["statusCode"].as_u64().expect("a status")
    };
    let objects = format!("[{}{{}}]", r#"{"":0},"#.repeat(780_000));
    assert_eq!(post("/jobs", format!(r#"{{"document": "x", "metadata": {{"a": {objects}}}}}"#)).await, 413);
    assert_eq!(post("/batches/large/jobs", format!(r#"{{"jobs": {objects}}}"#)).await, 413);
    let document = "x".repeat(DOCUMENT_MAX_BYTES);
    assert_eq!(post("/jobs", json!({"document": document}).to_string()).await, 202);
    let values = REQUEST_VALUES_MAX / BATCH_REQUEST_JOBS_MAX - 10;
    let jobs: Vec<Value> = (0..BATCH_REQUEST_JOBS_MAX)
        .map(|_| json!({"document": "x".repeat(8_000), "metadata": {"a": vec![json!({"b": 0}); values / 2 - 5]}}))
        .collect();
    assert_eq!(post("/batches/large/jobs", json!({"jobs": jobs}).to_string()).await, 202);
}
