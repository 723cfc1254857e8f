//! Evidence from request to stored job: the model names passages, and the consumer checks them
//! in the document's own text.

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::evidence::{Evidence, EvidenceStatus, Found};
use docket::domain::job::stored::{Completed, State};
use serde_json::{Value, json};
use test_support::api;
use test_support::aws::World;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(60);
const TEXT: &str = "Lease of the flat in Mill Lane.\n\nThe landlord lets the flat to the tenant for two years.\nThe \
rent of the flat is 900 euros a month, payable in advance.\nThe tenant keeps the flat in good order at all times.\n";

/// Modes and models whose answers have each form.
const MODES: [(&str, &str); 5] = [
    ("tool", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("any_tool", "mistral.mistral-large-2402-v1:0"),
    ("json_schema", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("text", "eu.amazon.nova-2-lite-v1:0"),
    ("auto", "global.anthropic.claude-opus-5-5"),
];

fn analysis() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "rent": {"type": "number"},
            "order": {"type": "string"},
            "summary": {"type": "string"},
            "kind": {"enum": ["lease", "other"]},
        },
        "required": ["rent", "order", "summary", "kind"],
        "additionalProperties": false,
    });
    json!({"schema": schema, "evidence": true})
}

async fn run(
    world: &World,
    consumer: &Function,
    job_id: &str,
    document: &str,
    analysis: Value,
) -> (Completed, Evidence) {
    let body = json!({"job_id": job_id, "document": document, "batch_id": "leases", "analysis": analysis}).to_string();
    let event = world.deliver(&[(body, HashMap::new())]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})), "{job_id}");
    match world.row(job_id).await.expect("a stored job").state {
        State::Complete(done) => {
            let evidence = done.evidence.clone().expect("evidence");
            (*done, evidence)
        }
        other => panic!("{job_id} is not complete: {other:?}"),
    }
}

/// A whole number, whether the table returned it with a point or without.
fn as_integer(number: &Value) -> Value {
    number.as_f64().filter(|number| number.fract() == 0.0).map_or(Value::Null, |number| json!(number as i64))
}

