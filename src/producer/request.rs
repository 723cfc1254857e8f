//! The body of `POST /jobs`, parsed once: a [`Submission`] is valid.

use lambda_http::{Body, Request};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::analysis::{Analysis, AnalysisRequest};
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::{Document, sha256_hex, too_large};
use crate::domain::failure::codes;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::json;
use crate::domain::json_values::{TooManyValues, count_values};
use crate::domain::limits::{
    DOCUMENT_MAX_BYTES, IDEMPOTENCY_KEY_MAX_BYTES, JOB_VALUES_MAX, REQUEST_MAX_BYTES, REQUEST_VALUES_MAX,
};
use crate::domain::message::body::check_metadata;

/// The header that makes a request repeatable.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A request for one job.
#[derive(Debug)]
pub(super) struct Submission {
    pub job_id: JobId,
    /// Whether the caller gave a `job_id` or a key: the job may then exist already.
    pub is_repeatable: bool,
    pub work: SubmittedWork,
    pub priority: Priority,
    pub batch_id: Option<BatchId>,
    pub analysis: Option<AnalysisRequest>,
    pub metadata: Option<Map<String, Value>>,
}

/// The work of a submitted job.
#[derive(Debug)]
pub(super) enum SubmittedWork {
    /// The analysis of a document.
    Document {
        text: String,
        /// The SHA-256 of the text, in hexadecimal.
        sha256: String,
    },
    /// An asynchronous invocation, which takes minutes.
    AsyncInvocation(AsyncInvoke),
}

/// The models that a request may name.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowedModels {
    /// As `analysis.model_id`.
    pub analysis: Vec<String>,
    /// As `async_invoke.model_id`.
    pub async_invocation: Vec<String>,
}

/// The unchecked fields of one job: a whole body, or an item of `jobs`.
#[derive(Deserialize)]
pub(super) struct JobFields {
    document: Option<String>,
    async_invoke: Option<AsyncInvoke>,
    job_id: Option<JobId>,
    priority: Option<Priority>,
    pub batch_id: Option<BatchId>,
    #[serde(default, deserialize_with = "json::object_or_null")]
    analysis: Option<AnalysisRequest>,
    metadata: Option<Map<String, Value>>,
}

impl Submission {
    /// Parses and checks the request for one job.
    pub fn from_request(request: &Request, allowed: &AllowedModels) -> Result<Self, Problem> {
        let body = read_body(request)?;
        check_job_values(body)?;
        Self::new(json::read_strictly(body)?, idempotency_key(request)?, allowed)
    }

    /// Checks the fields of one job; `key` is the job's idempotency key.
    pub fn new(fields: JobFields, key: Option<String>, allowed: &AllowedModels) -> Result<Self, Problem> {
        let work = match (fields.document, fields.async_invoke) {
            (Some(text), None) => {
                check_document(&text)?;
                SubmittedWork::Document { sha256: sha256_hex(text.as_bytes()), text }
            }
            (None, Some(request)) => {
                check_async_invoke(&request, fields.analysis.as_ref(), allowed)?;
                SubmittedWork::AsyncInvocation(request)
            }
            (None, None) => {
                return Err(Problem::invalid("document", "`document` is missing; send `document` or `async_invoke`"));
            }
            (Some(_), Some(_)) => {
                let detail = "`async_invoke` and `document` exclude each other; send one of them";
                return Err(Problem::invalid("async_invoke", detail));
            }
        };
        check_analysis(fields.analysis.as_ref(), &allowed.analysis)?;
        fields.metadata.iter().try_for_each(check_metadata)?;
        let is_repeatable = fields.job_id.is_some() || key.is_some();
        let job_id = choose_job_id(fields.job_id, key)?;
        Ok(Self {
            job_id,
            is_repeatable,
            work,
            priority: fields.priority.unwrap_or_default(),
            batch_id: fields.batch_id,
            analysis: fields.analysis,
            metadata: fields.metadata,
        })
    }

    /// The hash of everything but the job id and the key. It does not depend on the
    /// order of the fields.
    pub fn hash(&self) -> String {
        let mut content = json!({
            "priority": self.priority,
            "batch_id": self.batch_id,
            "analysis": self.analysis,
            "metadata": self.metadata,
        });
        match &self.work {
            SubmittedWork::Document { sha256, .. } => content["document"] = json!(sha256),
            SubmittedWork::AsyncInvocation(request) => content["async_invoke"] = json!(request),
        }
        sha256_hex(content.to_string().as_bytes())
    }
}

