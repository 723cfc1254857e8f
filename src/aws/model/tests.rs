//! Tests of the module above.

use super::*;
use crate::aws::refusing_server::RefusingServer;
use crate::domain::document::Document;

/// The bench compares Docket with peers, which send the request of this file.
#[tokio::test]
async fn bench_peers_send_the_same_request_as_docket() {
    let server = RefusingServer::start().await;
    let timeout = Duration::from_secs(30);
    let settings = ModelSettings {
        model_id: "a-model".to_owned(),
        max_tokens: 1_024,
        temperature: Some(0.0),
        request_fields: None,
        answer_mode: AnswerMode::Auto,
        timeout,
    };
    let job_id = "a-job".parse().expect("an id");
    let call = Call { job_id: &job_id, attempt: 1, generation: 0, model_id: "a-model", analysis: Analysis::standard() };
    let document = Document::new(None, b"A lease.".to_vec()).expect("a text");
    Model::new(&server.config, settings)
        .converse(&call, &Question::new(document), AnswerForm::Tool)
        .await
        .expect_err("the server rejects every request");

    let mut sent: Value = serde_json::from_slice(&server.only_request().body).expect("JSON");
    let metadata = sent.as_object_mut().and_then(|body| body.remove("requestMetadata"));
    assert_eq!(metadata, Some(json!({"job_id": "a-job", "attempt": "1", "generation": "0", "call": "document"})));
    let bytes = sent.pointer_mut("/messages/0/content/0/document/source/bytes").expect("a document");
    assert_eq!(bytes.take(), "QSBsZWFzZS4=");
    *bytes = "".into();
    let expected: Value = serde_json::from_str(include_str!("../../../bench/peers/request.json")).expect("JSON");
    assert_eq!(with_float_numbers(sent), with_float_numbers(expected));
}

/// JSON does not distinguish 0 from 0.0, but serde_json does.
fn with_float_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.into_iter().map(with_float_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, with_float_numbers(value))).collect(),
        other => other,
    }
}
