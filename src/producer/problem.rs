//! Problems: the API's error responses, as RFC 9457 defines them. An error inside
//! Docket reaches the caller only as a request id, by which the log is searched.

use lambda_http::{Body, Response};
use serde_json::{Value, json};
use tracing::error;

use super::problem_type::{self, ProblemType};
use crate::aws::Unavailable;
use crate::domain::ids::JobId;
use crate::domain::json::JsonError;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    problem_type: ProblemType,
    pub detail: String,
    field: Option<String>,
    job_id: Option<JobId>,
}

impl Problem {
    fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self { problem_type, detail: detail.into(), field: None, job_id: None }
    }

    pub fn no_such_route() -> Self {
        Self::new(problem_type::NO_SUCH_ROUTE, "the API has no such method and path; openapi.yaml lists all of them")
    }

    pub fn no_such_job() -> Self {
        Self::new(problem_type::NO_SUCH_JOB, "no job has this id, or its retention is over")
    }

    pub fn no_such_batch() -> Self {
        Self::new(problem_type::NO_SUCH_BATCH, "the batch was not created, and it has no jobs")
    }

    pub fn no_such_document(job_id: &JobId, detail: impl Into<String>) -> Self {
        Self { job_id: Some(job_id.clone()), ..Self::new(problem_type::NO_SUCH_DOCUMENT, detail) }
    }

    /// The status of the job or of the batch does not allow the operation.
    pub fn invalid_state(job_id: Option<&JobId>, detail: impl Into<String>) -> Self {
        Self { job_id: job_id.cloned(), ..Self::new(problem_type::INVALID_STATE, detail) }
    }

    /// The batch takes no jobs any more.
    pub fn batch_cancelled() -> Self {
        Self::new(problem_type::BATCH_CANCELLED, "the batch is cancelled; submit the documents to another batch")
    }

    /// A defect of Docket.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(problem_type::INTERNAL, detail)
    }

    pub fn not_json(detail: impl Into<String>) -> Self {
        Self::new(problem_type::NOT_JSON, detail)
    }

    pub fn unsupported_media_type() -> Self {
        Self::new(problem_type::UNSUPPORTED_MEDIA_TYPE, "send content-type: application/json")
    }

    /// A field, a query parameter or a header is invalid.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(problem_type::INVALID_FIELD, detail) }
    }

    /// The body, or a field of it, exceeds a limit.
    pub fn too_large(field: Option<&str>, detail: impl Into<String>) -> Self {
        Self { field: field.map(str::to_owned), ..Self::new(problem_type::TOO_LARGE, detail) }
    }

    pub fn conflict(job_id: &JobId) -> Self {
        let detail = "this key or job_id was used with another request; use a new one, or repeat the first request";
        Self { job_id: Some(job_id.clone()), ..Self::new(problem_type::CONFLICT, detail) }
    }

    /// An AWS service did not answer. With `job_id`, the caller can repeat the request
    /// as the same job, even without an idempotency key.
    pub fn unavailable(unavailable: &Unavailable, job_id: Option<&JobId>) -> Self {
        error!(service = unavailable.service, code = unavailable.code, "a service did not answer");
        let detail = match job_id {
            Some(_) => {
                "the job was not queued; send the request again, with this job_id or with the same Idempotency-Key"
            }
            None => "send the request again",
        };
        Self { job_id: job_id.cloned(), ..Self::new(problem_type::UNAVAILABLE, detail) }
    }

    pub fn status(&self) -> u16 {
        self.problem_type.status
    }

    /// The problem document.
    pub fn body(&self, request_id: &str) -> Value {
        let mut body = json!({
            "type": self.problem_type.urn(),
            "title": self.problem_type.title,
            "status": self.problem_type.status,
            "detail": self.detail,
            "request_id": request_id,
        });
        if let Some(field) = &self.field {
            body["field"] = json!(field);
        }
        if let Some(job_id) = &self.job_id {
            body["job_id"] = json!(job_id);
        }
        body
    }

    pub fn response(self, request_id: &str) -> Response<Body> {
        Response::builder()
            .status(self.status())
            .header("content-type", "application/problem+json")
            .header("cache-control", "no-store")
            .body(Body::Text(self.body(request_id).to_string()))
            .expect("the headers are constants")
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        Self::unavailable(&error, None)
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax { .. } => Self::not_json(error.to_string()),
            JsonError::Shape { field, problem } if field == "." => match problem.split('`').nth(1) {
                // serde reports a missing field at its parent: "missing field `document`".
                Some(missing) if problem.starts_with("missing field") => Self::invalid(missing, problem.clone()),
                _ => Self::not_json(problem),
            },
            JsonError::Shape { field, problem } => Self::invalid(&field, problem),
        }
    }
}
