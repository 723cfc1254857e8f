//! Bad input: at each limit and one byte over, deep, broken, of wrong types, and
//! whatever a fuzzer thinks of. Needs no local AWS.
//!
//! Each fuzz target runs for `FUZZ_SECONDS` (5 by default, 60 in `make test`).

mod support;

use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::SqsEvent;
use docket::domain::analysis::{Analysis, AnalysisRequest};
use docket::domain::dead_letter::{Attribute, AttributeValue, DeadLetter};
use docket::domain::document::Document;
use docket::domain::failure::{Failure, codes};
use docket::domain::job::{DocumentSource, Work};
use docket::domain::limits::*;
use docket::domain::message::{Attributes, parse};
use serde_json::{Value, json};
use support::{event, file, read};

/// How much memory the whole of it may take.
const MEMORY_LIMIT_KB: u64 = 128 * 1024;

fn seconds() -> Duration {
    let text = std::env::var("FUZZ_SECONDS").unwrap_or_default();
    Duration::from_secs(text.parse().unwrap_or(5))
}

/// Breaks valid examples in every way that bytes can be broken: flips, cuts,
/// repeats, splices, and words that JSON minds.
fn fuzz(name: &str, examples: &[Vec<u8>], target: impl Fn(&[u8])) {
    const WORDS: [&str; 16] = [
        "null",
        "\\ud800",
        "\\u0000",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"\"",
        "[]",
        "{}",
        "[[[[",
        "{\"a\":",
        "true",
        "\u{feff}",
        "\u{202e}",
        "\"job_id\"",
        "\0",
    ];
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("{name}: FUZZ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (begun, mut rounds) = (Instant::now(), 0u64);
    while begun.elapsed() < seconds() {
        let mut bytes = examples[random.usize(..examples.len())].clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..=bytes.len());
            match random.u8(..6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..at, WORDS[random.usize(..WORDS.len())].bytes())),
                3 => {
                    let end = (at + random.usize(..64)).min(bytes.len());
                    drop(bytes.drain(at..end));
                }
                4 => {
                    let end = (at + random.usize(..64)).min(bytes.len());
                    let again = bytes[at..end].repeat(random.usize(1..20));
                    drop(bytes.splice(at..at, again));
                }
                _ => {
                    let other = &examples[random.usize(..examples.len())];
                    let from = random.usize(..=other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
        bytes.truncate(64 * 1024);
        target(&bytes);
        rounds += 1;
    }
    println!("{name}: {rounds} inputs in {} s", seconds().as_secs());
    assert!(rounds > 100, "too slow to tell anything");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak.is_none_or(|peak| peak < MEMORY_LIMIT_KB), "{peak:?} kB of memory");
}

fn bodies() -> Vec<Vec<u8>> {
    let events = ["sqs-batch", "sqs-malformed", "sqs-custom-analysis", "sqs-s3-document"];
    let mut bodies: Vec<Vec<u8>> = events
        .iter()
        .flat_map(|name| event(name)["Records"].as_array().unwrap().clone())
        .map(|record| record["body"].as_str().unwrap().as_bytes().to_vec())
        .collect();
    // A bucket's notification, as AWS documents its form.
    bodies.push(
        json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "uploads/a+b%C3%BC.txt", "size": 7, "versionId": "v"}}}]})
        .to_string()
        .into_bytes(),
    );
    bodies
}

#[test]
fn no_message_body_makes_it_panic_and_every_one_is_a_job_or_a_reason() {
    fuzz("message body", &bodies(), |bytes| {
        let Ok(body) = std::str::from_utf8(bytes) else { return };
        let attribute = body.get(..3);
        match parse(Some(body), Attributes { priority: attribute, failed_attempt: attribute, check: attribute }) {
            Ok(job) => assert!(!job.job_id.as_str().is_empty()),
            Err(failure) => {
                assert_eq!(failure.code, codes::MALFORMED_MESSAGE);
                assert!(!failure.message.is_empty() && failure.message.len() <= FAILURE_MESSAGE_MAX_BYTES);
                let letter = DeadLetter::new(Some(body), vec![], &failure, None);
                assert!(body.is_empty() || letter.body == body);
            }
        }
    });
}

