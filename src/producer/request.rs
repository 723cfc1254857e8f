//! `POST /jobs`, parsed once: what stands here is valid.

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
use crate::domain::limits::{DOCUMENT_MAX_BYTES, IDEMPOTENCY_KEY_MAX_BYTES, REQUEST_MAX_BYTES};
use crate::domain::message::body::check_metadata;

/// The header that makes a request repeatable.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A request for one job.
#[derive(Debug)]
pub(super) struct Submission {
    pub job_id: JobId,
    /// Whether the caller gave the id or a key, so that it may be there already.
    pub is_repeatable: bool,
    pub work: Submitted,
    pub priority: Priority,
    pub batch_id: Option<BatchId>,
    pub analysis: Option<AnalysisRequest>,
    pub metadata: Option<Map<String, Value>>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Submitted {
    /// A document is to be analysed.
    Document {
        text: String,
        /// Its SHA-256, in hexadecimal.
        sha256: String,
    },
    /// A model is to work for minutes.
    AsyncInvocation(AsyncInvoke),
}

/// The models that a request may name.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowedModels {
    /// In an analysis.
    pub of_analyses: Vec<String>,
    /// In `async_invoke`.
    pub async_invocation: Vec<String>,
}

/// The body as it comes, or one job of many.
#[derive(Deserialize)]
pub(super) struct Fields {
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
    pub fn read(request: &Request, allowed: &AllowedModels) -> Result<Self, Problem> {
        Self::new(json::read_strictly(body(request)?)?, idempotency_key(request)?, allowed)
    }

    /// Checks what came; `key` is the caller's idempotency key for it.
    pub fn new(fields: Fields, key: Option<String>, allowed: &AllowedModels) -> Result<Self, Problem> {
        let work = match (fields.document, fields.async_invoke) {
            (Some(text), None) => {
                check_document(&text)?;
                Submitted::Document { sha256: sha256_hex(text.as_bytes()), text }
            }
            (None, Some(request)) => {
                check_long_running(&request, fields.analysis.as_ref(), allowed)?;
                Submitted::AsyncInvocation(request)
            }
            (None, None) => return Err(Problem::invalid("document", "is missing; give it, or `async_invoke`")),
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("async_invoke", "stands in place of `document`; give one of them"));
            }
        };
        check_analysis(fields.analysis.as_ref(), &allowed.of_analyses)?;
        fields.metadata.iter().try_for_each(check_metadata)?;
        let is_repeatable = fields.job_id.is_some() || key.is_some();
        let job_id = new_id(fields.job_id, key)?;
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

    /// What was asked, as a hash: the same for the same request, whatever the
    /// order of its fields.
    pub fn hash(&self) -> String {
        let mut asked = json!({
            "priority": self.priority,
            "batch_id": self.batch_id,
            "analysis": self.analysis,
            "metadata": self.metadata,
        });
        match &self.work {
            Submitted::Document { sha256, .. } => asked["document"] = json!(sha256),
            Submitted::AsyncInvocation(request) => asked["async_invoke"] = json!(request),
        }
        sha256_hex(asked.to_string().as_bytes())
    }
}

fn check_long_running(
    request: &AsyncInvoke,
    analysis: Option<&AnalysisRequest>,
    allowed: &AllowedModels,
) -> Result<(), Problem> {
    if analysis.is_some() {
        return Err(Problem::invalid("analysis", "is of a document; what `async_invoke` asks stands in `model_input`"));
    }
    request.check()?;
    if allowed.async_invocation.contains(&request.model_id) {
        return Ok(());
    }
    let detail = match &allowed.async_invocation[..] {
        [] => "is not allowed: no model is, unless the stack's parameter AsyncModelIds names it".to_owned(),
        allowed => format!("is not one of the models that may be asked here: {}", allowed.join(", ")),
    };
    Err(Problem::invalid("async_invoke.model_id", detail))
}

/// Checked when it is submitted, not when it runs.
pub(super) fn check_analysis(analysis: Option<&AnalysisRequest>, allowed_model_ids: &[String]) -> Result<(), Problem> {
    let Some(analysis) = analysis else { return Ok(()) };
    let invalid = |field: &str, problem: String| Problem::invalid(&format!("analysis.{field}"), problem);
    Analysis::new(analysis).map_err(|error| invalid(error.field, error.problem))?;
    match &analysis.model_id {
        Some(id) if !allowed_model_ids.contains(id) => {
            let allowed = allowed_model_ids.join(", ");
            Err(invalid("model_id", format!("is not one of the models that may be asked here: {allowed}")))
        }
        _ => Ok(()),
    }
}

