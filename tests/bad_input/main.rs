//! Invalid input: one byte over each limit, deep, malformed, of wrong types, and fuzzed.
//! Needs no local AWS.
//!
//! Each fuzz target runs for `FUZZ_SECONDS`: 1 by default, 60 in `make test`, 600
//! in `make faults`.

mod fuzz;
mod readers;

use std::collections::BTreeSet;

use aws_lambda_events::event::sqs::SqsEvent;
use bolero::check;
use docket::domain::analysis::{Analysis, AnalysisRequest};
use docket::domain::document::chunks::split_text;
use docket::domain::document::{Document, TextFormat};
use docket::domain::failure::{Failure, codes};
use docket::domain::job::{DocumentSource, Work};
use docket::domain::limits::*;
use docket::domain::message::attributes::ReceivedAttributes;
use docket::domain::message::attributes::{Attribute, AttributeValue};
use docket::domain::message::body::{self, ParsedMessage, parse_job};
use docket::domain::message::control::Control;
use docket::domain::message::dead_letter::DeadLetter;
use docket::domain::message::s3_event;
use fuzz::fuzz;
use serde_json::{Value, json};
use test_support::hostile::{HOSTILE_DATA, HOSTILE_THEMES, hostile_case};
use test_support::{event, file, read};

/// The sample SQS events, ordered by name, so that a seed gives the same inputs on every
/// machine.
fn events() -> Vec<Value> {
    let names = std::fs::read_dir(file("events")).expect("sample events").map(|entry| entry.unwrap().file_name());
    let names = names.filter_map(|name| name.to_str()?.strip_suffix(".json").map(str::to_owned));
    let names: BTreeSet<String> = names.filter(|name| name.starts_with("sqs-") || name.starts_with("s3-")).collect();
    names.iter().map(|name| event(name)).collect()
}

/// The message bodies of the sample events: jobs and S3 events.
fn bodies() -> Vec<Vec<u8>> {
    let bodies = |event: &Value| event["Records"].as_array().unwrap().clone();
    events().iter().flat_map(bodies).filter_map(|record| Some(record["body"].as_str()?.as_bytes().to_vec())).collect()
}

/// Generated hostile messages that a corruption may keep whole. Cases with much data are not
/// built, because they would take more memory than the targets.
fn hostile_messages() -> Vec<Vec<u8>> {
    let numbers = (0..160).filter(|number| !HOSTILE_DATA.contains(&(number % HOSTILE_THEMES)));
    let messages = numbers.map(|number| hostile_case(20, number).message.into_bytes());
    messages.filter(|message| message.len() < 16 * 1024).collect()
}

