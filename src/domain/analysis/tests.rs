use super::answer_form::AnswerForm;
use super::*;
use crate::domain::document::TextFormat;
use crate::domain::limits::OUTPUT_TOKENS_MAX;
use serde_json::json;

fn good() -> Value {
    json!({"summary": "s", "classification": {"label": "lease", "confidence": 0.5}, "key_points": ["k"]})
}

fn refused(request: AnalysisRequest) -> InvalidAnalysis {
    Analysis::new(&request).expect_err("refused")
}

#[test]
fn answer_that_does_not_fit_schema_is_a_failure() {
    let analysis = Analysis::standard();
    analysis.check(&good()).unwrap();
    for (pointer, wrong) in [
        ("/summary", json!(7)),
        ("/summary", json!("")),
        ("/classification/label", json!("poem")),
        ("/classification/confidence", json!(1.01)),
        ("/classification/confidence", json!("high")),
        ("/key_points", json!("one")),
        ("/key_points/0", json!(null)),
    ] {
        let mut answer = good();
        *answer.pointer_mut(pointer).unwrap() = wrong;
        let failure = analysis.check(&answer).expect_err(pointer);
        assert_eq!(failure.code, codes::ANSWER_UNFIT);
        assert!(failure.message.contains(pointer), "{}", failure.message);
    }
    assert!(analysis.check(&json!({})).is_err());
    assert!(analysis.check(&json!("text")).is_err());
}

#[test]
fn failure_message_has_no_text_of_answer() {
    let mut answer = good();
    answer["classification"]["label"] = json!("SECRET");
    let failure = Analysis::standard().check(&answer).expect_err("unfit");
    assert!(!failure.message.contains("SECRET"));
}

#[test]
fn task_describes_the_content_block() {
    let task = |document: &Document| Analysis::standard().task(document, AnswerForm::Tool);
    let text = Document::new(None, b"words".to_vec()).unwrap();
    assert!(task(&text).starts_with("Analyse the document named \"document\". Summarise it"));
    let image = Document::new(None, b"GIF89a".to_vec()).unwrap();
    assert!(task(&image).contains("the image shows") && !task(&image).contains("named"));
    assert!(task(&Document::chunk(TextFormat::Txt, "words", 2, 5)).contains("part 2 of 5"));
    assert!(task(&Document::results("[]".into())).contains("one result for the whole document"));
}

#[test]
fn prompt_names_the_tool_only_where_there_is_one() {
    let document = Document::new(None, b"words".to_vec()).unwrap();
    let schema = json!({"type": "object", "properties": {"rent": {"type": "number"}}});
    let own = Analysis::new(&AnalysisRequest { schema: Some(schema), ..Default::default() }).unwrap();
    for analysis in [Analysis::standard(), &own] {
        for form in [AnswerForm::Tool, AnswerForm::AnyTool, AnswerForm::AutoTool] {
            assert!(analysis.task(&document, form).ends_with("Call the tool record_analysis."));
            assert!(analysis.system(form).contains("tool"));
        }
        for form in [AnswerForm::JsonSchema, AnswerForm::Text] {
            assert!(!analysis.task(&document, form).contains("tool") && !analysis.system(form).contains("tool"));
        }
        assert!(analysis.task(&document, AnswerForm::Text).ends_with(&analysis.answer_schema().to_string()));
    }
}

#[test]
fn answer_in_a_text_is_checked_as_every_answer() {
    let analysis = Analysis::standard();
    assert_eq!(analysis.accept_text(&format!("```json\n{}\n```", good())), Ok((good(), false)));
    let refused = |text: &str| analysis.accept_text(text).expect_err("refused").message;
    assert_eq!(refused("A lease."), "the model's answer must have exactly one JSON object");
    assert!(refused("{}").contains("the field \"summary\" is missing"));
    let rounded = good().to_string().replace("0.5", "0.50000000000000000000001");
    assert!(refused(&rounded).contains("at `/classification/confidence`: 64 bits"), "{}", refused(&rounded));
}

#[test]
fn custom_labels_replace_default_labels() {
    let request = AnalysisRequest { labels: Some(vec!["a".into(), "b".into()]), ..Default::default() };
    let analysis = Analysis::new(&request).unwrap();
    let mut answer = good();
    assert!(analysis.check(&answer).is_err());
    answer["classification"]["label"] = json!("b");
    analysis.check(&answer).unwrap();
}

