//! Tests of the module above.

use super::*;

fn read(body: &str, key: Option<&str>) -> Result<Submission, Value> {
    let mut request = lambda_http::http::Request::builder().method("POST").uri("/jobs");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Body::Text(body.to_owned())).unwrap();
    let allowed = AllowedModels {
        analysis: vec!["m-1".into()],
        async_invocation: vec!["video-1".into()],
        max_tokens_ceiling: 2_000,
        input_bucket: "b".into(),
    };
    Submission::from_request(&request, &allowed).map_err(|problem| {
        let response = problem.response("r-1");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let Body::Text(body) = response.body() else { panic!("no text") };
        serde_json::from_str(body).unwrap()
    })
}

#[test]
fn invalid_request_has_the_status_and_field_of_its_fault() {
    for (body, status, field) in [
        ("", 400, None),
        ("{", 400, None),
        ("[]", 400, None),
        ("7", 400, None),
        ("{}", 422, Some("document")),
        (r#"{"document": 7}"#, 422, Some("document")),
        (r#"{"document": ""}"#, 422, Some("document")),
        (r#"{"document": " "}"#, 422, Some("document")),
        (r#"{"document": "x", "job_id": "a b"}"#, 422, Some("job_id")),
        (r#"{"document": "x", "job_id": ""}"#, 422, Some("job_id")),
        (r#"{"document": "x", "batch_id": "/"}"#, 422, Some("batch_id")),
        (r#"{"document": "x", "priority": "urgent"}"#, 422, Some("priority")),
        (r#"{"document": "x", "documnet": "y"}"#, 422, Some("documnet")),
        (r#"{"document": "x", "analysis": {"lables": []}}"#, 422, Some("analysis.lables")),
        (r#"{"document": "x", "analysis": {"labels": ["a"]}}"#, 422, Some("analysis.labels")),
        (r#"{"document": "x", "analysis": {"schema": {"type": "array"}}}"#, 422, Some("analysis.schema")),
        (r#"{"document": "x", "analysis": []}"#, 422, Some("analysis")),
        (r#"{"document": "x", "analysis": {"temperature": 1e-200}}"#, 422, Some("analysis.temperature")),
        (r#"{"document": "x", "analysis": {"max_tokens": 0}}"#, 422, Some("analysis.max_tokens")),
        (r#"{"document": "x", "analysis": {"max_tokens": 2001}}"#, 422, Some("analysis.max_tokens")),
        (r#"{"document": "x", "job_id": ".."}"#, 422, Some("job_id")),
        (r#"{"document": "x", "batch_id": "."}"#, 422, Some("batch_id")),
        (
            r#"{"async_invoke": {"model_id": "video-1", "model_input": {"uri": "s3://b/uploads/a"}}}"#,
            422,
            Some("async_invoke.model_input"),
        ),
        (r#"{"document": "x", "analysis": {"model_id": "m-2"}}"#, 422, Some("analysis.model_id")),
        (r#"{"document": "x", "async_invoke": {"model_id": "m", "model_input": 1}}"#, 422, Some("async_invoke")),
        (r#"{"async_invoke": {"model_input": 1}}"#, 422, Some("async_invoke")),
        (r#"{"async_invoke": {"model_id": "m-1", "model_input": 1}}"#, 422, Some("async_invoke.model_id")),
        (r#"{"async_invoke": {"model_id": "a b", "model_input": 1}}"#, 422, Some("async_invoke.model_id")),
        (r#"{"async_invoke": {"model_id": "video-1", "model_input": 1, "tag": 1}}"#, 422, Some("async_invoke.tag")),
        (r#"{"analysis": {}, "async_invoke": {"model_id": "video-1", "model_input": 1}}"#, 422, Some("analysis")),
        (r#"{"document": "x", "metadata": []}"#, 422, Some("metadata")),
        (r#"{"document": "x", "metadata": {"n": 1e300}}"#, 422, Some("metadata")),
        (r#"{"document": "x", "metadata": {"n": [1e400]}}"#, 422, Some("metadata.n[0]")),
        (r#"{"document": "x", "metadata": {"n": 18446744073709551616}}"#, 422, Some("metadata.n")),
    ] {
        let problem = read(body, None).expect_err(body);
        assert_eq!(problem["status"], status, "{body}: {problem}");
        assert_eq!(problem.get("field").and_then(Value::as_str), field, "{body}: {problem}");
        assert_eq!(problem["request_id"], "r-1");
    }
}

#[test]
fn too_large_request_is_413() {
    let document = |bytes: usize| format!(r#"{{"document": "{}"}}"#, "x".repeat(bytes));
    assert!(read(&document(DOCUMENT_MAX_BYTES), None).is_ok());
    assert_eq!(read(&document(DOCUMENT_MAX_BYTES + 1), None).unwrap_err()["status"], 413);
    assert_eq!(read(&document(REQUEST_MAX_BYTES), None).unwrap_err()["status"], 413);
}

#[test]
fn request_with_too_many_values_is_413_before_they_are_built() {
    let metadata = |count: usize| format!(r#"{{"document": "x", "metadata": {{"a": [{}0]}}}}"#, "0,".repeat(count));
    let problem = read(&metadata(JOB_VALUES_MAX), None).unwrap_err();
    assert_eq!((&problem["status"], problem.get("field")), (&json!(413), None));
    assert_eq!(problem["detail"], "the JSON must have at most 20000 values in one job");
    let problem = read(&metadata(REQUEST_VALUES_MAX), None).unwrap_err();
    assert_eq!(problem["detail"], "the JSON must have at most 200000 values");
}

#[test]
fn same_key_names_the_same_job() {
    let body = r#"{"document": "x"}"#;
    let id = |key| read(body, key).unwrap().job_id;
    assert_eq!(id(Some("k")), id(Some("k")));
    assert_ne!(id(Some("k")), id(Some("l")));
    assert_ne!(id(None), id(None));
    assert_eq!(read(r#"{"document": "x", "job_id": "j"}"#, Some("k")).unwrap_err()["field"], "job_id");
    for wrong in [&"k".repeat(256), "", " ", "a\tb", "é"] {
        assert_eq!(read(body, Some(wrong)).unwrap_err()["field"], "Idempotency-Key");
    }
}

#[test]
fn null_is_the_same_as_an_absent_field() {
    let names = ["job_id", "priority", "batch_id", "analysis", "metadata", "async_invoke"];
    let with_null = |name: &str| format!(r#"{{"document": "x", "{name}": null}}"#);
    let absent = read(r#"{"document": "x"}"#, Some("k")).unwrap();
    for name in names {
        let submission = read(&with_null(name), Some("k")).unwrap();
        assert_eq!((&submission.job_id, submission.hash()), (&absent.job_id, absent.hash()), "{name}");
    }
    let analysis =
        |analysis: &str| read(&format!(r#"{{"document": "x", "analysis": {analysis}}}"#), None).unwrap().hash();
    for name in ["instructions", "labels", "schema", "max_tokens", "temperature", "model_id"] {
        assert_eq!(analysis(&format!(r#"{{"{name}": null}}"#)), analysis("{}"), "{name}");
    }
    let invoke = |fields: &str| {
        read(&format!(r#"{{"document": null, "async_invoke": {{"model_id": "video-1"{fields}}}}}"#), None)
    };
    let hash = |fields: &str| invoke(fields).unwrap().hash();
    assert_eq!(hash(r#", "model_input": 1, "tags": null"#), hash(r#", "model_input": 1"#));
    for missing in ["", r#", "model_input": null"#] {
        assert_eq!(invoke(missing).unwrap_err()["status"], 422, "{missing}");
    }
    for body in [r#"{"document": null}"#, "{}"] {
        assert_eq!(read(body, None).unwrap_err()["field"], "document");
    }
}

#[test]
fn hash_contains_the_async_request() {
    let submission = |input: &str| {
        let body = format!(r#"{{"async_invoke": {{"model_input": {input}, "model_id": "video-1"}}}}"#);
        read(&body, None).unwrap()
    };
    assert!(
        matches!(submission("[1]").work, SubmittedWork::AsyncInvocation(request) if request.model_input == json!([1]))
    );
    assert_eq!(submission(r#"{"a": 1, "b": 2}"#).hash(), submission(r#"{"b": 2, "a": 1}"#).hash());
    assert_ne!(submission("1").hash(), submission("2").hash());
}

#[test]
fn hash_ignores_field_order_and_job_id() {
    let hash = |body: &str| read(body, None).unwrap().hash();
    let one = hash(r#"{"document": "x", "metadata": {"a": 1, "b": 2}}"#);
    assert_eq!(one, hash(r#"{"metadata": {"b": 2, "a": 1}, "document": "x", "job_id": "j"}"#));
    assert_ne!(one, hash(r#"{"document": "y", "metadata": {"a": 1, "b": 2}}"#));
    assert_ne!(one, hash(r#"{"document": "x", "metadata": {"a": 1}}"#));
    assert_ne!(one, hash(r#"{"document": "x", "metadata": {"a": 1, "b": 2}, "priority": "high"}"#));
}

#[test]
fn refused_max_tokens_names_the_ceiling() {
    let problem = read(r#"{"document": "x", "analysis": {"max_tokens": 64000}}"#, None).unwrap_err();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("2000") && detail.contains("MaxTokensCeiling"), "{detail}");
    assert!(read(r#"{"document": "x", "analysis": {"max_tokens": 2000}}"#, None).is_ok());
}

#[test]
fn idempotency_key_is_scoped_by_route_batch_and_place() {
    let (one, two): (BatchId, BatchId) = ("one".parse().unwrap(), "two".parse().unwrap());
    let ids = [
        job_id_of_key(&KeyScope::Jobs, "k/0"),
        job_id_of_key(&KeyScope::Jobs, "k"),
        job_id_of_key(&KeyScope::Uploads, "k"),
        job_id_of_key(&KeyScope::JobOfBatch(&one, 0), "k"),
        job_id_of_key(&KeyScope::JobOfBatch(&one, 1), "k"),
        job_id_of_key(&KeyScope::JobOfBatch(&two, 0), "k"),
    ];
    let distinct: std::collections::HashSet<&JobId> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert_eq!(ids[1], job_id_of_key(&KeyScope::Jobs, "k"));
}