#[test]
fn no_event_makes_it_panic() {
    let events: Vec<Vec<u8>> = ["sqs-batch", "sqs-duplicates", "sqs-malformed", "sqs-inline"]
        .map(|name| event(name).to_string().into_bytes())
        .into();
    fuzz("SQS event", &events, |bytes| {
        let Ok(event) = serde_json::from_slice::<SqsEvent>(bytes) else { return };
        for message in event.records {
            let _ = parse(message.body.as_deref(), Attributes::default());
        }
    });
}

#[test]
fn no_answer_of_the_model_makes_it_panic_and_none_that_does_not_fit_is_taken() {
    let good = json!({"summary": "s", "classification": {"label": "lease", "confidence": 0.5}, "key_points": ["k"]});
    let answers = [good, json!({"summary": ["s"], "key_points": {"a": [1e300, null]}}), json!("text"), json!([[[{}]]])];
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_string().into_bytes()).collect();
    fuzz("model's answer", &answers, |bytes| {
        let Ok(answer) = serde_json::from_slice::<Value>(bytes) else { return };
        if Analysis::standard().check(&answer).is_ok() {
            assert!(answer["summary"].is_string() && answer["key_points"].is_array());
            assert!((0.0..=1.0).contains(&answer["classification"]["confidence"].as_f64().unwrap()));
        }
    });
}

#[test]
fn no_document_makes_it_panic_and_every_one_is_of_a_type_that_is_taken_or_a_reason() {
    let samples = ["bridge-report.pdf", "piano-agreement.docx", "floor-plan.png", "lease.txt"];
    let mut documents: Vec<Vec<u8>> = samples
        .iter()
        .map(|name| std::fs::read(file(&format!("events/documents/{name}"))).expect("a sample"))
        .collect();
    documents.push(read("events/documents/letter.txt").encode_utf16().flat_map(u16::to_le_bytes).collect());
    documents.push(b"Geb\xfchr: 900 \x80".to_vec());
    let stream = "WordDocument".encode_utf16().flat_map(u16::to_le_bytes);
    let mut compound = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    compound.resize(512, 0);
    compound.extend(stream.chain([0; 40]).chain([26, 0, 2]).chain([0; 61]));
    documents.push(compound);
    fuzz("document", &documents, |bytes| {
        let names = [None, Some("a.html"), Some("b.docx"), Some(".")];
        match Document::new(names[bytes.len() % names.len()], bytes.to_vec()) {
            Ok(document) => assert_eq!(document.size_bytes(), bytes.len()),
            Err(failure) => assert!(failure.code.starts_with("document_"), "{failure:?}"),
        }
    });
}