#[test]
fn any_message_body_is_a_job_or_an_error() {
    fuzz(check!(), &[bodies(), hostile_messages()].concat(), |bytes| {
        let Ok(body) = std::str::from_utf8(bytes) else { return };
        let attribute = body.get(..3);
        let attributes = ReceivedAttributes { priority: attribute, failed_attempt: attribute, poll: attribute };
        let _ = (attributes.redrive_of(), attributes.poll());
        match body::parse_message(Some(body), attributes.priority, "b") {
            Ok(ParsedMessage::Job(job)) => assert!(!job.job_id.as_str().is_empty()),
            Ok(ParsedMessage::Several(bodies)) => assert!(bodies.len() > 1),
            Ok(ParsedMessage::Control(control)) => assert_eq!(Control::parse(&control.body()), Some(control)),
            Ok(ParsedMessage::Nothing | ParsedMessage::NewerVersion) => {}
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
fn any_sqs_event_is_parsed_without_panic() {
    let events: Vec<Vec<u8>> = events().iter().map(|event| event.to_string().into_bytes()).collect();
    fuzz(check!(), &events, |bytes| {
        let Ok(event) = serde_json::from_slice::<SqsEvent>(bytes) else { return };
        for message in event.records {
            let _ = body::parse_message(message.body.as_deref(), None, "b");
        }
    });
}

#[test]
fn any_s3_event_is_parsed_without_panic() {
    fuzz(check!(), &bodies(), |bytes| {
        let Ok(body) = std::str::from_utf8(bytes) else { return };
        if let Ok(s3_event::S3Event::Several(bodies)) = s3_event::parse(body, "b") {
            assert!(bodies.iter().all(|body| s3_event::is_s3_event(body)));
        }
    });
}

#[test]
fn any_model_answer_is_valid_or_rejected() {
    let good = json!({"summary": "s", "classification": {"label": "lease", "confidence": 0.5}, "key_points": ["k"]});
    let answers = [good, json!({"summary": ["s"], "key_points": {"a": [1e300, null]}}), json!("text"), json!([[[{}]]])];
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_string().into_bytes()).collect();
    fuzz(check!(), &answers, |bytes| {
        let Ok(answer) = serde_json::from_slice::<Value>(bytes) else { return };
        if Analysis::standard().check(&answer).is_ok() {
            assert!(answer["summary"].is_string() && answer["key_points"].is_array());
            assert!((0.0..=1.0).contains(&answer["classification"]["confidence"].as_f64().unwrap()));
        }
    });
}

#[test]
fn any_document_has_a_supported_type_or_an_error() {
    let samples = ["bridge-report.pdf", "piano-agreement.docx", "floor-plan.png", "lease.txt"];
    let mut documents: Vec<Vec<u8>> = samples
        .iter()
        .map(|name| std::fs::read(file(&format!("events/documents/{name}"))).expect("a sample document"))
        .collect();
    documents.push(read("events/documents/letter.txt").encode_utf16().flat_map(u16::to_le_bytes).collect());
    documents.push(b"Geb\xfchr: 900 \x80".to_vec());
    let stream = "WordDocument".encode_utf16().flat_map(u16::to_le_bytes);
    let mut compound = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    compound.resize(512, 0);
    compound.extend(stream.chain([0; 40]).chain([26, 0, 2]).chain([0; 61]));
    documents.push(compound);
    documents.extend(readers::samples());
    fuzz(check!(), &documents, |bytes| {
        let names = [None, Some("a.html"), Some("b.docx"), Some(".")];
        match Document::new(names[bytes.len() % names.len()], bytes.to_vec()) {
            Ok(document) => assert_eq!(document.size_bytes(), bytes.len()),
            Err(failure) => assert!(failure.code.starts_with("document_"), "{failure:?}"),
        }
    });
}

#[test]
fn any_text_is_split_within_its_limits() {
    let samples = ["a,b\n\"x\ny\",2\n", "# A\n\n```\ncode\n```\n| a |\n", "<p>a</p><table><tr><td>b</td></tr></table>"];
    let samples = samples.map(|sample| sample.repeat(40).into_bytes());
    fuzz(check!(), &samples, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for format in [TextFormat::Csv, TextFormat::Md, TextFormat::Html, TextFormat::Txt] {
            let Some(chunks) = split_text(format, &text, 300, 32) else { continue };
            assert!(chunks.len() <= 32 && chunks.iter().all(|chunk| chunk.len() <= 300));
            let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
            assert!(length >= text.len(), "no text is lost");
        }
    });
}

#[test]
fn any_custom_analysis_is_built_without_panic() {
    let requests = [
        json!({"labels": ["a", "b"], "instructions": "look"}),
        json!({"schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}, "required": ["a"]}}),
        json!({"schema": {"type": "object", "$defs": {"n": {"$ref": "#/$defs/n"}}, "properties": {"n": {"$ref": "#"}}}}),
    ];
    let mut requests: Vec<Vec<u8>> = requests.iter().map(|request| request.to_string().into_bytes()).collect();
    let hostile = hostile_messages();
    let hostile = hostile.iter().filter_map(|message| serde_json::from_slice::<Value>(message).ok());
    requests.extend(hostile.filter_map(|message| Some(message.get("analysis")?.to_string().into_bytes())));
    let answer = json!({"a": "a".repeat(64) + "!", "n": {"n": {"n": {}}}});
    fuzz(check!(), &requests, |bytes| {
        let Ok(request) = serde_json::from_slice::<AnalysisRequest>(bytes) else { return };
        if let Ok(analysis) = Analysis::new(&request) {
            let _ = analysis.accept(answer.clone());
        }
    });
}

fn parse_error(body: &str) -> Failure {
    parse_job(Some(body), None).expect_err("malformed")
}

#[test]
fn input_over_a_limit_by_one_is_rejected() {
    let with_id = |id: &str| parse_job(Some(&json!({"job_id": id, "document": "x"}).to_string()), None);
    assert!(with_id(&"x".repeat(ID_MAX_BYTES)).is_ok());
    assert!(with_id(&"x".repeat(ID_MAX_BYTES + 1)).is_err());
    let with_key = |bytes: usize| {
        let location = json!({"bucket": "b", "key": "k".repeat(bytes)});
        parse_job(Some(&json!({"job_id": "a", "document_s3": location}).to_string()), None)
    };
    assert!(with_key(KEY_MAX_BYTES).is_ok() && with_key(KEY_MAX_BYTES + 1).is_err());
    let with_model = |bytes: usize| {
        parse_job(Some(&json!({"job_id": "a", "document": "x", "model_id": "m".repeat(bytes)}).to_string()), None)
    };
    assert!(with_model(MODEL_ID_MAX_BYTES).is_ok() && with_model(MODEL_ID_MAX_BYTES + 1).is_err());
    // {"a":"…"} adds eight bytes to the text.
    let with_metadata = |bytes: usize| {
        let metadata = json!({"a": "x".repeat(bytes - 8)});
        parse_job(Some(&json!({"job_id": "a", "document": "x", "metadata": metadata}).to_string()), None)
    };
    assert!(with_metadata(METADATA_MAX_BYTES).is_ok() && with_metadata(METADATA_MAX_BYTES + 1).is_err());
    let pdf =
        |bytes: usize| Document::new(None, format!("%PDF-1.7 1 0 obj /Page{}", "x".repeat(bytes - 22)).into_bytes());
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
fn deep_malformed_or_mistyped_message_is_an_error() {
    for opening in ["[", "{\"a\":", "{\"job_id\":", "{\"metadata\":[", "{\"document_s3\":{\"bucket\":"] {
        parse_error(&opening.repeat(10_000));
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
        assert_eq!(parse_error(body).code, codes::MALFORMED_MESSAGE, "{body:?}");
    }
    let nul = parse_job(Some("{\"job_id\": \"a\", \"document\": \"x\\u0000y\"}"), None).expect("NUL is a character");
    assert!(matches!(nul.work, Work::Document(DocumentSource::Inline(text)) if text == "x\0y"));
}

#[test]
fn dead_letter_of_a_large_message_keeps_its_body() {
    let large = json!({"job_id": "large", "document": "word ".repeat(180_000)}).to_string();
    assert!(large.len() > 900_000);
    parse_job(Some(&large), None).expect("a document of 900 KB is valid");
    let attribute = Attribute { name: "a".into(), data_type: "String".into(), value: AttributeValue::Text("v".into()) };
    let letter = DeadLetter::new(Some(&large), vec![attribute], &Failure::new("c", "m"), None);
    assert_eq!((letter.body.len(), letter.attributes.len()), (large.len(), 3));
}
