//! Converse calls to the stand-in: the requests, and the meaning of each response.
//! These tests need no local AWS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_bedrockruntime::config::Credentials;
use docket::aws::model::{Call, CallError, Model, ModelSettings, Question};
use docket::domain::analysis::answer_form::{AnswerForm, AnswerMode};
use docket::domain::analysis::{Analysis, AnalysisRequest};
use docket::domain::document::Document;
use docket::domain::failure::codes;
use docket::domain::job::ending::AttemptError;
use serde_json::{Value, json};
use test_support::stand_in::StandIn;
use test_support::{file, read};

async fn start_model(stand_in: &StandIn, timeout: Duration) -> Model {
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .http_client(docket::aws::http_client())
        .endpoint_url(&stand_in.url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await;
    let settings = ModelSettings {
        model_id: "us.amazon.nova-2-lite-v1:0".into(),
        max_tokens: 500,
        temperature: Some(0.0),
        request_fields: Some(json!({"thinking": {"type": "disabled"}})),
        answer_mode: AnswerMode::Auto,
        timeout,
    };
    Model::new(&sdk, settings)
}

async fn analyse_text(
    model: &Model,
    analysis: &Arc<Analysis>,
    text: &str,
) -> Result<docket::aws::model::Answer, AttemptError> {
    let job_id = "a-job".parse().unwrap();
    let call = Call { job_id: &job_id, attempt: 2, generation: 0, model_id: model.model_id(), analysis };
    let question = Question::new(Document::new(None, text.as_bytes().to_vec()).unwrap());
    match model.converse(&call, &question, AnswerForm::Tool).await {
        Ok(answered) => answered.answer.map_err(|rejected| rejected.error),
        Err(CallError::Attempt(error) | CallError::FormRefused(error)) => Err(error),
        Err(CallError::BrokenToolUse(failure)) => Err(AttemptError::Transient(failure)),
    }
}

#[tokio::test]
async fn answer_fits_the_schema_and_depends_on_the_document() {
    let stand_in = StandIn::start();
    let model = start_model(&stand_in, Duration::from_secs(10)).await;
    for kind in ["contract", "lease", "complaint", "policy", "judgment", "letter", "invoice", "minutes", "report"] {
        let answer =
            analyse_text(&model, Analysis::standard(), &read(&format!("events/documents/{kind}.txt"))).await.unwrap();
        assert_eq!(answer.result["classification"]["label"], kind);
        assert!(answer.usage.input_tokens > 100 && answer.usage.output_tokens > 20);
        assert_eq!(answer.model_id, "us.amazon.nova-2-lite-v1:0");
    }
    assert_eq!(stand_in.calls_of("a-job"), 9);
}

/// Analyses a sample document.
async fn analyse_sample(model: &Model, name: &str) -> Value {
    let analysis = Analysis::standard();
    let job_id = "a-file".parse().unwrap();
    let call = Call { job_id: &job_id, attempt: 1, generation: 0, model_id: model.model_id(), analysis };
    let bytes = std::fs::read(file(&format!("events/documents/{name}"))).unwrap();
    let question = Question::new(Document::new(Some(name), bytes).unwrap());
    let answered = model.converse(&call, &question, AnswerForm::Tool).await.expect(name);
    answered.answer.expect(name).result
}

#[tokio::test]
async fn files_and_images_are_sent_in_their_format_and_answered() {
    let stand_in = StandIn::start();
    let model = start_model(&stand_in, Duration::from_secs(10)).await;
    let report = analyse_sample(&model, "bridge-report.pdf").await;
    assert_eq!(report["classification"]["label"], "report");
    assert!(report.to_string().contains("boards"), "{report}");
    let agreement = analyse_sample(&model, "piano-agreement.docx").await;
    assert_eq!(agreement["classification"]["label"], "contract");
    assert!(agreement.to_string().contains("GBP 95"), "{agreement}");
    let plan = analyse_sample(&model, "floor-plan.png").await;
    assert_eq!(plan["classification"]["label"], "other");
    assert!(plan["summary"].as_str().unwrap().contains("480 × 320"), "{plan}");
}

#[tokio::test]
async fn custom_schema_is_answered() {
    let stand_in = StandIn::start();
    let schema = json!({
        "type": "object",
        "properties": {"monthly_rent": {"type": "number"}, "landlord": {"type": "string"}},
        "required": ["monthly_rent", "landlord"]
    });
    let analysis = Arc::new(Analysis::new(&AnalysisRequest { schema: Some(schema), ..Default::default() }).unwrap());
    let text = "This lease is made by the landlord Anna Berg. The monthly rent is 1,250.50 euros, due on the first.";
    let answer = analyse_text(&start_model(&stand_in, Duration::from_secs(10)).await, &analysis, text).await.unwrap();
    assert_eq!(answer.result["monthly_rent"], 1250.5);
    assert!(answer.result["landlord"].as_str().unwrap().contains("Anna Berg"));
}

#[tokio::test]
async fn model_failures_have_their_class_and_are_not_retried() {
    let stand_in = StandIn::start();
    let model = start_model(&stand_in, Duration::from_secs(2)).await;
    let throttled: fn(&AttemptError) -> bool = |error| matches!(error, AttemptError::Throttled(_));
    let transient: fn(&AttemptError) -> bool = |error| matches!(error, AttemptError::Transient(_));
    let no_answer: fn(&AttemptError) -> bool = |error| matches!(error, AttemptError::NoAnswer(_));
    let refused: fn(&AttemptError) -> bool = |error| matches!(error, AttemptError::Refused(_));
    let account_fault: fn(&AttemptError) -> bool = |error| matches!(error, AttemptError::AccountFault(_));
    let permanent: fn(&AttemptError) -> bool = |error| matches!(error, AttemptError::Permanent(_));
    for (kind, is_of_class, code) in [
        ("throttling", throttled, "throttling_exception"),
        ("not_ready", throttled, "model_not_ready_exception"),
        ("unavailable", throttled, "service_unavailable_exception"),
        ("server_error", no_answer, "internal_server_exception"),
        ("model_timeout", no_answer, "model_timeout_exception"),
        ("model_error", no_answer, "model_error_exception"),
        ("hang", no_answer, codes::MODEL_TIMEOUT),
        ("garbage", no_answer, codes::MODEL_UNREACHABLE),
        ("truncated", no_answer, codes::MODEL_UNREACHABLE),
        ("unfit", transient, codes::ANSWER_UNFIT),
        ("no_tool", transient, codes::ANSWER_UNFIT),
        ("validation", refused, "validation_exception"),
        ("access_denied", account_fault, "access_denied_exception"),
        ("guardrail", permanent, codes::GUARDRAIL),
        ("max_tokens", permanent, codes::ANSWER_TRUNCATED),
    ] {
        stand_in.behave(json!({"faults": [{"kind": kind}]}));
        let before = stand_in.calls()["total"].as_u64().unwrap();
        let error = analyse_text(&model, Analysis::standard(), "A text to look at.").await.expect_err(kind);
        assert!(is_of_class(&error), "{kind}: {error:?}");
        let (AttemptError::Throttled(failure)
        | AttemptError::Transient(failure)
        | AttemptError::NoAnswer(failure)
        | AttemptError::Permanent(failure)
        | AttemptError::Refused(failure)
        | AttemptError::AccountFault(failure)) = error
        else {
            panic!("{kind}");
        };
        assert_eq!(failure.code, code, "{kind}: {failure:?}");
        assert_eq!(stand_in.calls()["total"].as_u64().unwrap(), before + 1, "{kind}: the model client does not retry");
    }
}

#[tokio::test]
async fn unreachable_model_gives_no_answer() {
    let stand_in = StandIn::start();
    let model = start_model(&stand_in, Duration::from_secs(2)).await;
    drop(stand_in);
    let error = analyse_text(&model, Analysis::standard(), "A text.").await.expect_err("no server listens");
    assert!(
        matches!(error, AttemptError::NoAnswer(ref failure) if failure.code == codes::MODEL_UNREACHABLE),
        "{error:?}"
    );
}

#[tokio::test]
async fn stand_in_enforces_a_quota_as_bedrock_does() {
    let stand_in = StandIn::start();
    stand_in.behave(json!({"requests_per_minute": 3}));
    let model = start_model(&stand_in, Duration::from_secs(5)).await;
    let mut throttled = 0;
    for _ in 0..10 {
        throttled += u32::from(analyse_text(&model, Analysis::standard(), "A text to look at.").await.is_err());
    }
    // The quota admits 3 calls at once and one more every 20 s. A slow machine may take
    // 80 s.
    assert!((4..=7).contains(&throttled), "{throttled} of 10 throttled");
    assert_eq!(stand_in.calls()["throttled"], throttled);
}

#[tokio::test]
async fn call_takes_the_latency_set_in_the_stand_in() {
    let stand_in = StandIn::start();
    stand_in.behave(json!({"latency_ms": 300}));
    let begun = Instant::now();
    let answer = analyse_text(&start_model(&stand_in, Duration::from_secs(10)).await, Analysis::standard(), "A text.")
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(answer.elapsed >= Duration::from_millis(300));
}
