//! The body of `POST /jobs`, parsed once: a [`Submission`] is valid.

use lambda_http::{Body, Request};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::analysis::{Analysis, AnalysisRequest, check_ceiling};
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

/// The models, objects and answer sizes that a request may name.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowedModels {
    /// As `analysis.model_id`.
    pub analysis: Vec<String>,
    /// As `async_invoke.model_id`.
    pub async_invocation: Vec<String>,
    /// The largest `analysis.max_tokens`.
    pub max_tokens_ceiling: i32,
    /// The bucket whose objects `async_invoke.model_input` may name.
    pub input_bucket: String,
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
        let key = idempotency_key(request)?;
        Self::new(json::read_strictly(body)?, key.map(|key| job_id_of_key(&KeyScope::Jobs, &key)), allowed)
    }

    /// Checks the fields of one job; `of_key` is the id of the job's idempotency key.
    pub fn new(fields: JobFields, of_key: Option<JobId>, allowed: &AllowedModels) -> Result<Self, Problem> {
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
        check_analysis(fields.analysis.as_ref(), allowed)?;
        fields.metadata.iter().try_for_each(check_metadata)?;
        let is_repeatable = fields.job_id.is_some() || of_key.is_some();
        let job_id = choose_job_id(fields.job_id, of_key)?;
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
    request.check_inputs(&allowed.input_bucket)?;
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
pub(super) fn check_analysis(analysis: Option<&AnalysisRequest>, allowed: &AllowedModels) -> Result<(), Problem> {
    let Some(analysis) = analysis else { return Ok(()) };
    let invalid = |field: &str, problem: String| Problem::invalid(&format!("analysis.{field}"), problem);
    Analysis::new(analysis).map_err(|error| invalid(error.field, error.problem))?;
    check_ceiling(analysis, allowed.max_tokens_ceiling).map_err(|error| invalid(error.field, error.problem))?;
    match &analysis.model_id {
        Some(id) if !allowed.analysis.contains(id) => {
            let models = allowed.analysis.join(", ");
            let detail = format!("`analysis.model_id` must be one of: {models} (parameter AllowedModelIds)");
            Err(invalid("model_id", detail))
        }
        _ => Ok(()),
    }
}

/// The `job_id` of the request, the id of its idempotency key, or a new id.
pub(super) fn choose_job_id(job_id: Option<JobId>, of_key: Option<JobId>) -> Result<JobId, Problem> {
    match (job_id, of_key) {
        (Some(_), Some(_)) => {
            let detail = "`job_id` and the Idempotency-Key header exclude each other; send one of them";
            Err(Problem::invalid("job_id", detail))
        }
        (Some(job_id), None) => Ok(job_id),
        (None, Some(of_key)) => Ok(of_key),
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
    match Document::check_text(text) {
        Ok(()) => Ok(()),
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

/// The requests among which an idempotency key names one job.
#[derive(Debug)]
pub(super) enum KeyScope<'a> {
    /// `POST /jobs`.
    Jobs,
    /// `POST /uploads`.
    Uploads,
    /// One place in the jobs of `POST /batches/{batch_id}/jobs`.
    JobOfBatch(&'a BatchId, usize),
}

/// The job id of an idempotency key: the same for the same key in the same scope.
pub(super) fn job_id_of_key(scope: &KeyScope<'_>, key: &str) -> JobId {
    // No part contains a zero byte, so each text has one reading.
    let scope = match scope {
        KeyScope::Jobs => "jobs".to_owned(),
        KeyScope::Uploads => "uploads".to_owned(),
        KeyScope::JobOfBatch(batch_id, index) => format!("batch\0{batch_id}\0{index}"),
    };
    let hash = sha256_hex(format!("{scope}\0{key}").as_bytes());
    format!("key-{}", &hash[..40]).parse().expect("hexadecimal is a job id")
}

#[cfg(test)]
mod tests;