#[test]
fn no_analysis_of_ones_own_makes_it_panic() {
    let requests = [
        json!({"labels": ["a", "b"], "instructions": "look"}),
        json!({"schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}, "required": ["a"]}}),
        json!({"schema": {"type": "object", "$defs": {"n": {"$ref": "#/$defs/n"}}, "properties": {"n": {"$ref": "#"}}}}),
    ];
    let requests: Vec<Vec<u8>> = requests.iter().map(|request| request.to_string().into_bytes()).collect();
    let answer = json!({"a": "a".repeat(64) + "!", "n": {"n": {"n": {}}}});
    fuzz("analysis", &requests, |bytes| {
        let Ok(request) = serde_json::from_slice::<AnalysisRequest>(bytes) else { return };
        if let Ok(analysis) = Analysis::new(&request) {
            let _ = analysis.check(&answer);
        }
    });
}

fn problem(body: &str) -> Failure {
    parse(Some(body), Attributes::default()).expect_err("malformed")
}

#[test]
fn each_limit_holds_to_the_byte() {
    let with_id = |id: &str| parse(Some(&json!({"job_id": id, "document": "x"}).to_string()), Attributes::default());
    assert!(with_id(&"x".repeat(ID_MAX_BYTES)).is_ok());
    assert!(with_id(&"x".repeat(ID_MAX_BYTES + 1)).is_err());
    let with_key = |bytes: usize| {
        let location = json!({"bucket": "b", "key": "k".repeat(bytes)});
        parse(Some(&json!({"job_id": "a", "document_s3": location}).to_string()), Attributes::default())
    };
    assert!(with_key(KEY_MAX_BYTES).is_ok() && with_key(KEY_MAX_BYTES + 1).is_err());
    let with_model = |bytes: usize| {
        parse(
            Some(&json!({"job_id": "a", "document": "x", "model_id": "m".repeat(bytes)}).to_string()),
            Attributes::default(),
        )
    };
    assert!(with_model(MODEL_ID_MAX_BYTES).is_ok() && with_model(MODEL_ID_MAX_BYTES + 1).is_err());
    // {"a":"…"} is eight bytes around its text.
    let with_metadata = |bytes: usize| {
        let metadata = json!({"a": "x".repeat(bytes - 8)});
        parse(Some(&json!({"job_id": "a", "document": "x", "metadata": metadata}).to_string()), Attributes::default())
    };
    assert!(with_metadata(METADATA_MAX_BYTES).is_ok() && with_metadata(METADATA_MAX_BYTES + 1).is_err());
    let pdf = |bytes: usize| Document::new(None, format!("%PDF-{}", "x".repeat(bytes - 5)).into_bytes());
    assert!(pdf(DOCUMENT_MAX_BYTES).is_ok() && pdf(DOCUMENT_MAX_BYTES + 1).is_err());
    let instructions =
        |bytes: usize| Analysis::new(&AnalysisRequest { instructions: Some("x".repeat(bytes)), ..Default::default() });
    assert!(instructions(INSTRUCTIONS_MAX_BYTES).is_ok() && instructions(INSTRUCTIONS_MAX_BYTES + 1).is_err());
    let labels = |count: usize| {
        Analysis::new(&AnalysisRequest {
            labels: Some((0..count).map(|n| n.to_string()).collect()),
            ..Default::default()
        })
    };
    assert!(labels(LABELS_MAX).is_ok() && labels(LABELS_MAX + 1).is_err());
}

#[test]
fn what_is_deep_broken_or_of_another_type_is_a_reason_and_no_crash() {
    for opening in ["[", "{\"a\":", "{\"job_id\":", "{\"metadata\":[", "{\"document_s3\":{\"bucket\":"] {
        problem(&opening.repeat(10_000));
    }
    for body in [
        r#"{"job_id": "a", "document": "\ud800"}"#,
        "{\"job_id\": \"a\0\", \"document\": \"x\"}",
        r#"{"job_id": 1, "document": "x"}"#,
        r#"{"job_id": "a", "document": 1}"#,
        r#"{"job_id": ["a"], "document": "x"}"#,
        r#"{"job_id": "a", "document_s3": {"bucket": 1, "key": "k"}}"#,
        r#"{"job_id": "a", "document": "x", "metadata": {"": 1}}"#,
        "\u{feff}{}",
        "",
        "null",
    ] {
        assert_eq!(problem(body).code, codes::MALFORMED_MESSAGE, "{body:?}");
    }
    let nul = parse(Some("{\"job_id\": \"a\", \"document\": \"x\\u0000y\"}"), Attributes::default())
        .expect("NUL is a character");
    assert!(matches!(nul.work, Work::Document(DocumentSource::Inline(text)) if text == "x\0y"));
}

#[test]
fn a_body_of_a_whole_message_is_kept_whole() {
    let large = json!({"job_id": "large", "document": "word ".repeat(180_000)}).to_string();
    assert!(large.len() > 900_000);
    parse(Some(&large), Attributes::default()).expect("900 KB are a document");
    let carried = Attribute { name: "a".into(), data_type: "String".into(), value: AttributeValue::Text("v".into()) };
    let letter = DeadLetter::new(Some(&large), vec![carried], &Failure::new("c", "m"), None);
    assert_eq!((letter.body.len(), letter.attributes.len()), (large.len(), 3));
}