fn check_async_invoke(
    request: &AsyncInvoke,
    analysis: Option<&AnalysisRequest>,
    allowed: &AllowedModels,
) -> Result<(), Problem> {
    if analysis.is_some() {
        let detail = "`analysis` applies to a document; remove it, and put the request into `async_invoke.model_input`";
        return Err(Problem::invalid("analysis", detail));
    }
    request.check()?;
    if allowed.async_invocation.contains(&request.model_id) {
        return Ok(());
    }
    let detail = match &allowed.async_invocation[..] {
        [] => "the stack allows no asynchronous models; name them in its parameter AsyncModelIds".to_owned(),
        models => format!("`async_invoke.model_id` must be one of: {} (parameter AsyncModelIds)", models.join(", ")),
    };
    Err(Problem::invalid("async_invoke.model_id", detail))
}

/// Checks an analysis when it is submitted, so that no job runs with an invalid one.
pub(super) fn check_analysis(analysis: Option<&AnalysisRequest>, allowed_model_ids: &[String]) -> Result<(), Problem> {
    let Some(analysis) = analysis else { return Ok(()) };
    let invalid = |field: &str, problem: String| Problem::invalid(&format!("analysis.{field}"), problem);
    Analysis::new(analysis).map_err(|error| invalid(error.field, error.problem))?;
    match &analysis.model_id {
        Some(id) if !allowed_model_ids.contains(id) => {
            let models = allowed_model_ids.join(", ");
            let detail = format!("`analysis.model_id` must be one of: {models} (parameter AllowedModelIds)");
            Err(invalid("model_id", detail))
        }
        _ => Ok(()),
    }
}

/// The `job_id` of the request, the id of its idempotency key, or a new id.
pub(super) fn choose_job_id(job_id: Option<JobId>, key: Option<String>) -> Result<JobId, Problem> {
    match (job_id, key) {
        (Some(_), Some(_)) => {
            let detail = "`job_id` and the Idempotency-Key header exclude each other; send one of them";
            Err(Problem::invalid("job_id", detail))
        }
        (Some(job_id), None) => Ok(job_id),
        (None, Some(key)) => Ok(job_id_of_key(&key)),
        (None, None) => Ok(Uuid::new_v4().to_string().parse().expect("a UUID is a job id")),
    }
}

/// Reads the body as text, after checks of its content type, size and encoding.
pub(super) fn read_body(request: &Request) -> Result<&str, Problem> {
    let content_type = request.headers().get("content-type").and_then(|value| value.to_str().ok());
    let is_json = content_type.is_none_or(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    });
    if !is_json {
        return Err(Problem::unsupported_media_type());
    }
    let bytes: &[u8] = match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    };
    if bytes.is_empty() {
        return Err(Problem::not_json("the body is empty; send a JSON object"));
    }
    if bytes.len() > REQUEST_MAX_BYTES {
        let detail = format!("the body must have at most {REQUEST_MAX_BYTES} bytes; it has {}", bytes.len());
        return Err(Problem::too_large(Some("document"), detail));
    }
    let body = std::str::from_utf8(bytes).map_err(|_| Problem::not_json("the body is not UTF-8"))?;
    count_values(body, REQUEST_VALUES_MAX).map_err(|error| Problem::too_large(None, error.to_string()))?;
    Ok(body)
}

/// Checks the number of JSON values of one job, before they are built.
pub(super) fn check_job_values(job: &str) -> Result<(), Problem> {
    let detail = |error: TooManyValues| format!("{error} in one job");
    count_values(job, JOB_VALUES_MAX).map(drop).map_err(|error| Problem::too_large(None, detail(error)))
}

fn check_document(text: &str) -> Result<(), Problem> {
    if text.len() > DOCUMENT_MAX_BYTES {
        let failure = too_large("a document", text.len(), DOCUMENT_MAX_BYTES);
        return Err(Problem::too_large(Some("document"), failure.message));
    }
    match Document::new(None, text.as_bytes().to_vec()) {
        Ok(_) => Ok(()),
        Err(failure) if failure.code == codes::DOCUMENT_TOO_LARGE => {
            Err(Problem::too_large(Some("document"), failure.message))
        }
        Err(failure) => Err(Problem::invalid("document", failure.message)),
    }
}

/// Reads the header `Idempotency-Key`.
pub(super) fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    // `to_str` accepts a tab.
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_MAX_BYTES || text.contains('\t') {
        let detail = format!("`{IDEMPOTENCY_KEY}` must be 1 to {IDEMPOTENCY_KEY_MAX_BYTES} visible ASCII characters");
        return Err(Problem::invalid(IDEMPOTENCY_KEY, detail));
    }
    Ok(Some(text.to_owned()))
}

/// The job id of an idempotency key: the same for the same key.
fn job_id_of_key(key: &str) -> JobId {
    format!("key-{}", &sha256_hex(key.as_bytes())[..40]).parse().expect("hexadecimal is a job id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, key: Option<&str>) -> Result<Submission, Value> {
        let mut request = lambda_http::http::Request::builder().method("POST").uri("/jobs");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::Text(body.to_owned())).unwrap();
        let allowed = AllowedModels { analysis: vec!["m-1".into()], async_invocation: vec!["video-1".into()] };
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
}
