//! Tests of the module above.

use super::*;

fn problem_of(body: &str) -> String {
    let failure = parse_job(Some(body), None).expect_err("malformed");
    assert_eq!(failure.code, codes::MALFORMED_MESSAGE);
    failure.message
}

#[test]
fn message_of_a_newer_version_is_no_failure() {
    let parse = |body: &str| parse_message(Some(body), None, "b");
    for newer in [
        r#"{"docket_version": 2, "job_id": "a", "document": {"parts": []}}"#,
        r#"{"job_id": {"id": "a"}, "docket_version": 7}"#,
        r#"{"control":"rebalance","shard":7}"#,
        r#"{"control":"probe","target":{"a":1}}"#,
    ] {
        assert_eq!(parse(newer), Ok(ParsedMessage::NewerVersion), "{newer}");
    }
    let current = r#"{"docket_version": 1, "job_id": "a", "document": "text"}"#;
    assert!(matches!(parse(current), Ok(ParsedMessage::Job(_))));
    let mentioned = r#"{"job_id": "a", "document": "\"docket_version\": 9"}"#;
    assert!(matches!(parse(mentioned), Ok(ParsedMessage::Job(_))));
    // A producer may use its own field `version`.
    assert!(matches!(parse(r#"{"job_id": "a", "document": "x", "version": 9}"#), Ok(ParsedMessage::Job(_))));
    let sent = MessageBody { version: MESSAGE_VERSION, ..serde_json::from_str(current).unwrap() };
    assert!(serde_json::to_string(&sent).unwrap().contains(r#""docket_version":1"#));
}

#[test]
fn any_producer_may_send_inline_document() {
    let body = r#"{"job_id": "a-1", "document": "Dear Sir", "sent_by": "somebody else"}"#;
    let job = parse_job(Some(body), Some("high")).unwrap();
    assert_eq!(job.job_id.as_str(), "a-1");
    assert_eq!(job.work, Work::Document(DocumentSource::Inline("Dear Sir".into())));
    assert_eq!(job.priority, Priority::High);
}

#[test]
fn document_may_be_an_s3_object() {
    let body = r#"{"job_id": "a", "document_s3": {"bucket": "b", "key": "k/ö 1.txt"}, "batch_id": "x"}"#;
    let job = parse_job(Some(body), None).unwrap();
    let location = S3Location { bucket: "b".into(), key: "k/ö 1.txt".into(), version_id: None, sha256: None };
    assert_eq!(job.work, Work::Document(DocumentSource::S3(location)));
    assert_eq!(job.priority, Priority::Normal);
}

#[test]
fn malformed_body_error_names_the_field() {
    assert_eq!(problem_of("not json"), "the text is not valid JSON: line 1, column 2");
    assert_eq!(problem_of(r#"["a", "text"]"#), "`.`: expected an object");
    assert_eq!(problem_of("{}"), "`.`: missing field `job_id`");
    assert_eq!(problem_of(r#"{"job_id": 7}"#), "`job_id`: expected a string");
    assert_eq!(
        problem_of(r#"{"job_id": "a"}"#),
        "the body must have one of `document`, `document_s3` and `async_invoke`"
    );
    assert_eq!(problem_of(r#"{"job_id": "a", "document": 3.5}"#), "`document`: expected a string");
    assert!(problem_of(r#"{"job_id": "a b", "document": "x"}"#).starts_with("`job_id`: has the character ' '"));
}

#[test]
fn job_may_request_async_invocation() {
    let body = r#"{"job_id": "a", "async_invoke": {"model_id": "m", "model_input": {"text": "SECRET"}}}"#;
    let job = parse_job(Some(body), None).unwrap();
    let Work::AsyncInvocation(request) = job.work else { panic!("{:?}", job.work) };
    assert_eq!((request.model_id.as_str(), request.model_input["text"].as_str()), ("m", Some("SECRET")));
    let both = problem_of(&body.replace(r#""job_id""#, r#""document": "x", "job_id""#));
    assert_eq!(both, "the body must have only one of `document`, `document_s3` and `async_invoke`");
    assert!(problem_of(&body.replace(r#""m""#, r#""a b""#)).starts_with("`async_invoke.model_id`"));
    assert!(!problem_of(&body.replace("SECRET", &"SECRET".repeat(200_000))).contains("SECRET"));
}

#[test]
fn field_over_stored_job_limit_is_malformed() {
    let s3 = |bucket: &str, key: &str| {
        problem_of(&format!(r#"{{"job_id": "a", "document_s3": {{"bucket": "{bucket}", "key": "{key}"}}}}"#))
    };
    assert_eq!(s3("", "k"), "`document_s3.bucket`: must have 1 to 255 bytes; it has 0");
    assert_eq!(s3("b", &"k".repeat(1025)), "`document_s3.key`: must have 1 to 1024 bytes; it has 1025");
    let large = "x".repeat(METADATA_MAX_BYTES);
    assert_eq!(
        problem_of(&format!(r#"{{"job_id": "a", "document": "x", "metadata": {{"a": "{large}"}}}}"#)),
        "`metadata`: must have at most 4096 bytes of JSON; it has 4104"
    );
    assert!(problem_of(r#"{"job_id": "a", "document": "x", "metadata": {"a": 1e200}}"#).starts_with("`metadata`"));
    let analysis = |fields: &str| problem_of(&format!(r#"{{"job_id": "a", "document": "x", "analysis": {fields}}}"#));
    let large = format!(r#"{{"instructions": "{}"}}"#, "x".repeat(INLINE_RESULT_MAX_BYTES));
    for fields in [r#"{"temperature": 1e-200}"#, r#"{"schema": {"type": "object", "": {}}}"#, &large] {
        assert!(analysis(fields).starts_with("`analysis`"), "{}", analysis(fields));
    }
}

#[test]
fn number_is_kept_exactly_or_the_body_is_malformed() {
    let metadata = |n: &str| format!(r#"{{"job_id": "a", "document": "x", "other": 1e30, "metadata": {{"n": {n}}}}}"#);
    for number in ["18446744073709551616", "1e400", "0.12345678901234567890"] {
        assert!(problem_of(&metadata(number)).starts_with("`metadata.n`: has a number"), "{number}");
    }
    let job = parse_job(Some(&metadata("18446744073709551615")), None).unwrap();
    assert_eq!(job.metadata.unwrap()["n"], u64::MAX);
    assert!(parse_job(Some(r#"{"job_id": "a", "document": "x", "other": 18446744073709551616}"#), None).is_ok());
    let schema = r#"{"type": "object", "properties": {"n": {"maximum": 18446744073709551616}}}"#;
    let body = format!(r#"{{"job_id": "a", "document": "x", "analysis": {{"schema": {schema}}}}}"#);
    assert!(problem_of(&body).starts_with("`analysis.schema.properties.n.maximum`"));
}

#[test]
fn malformed_body_error_has_no_text_of_document() {
    for body in [
        r#"{"job_id": "a", "document_s3": "SECRET, expected SECRET"}"#,
        r#"{"job_id": "a", "document": "x", "analysis": "SECRET"}"#,
        r#"{"job_id": "a", "document": {"SECRET": 1}}"#,
        r#"{"job_id": "a", "document": "SECRET" "SECRET"}"#,
    ] {
        assert!(!problem_of(body).contains("SECRET"), "{}", problem_of(body));
    }
}

#[test]
fn deep_or_broken_json_is_malformed() {
    problem_of(&"{\"a\":".repeat(10_000));
    problem_of(&format!(r#"{{"job_id": "a", "document": "x", "metadata": {}}}"#, "[".repeat(10_000)));
    problem_of(r#"{"job_id": "a", "document": "\ud800"}"#);
    problem_of("");
    let metadata = (0..100).fold("1".to_owned(), |inner, _| format!(r#"{{"a": {inner}}}"#));
    problem_of(&format!(r#"{{"job_id": "a", "document": "x", "metadata": {metadata}}}"#));
    assert!(parse_job(None, None).is_err());
}