fn fault(kind: &str, times_per_job: u64) -> Value {
    json!({"faults": [{"kind": kind, "times_per_job": times_per_job}]})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn genuine_passages_verify_every_value_in_each_mode() {
    for (mode, model_id) in MODES {
        let world = World::new().await;
        let consumer = world.consumer_with(&[("ANSWER_MODE", mode), ("MODEL_ID", model_id)]).await;
        let (done, evidence) = run(&world, &consumer, "j", TEXT, analysis()).await;
        let result = done.result.inline().expect("a small result");
        assert_eq!((&as_integer(&result["rent"]), result.get("docket_evidence")), (&json!(900), None), "{mode}");
        assert_eq!((evidence.summary().as_str(), world.model.calls_of("j")), ("4 of 4", 1), "{mode}: {evidence:?}");
        let rent = evidence.leaves.iter().find(|leaf| leaf.path == "/rent").expect("the rent");
        let (start, end) = (rent.start.expect("a place"), rent.end.expect("a place"));
        let passage: String = TEXT.chars().skip(start).take(end - start).collect();
        assert!(passage.contains("900 euros") && rent.line == Some(4), "{mode}: {passage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn wrong_passages_are_asked_again_once_and_then_marked() {
    for (kind, found) in [
        ("made_up_quotes", Found::None),
        ("changed_quotes", Found::Approximate),
        ("made_up_values", Found::Exact),
        ("no_quotes", Found::None),
    ] {
        let world = World::new().await;
        let consumer = world.consumer_with(&[]).await;
        world.model.behave(fault(kind, 9));
        let (done, evidence) = run(&world, &consumer, "stays", TEXT, analysis()).await;
        let rent = evidence.leaves.iter().find(|leaf| leaf.path == "/rent").expect("the rent");
        assert!(!rent.verified && rent.found <= found, "{kind}: {rent:?}");
        assert_eq!((evidence.status(), world.model.calls_of("stays")), (EvidenceStatus::Unverified, 2), "{kind}");
        assert!(done.usage.input_tokens > 0);

        world.model.behave(fault(kind, 1));
        let (mended, evidence) = run(&world, &consumer, "mended", TEXT, analysis()).await;
        assert_eq!((evidence.summary().as_str(), world.model.calls_of("mended")), ("4 of 4", 2), "{kind}");
        assert_eq!(as_integer(&mended.result.inline().expect("a small result")["rent"]), json!(900), "{kind}");
        // Both calls are paid for.
        assert!(mended.usage.input_tokens > 2 * u64::from(u8::MAX), "{kind}: {:?}", mended.usage);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn throttled_second_question_keeps_the_first_answer() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[]).await;
    world.model.behave(json!({"faults": [
        {"kind": "no_quotes", "times_per_job": 1}, {"kind": "throttling", "times_per_job": 9},
    ]}));
    let (_, evidence) = run(&world, &consumer, "j", TEXT, analysis()).await;
    assert_eq!((evidence.verified, evidence.of), (0, 4));
    assert_eq!(world.row("j").await.expect("a stored job").attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn passages_of_chunks_have_places_in_the_whole_text() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("CHUNK_MAX_BYTES", "10000")]).await;
    let paragraph = |n: usize| format!("In part {n} the parties describe the house and its garden once more.\n\n");
    let filler: String = (0..250).map(paragraph).collect();
    let text = format!("{filler}{TEXT}");
    let (done, evidence) = run(&world, &consumer, "long", &text, json!({"evidence": true})).await;
    assert!(done.chunks.is_some_and(|chunks| chunks > 1), "{:?}", done.chunks);
    assert!(evidence.verifiable && evidence.of > 2, "{evidence:?}");
    let placed: Vec<_> = evidence.leaves.iter().filter(|leaf| leaf.found == Found::Exact).collect();
    assert!(!placed.is_empty(), "{evidence:?}");
    for leaf in placed {
        let (start, end) = (leaf.start.expect("a place"), leaf.end.expect("a place"));
        let passage: String = text.chars().skip(start).take(end - start).collect();
        assert_eq!(Some(&passage), leaf.quote.as_ref());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn passages_of_a_pdf_have_their_pages() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[]).await;
    let pdf = include_bytes!("../events/documents/bridge-report.pdf");
    let request = aws_sdk_s3::Client::new(&world.sdk).put_object().bucket(&world.bucket).key("reports/a.pdf");
    request.body(pdf.to_vec().into()).send().await.expect("the object is stored");
    let at = json!({"bucket": world.bucket, "key": "reports/a.pdf"});
    let body = json!({"job_id": "report", "document_s3": at, "analysis": {"evidence": true}}).to_string();
    let event = world.deliver(&[(body, HashMap::new())]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let State::Complete(done) = world.row("report").await.expect("a stored job").state else { panic!("not complete") };
    let evidence = done.evidence.expect("evidence");
    let verified: Vec<_> = evidence.leaves.iter().filter(|leaf| leaf.verified).collect();
    assert!(evidence.verifiable && !verified.is_empty(), "{evidence:?}");
    assert!(verified.iter().all(|leaf| leaf.page.is_some_and(|page| page >= 1)), "{evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn image_is_unverifiable_and_never_verified() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[]).await;
    let png = include_bytes!("../events/documents/floor-plan.png");
    let request = aws_sdk_s3::Client::new(&world.sdk).put_object().bucket(&world.bucket).key("scans/a.png");
    request.body(png.to_vec().into()).send().await.expect("the object is stored");
    let at = json!({"bucket": world.bucket, "key": "scans/a.png"});
    let body = json!({"job_id": "scan", "document_s3": at, "analysis": {"evidence": true}}).to_string();
    let event = world.deliver(&[(body, HashMap::new())]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let State::Complete(done) = world.row("scan").await.expect("a stored job").state else { panic!("not complete") };
    let evidence = done.evidence.expect("evidence");
    assert_eq!((evidence.status(), evidence.verified), (EvidenceStatus::Unverifiable, 0));
    assert_eq!(world.model.calls_of("scan"), 1, "a second question would find no text either");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batch_counts_and_filters_by_the_state() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[]).await;
    run(&world, &consumer, "good", TEXT, analysis()).await;
    world.model.behave(fault("made_up_quotes", 9));
    run(&world, &consumer, "bad", TEXT, analysis()).await;
    let producer = world.producer().await;
    let ask = async |resource: &str, id: &str, query: &[(&str, &str)]| {
        api::ask(&producer, "GET", resource, id, query, Value::Null).await
    };
    let (_, batch) = ask("/batches/{batch_id}", "leases", &[]).await;
    assert_eq!(batch["evidence"], json!({"verified": 1, "unverified": 1, "unverifiable": 0}), "{batch}");
    for (state, expected) in [("verified", vec!["good"]), ("unverified", vec!["bad"]), ("unverifiable", vec![])] {
        let (_, page) = ask("/batches/{batch_id}/jobs", "leases", &[("evidence", state)]).await;
        let ids: Vec<&str> =
            page["data"].as_array().expect("jobs").iter().filter_map(|job| job["job_id"].as_str()).collect();
        assert_eq!(ids, expected, "{state}");
    }
    assert_eq!(ask("/batches/{batch_id}/jobs", "leases", &[("evidence", "some")]).await.0, 422);
    let (_, job) = ask("/jobs/{job_id}", "bad", &[]).await;
    assert_eq!(job["verified"], "0 of 4", "{job}");
    assert_eq!(job["evidence"]["unverified"].as_array().map(Vec::len), Some(4), "{job}");
}