/// The caller's own id, the one of their key, or a new one.
pub(super) fn new_id(job_id: Option<JobId>, key: Option<String>) -> Result<JobId, Problem> {
    match (job_id, key) {
        (Some(_), Some(_)) => {
            let detail = "either makes the request repeatable; give `job_id` or the Idempotency-Key header";
            Err(Problem::invalid("job_id", detail))
        }
        (Some(job_id), None) => Ok(job_id),
        (None, Some(key)) => Ok(id_of(&key)),
        (None, None) => Ok(Uuid::new_v4().to_string().parse().expect("a UUID is a job id")),
    }
}

/// The request's body as text, if it is JSON by its own account.
pub(super) fn body(request: &Request) -> Result<&str, Problem> {
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
        let detail = format!("the body has {} bytes; {REQUEST_MAX_BYTES} is the limit", bytes.len());
        return Err(Problem::too_large("document", detail));
    }
    std::str::from_utf8(bytes).map_err(|_| Problem::not_json("the body is not UTF-8"))
}

fn check_document(text: &str) -> Result<(), Problem> {
    if text.len() > DOCUMENT_MAX_BYTES {
        let failure = too_large("a document", text.len(), DOCUMENT_MAX_BYTES);
        return Err(Problem::too_large("document", failure.message));
    }
    match Document::new(None, text.as_bytes().to_vec()) {
        Ok(_) => Ok(()),
        Err(failure) if failure.code == codes::DOCUMENT_TOO_LARGE => {
            Err(Problem::too_large("document", failure.message))
        }
        Err(failure) => Err(Problem::invalid("document", failure.message)),
    }
}

/// The key that the caller gave in the header.
pub(super) fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    // A tab is within what `to_str` takes.
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_MAX_BYTES || text.contains('\t') {
        let detail = format!("the key must be 1 to {IDEMPOTENCY_KEY_MAX_BYTES} visible ASCII characters");
        return Err(Problem::invalid(IDEMPOTENCY_KEY, detail));
    }
    Ok(Some(text.to_owned()))
}

/// The job id of an idempotency key: the same for the same key.
fn id_of(key: &str) -> JobId {
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
        let allowed = AllowedModels { of_analyses: vec!["m-1".into()], async_invocation: vec!["video-1".into()] };
        Submission::read(&request, &allowed).map_err(|problem| {
            let response = problem.response("r-1");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let Body::Text(body) = response.body() else { panic!("no text") };
            serde_json::from_str(body).unwrap()
        })
    }

    #[test]
    fn a_problem_names_the_field_and_its_status_says_of_what_kind_it_is() {
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
        ] {
            let problem = read(body, None).expect_err(body);
            assert_eq!(problem["status"], status, "{body}: {problem}");
            assert_eq!(problem.get("field").and_then(Value::as_str), field, "{body}: {problem}");
            assert_eq!(problem["request_id"], "r-1");
        }
    }

    #[test]
    fn what_is_too_large_is_413() {
        let document = |bytes: usize| format!(r#"{{"document": "{}"}}"#, "x".repeat(bytes));
        assert!(read(&document(DOCUMENT_MAX_BYTES), None).is_ok());
        assert_eq!(read(&document(DOCUMENT_MAX_BYTES + 1), None).unwrap_err()["status"], 413);
        assert_eq!(read(&document(REQUEST_MAX_BYTES), None).unwrap_err()["status"], 413);
    }

    #[test]
    fn the_same_key_is_the_same_job() {
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
    fn what_a_long_running_model_is_asked_is_part_of_the_request() {
        let submission = |input: &str| {
            let body = format!(r#"{{"async_invoke": {{"model_input": {input}, "model_id": "video-1"}}}}"#);
            read(&body, None).unwrap()
        };
        assert!(
            matches!(submission("[1]").work, Submitted::AsyncInvocation(request) if request.model_input == json!([1]))
        );
        assert_eq!(submission(r#"{"a": 1, "b": 2}"#).hash(), submission(r#"{"b": 2, "a": 1}"#).hash());
        assert_ne!(submission("1").hash(), submission("2").hash());
    }

    #[test]
    fn the_hash_is_of_what_was_asked_and_of_nothing_else() {
        let hash = |body: &str| read(body, None).unwrap().hash();
        let one = hash(r#"{"document": "x", "metadata": {"a": 1, "b": 2}}"#);
        assert_eq!(one, hash(r#"{"metadata": {"b": 2, "a": 1}, "document": "x", "job_id": "j"}"#));
        assert_ne!(one, hash(r#"{"document": "y", "metadata": {"a": 1, "b": 2}}"#));
        assert_ne!(one, hash(r#"{"document": "x", "metadata": {"a": 1}}"#));
        assert_ne!(one, hash(r#"{"document": "x", "metadata": {"a": 1, "b": 2}, "priority": "high"}"#));
    }
}