#[test]
fn custom_schema_replaces_default_schema() {
    let schema = json!({"type": "object", "properties": {"rent": {"type": "number"}}, "required": ["rent"]});
    let request = AnalysisRequest { schema: Some(schema), ..Default::default() };
    let analysis = Analysis::new(&request).unwrap();
    analysis.check(&json!({"rent": 12.5})).unwrap();
    assert!(analysis.check(&good()).is_err());
}

#[test]
fn invalid_analysis_error_names_the_field() {
    let labels = |labels: &[&str]| AnalysisRequest {
        labels: Some(labels.iter().map(|label| label.to_string()).collect()),
        ..Default::default()
    };
    let schema = |schema: Value| AnalysisRequest { schema: Some(schema), ..Default::default() };
    let instructions = |text: String| AnalysisRequest { instructions: Some(text), ..Default::default() };
    assert_eq!(refused(labels(&["one"])).field, "labels");
    assert_eq!(refused(labels(&["one", "one"])).field, "labels");
    assert_eq!(refused(labels(&["one", " "])).field, "labels");
    assert_eq!(refused(schema(json!({"type": "string"}))).field, "schema");
    assert_eq!(refused(schema(json!({"type": "object", "properties": 7}))).field, "schema");
    assert_eq!(refused(schema(json!({"type": "object", "$ref": "https://example.com/s.json"}))).field, "schema");
    // DynamoDB cannot store these schemas.
    for property in [json!({"": {}}), json!({"n": {"maximum": 1e300}})] {
        assert_eq!(refused(schema(json!({"type": "object", "properties": property}))).field, "schema");
    }
    let deep = (0..RESULT_MAX_DEPTH).fold(json!({}), |inner, _| json!({"not": inner}));
    assert_eq!(refused(schema(json!({"type": "object", "not": deep}))).field, "schema");
    assert_eq!(refused(instructions(" ".into())).field, "instructions");
    assert_eq!(refused(instructions("x".repeat(INSTRUCTIONS_MAX_BYTES + 1))).field, "instructions");
    Analysis::new(&instructions("x".repeat(INSTRUCTIONS_MAX_BYTES))).unwrap();
}

#[test]
fn answer_that_dynamodb_cannot_store_is_rejected() {
    let schema = json!({"type": "object"});
    let analysis = Analysis::new(&AnalysisRequest { schema: Some(schema), ..Default::default() }).unwrap();
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    analysis.check(&nested(RESULT_MAX_DEPTH)).unwrap();
    for answer in [
        nested(RESULT_MAX_DEPTH + 1),
        json!({"n": 1e126}),
        json!({"n": 1e-200}),
        json!({"s": "x".repeat(RESULT_MAX_BYTES)}),
    ] {
        assert_eq!(analysis.check(&answer).expect_err("refused").code, codes::ANSWER_TOO_LARGE);
    }
    analysis.check(&json!({"n": 0.0, "m": -1.5e120})).unwrap();
}

fn analysis(request: AnalysisRequest) -> Analysis {
    Analysis::new(&request).unwrap()
}

#[test]
fn equal_bytes_and_equal_request_have_equal_fingerprint() {
    let one = Analysis::standard().fingerprint("s", &json!("m"));
    assert_eq!(one, analysis(AnalysisRequest::default()).fingerprint("s", &json!("m")));
    let about = AnalysisRequest { instructions: Some("the rent".into()), ..Default::default() };
    for other in [
        Analysis::standard().fingerprint("t", &json!("m")),
        Analysis::standard().fingerprint("s", &json!("n")),
        analysis(about).fingerprint("s", &json!("m")),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn invalid_model_setting_error_names_the_field() {
    let refused = |request: AnalysisRequest| Analysis::new(&request).expect_err("refused").field;
    for max_tokens in [0, -1, OUTPUT_TOKENS_MAX + 1] {
        assert_eq!(refused(AnalysisRequest { max_tokens: Some(max_tokens), ..Default::default() }), "max_tokens");
    }
    for temperature in [-0.1, 1.1, 1e-200, f64::NAN] {
        let request = AnalysisRequest { temperature: Some(temperature), ..Default::default() };
        assert_eq!(refused(request), "temperature");
    }
    assert_eq!(refused(AnalysisRequest { model_id: Some(String::new()), ..Default::default() }), "model_id");
}
