//! Problems, as RFC 9457 has them. Of an internal error the caller learns an id
//! to look up, and nothing else.

use lambda_http::{Body, Response};
use serde_json::{Value, json};
use tracing::error;

use crate::aws::Unavailable;
use crate::domain::ids::JobId;
use crate::domain::json::JsonError;

/// What was wrong with a request, or with us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: u16,
    kind: &'static str,
    title: &'static str,
    pub detail: String,
    field: Option<String>,
    job_id: Option<JobId>,
}

impl Problem {
    fn new(status: u16, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), field: None, job_id: None }
    }

    pub fn no_such_route() -> Self {
        Self::new(404, "no-such-route", "There is nothing here", "see openapi.yaml for what there is")
    }

    pub fn no_such_job() -> Self {
        Self::new(404, "no-such-job", "No such job", "no job has this id, or its retention is over")
    }

    pub fn no_such_batch() -> Self {
        Self::new(404, "no-such-batch", "No such batch", "nothing was said of this batch, and it has no jobs")
    }

    /// What was asked for is not possible as things stand.
    pub fn invalid_state(job_id: Option<&JobId>, detail: impl Into<String>) -> Self {
        Self { job_id: job_id.cloned(), ..Self::new(409, "invalid-state", "Not possible as things stand", detail) }
    }

    /// A defect of Docket.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(500, "internal", "Docket failed", detail)
    }

    pub fn not_json(detail: impl Into<String>) -> Self {
        Self::new(400, "not-json", "The body is not a JSON object in UTF-8", detail)
    }

    pub fn unsupported_media_type() -> Self {
        Self::new(415, "unsupported-media-type", "The body must be JSON", "send content-type: application/json")
    }

    /// A field with a value that cannot be.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        let problem = Self::new(422, "invalid-field", "A field is not valid", detail);
        Self { field: Some(field.to_owned()), ..problem }
    }

    pub fn too_large(field: &str, detail: impl Into<String>) -> Self {
        let problem = Self::new(413, "too-large", "The request is too large", detail);
        Self { field: Some(field.to_owned()), ..problem }
    }

    pub fn conflict(job_id: &JobId) -> Self {
        let detail = "this key or job id was used with another request; use a new one, or repeat the request as it was";
        Self { job_id: Some(job_id.clone()), ..Self::new(409, "conflict", "Another request has this key", detail) }
    }

    /// A service behind us did not answer. `job_id` lets the caller repeat the
    /// request as the same job, even without a key of their own.
    pub fn unavailable(unavailable: &Unavailable, job_id: Option<&JobId>) -> Self {
        error!(service = unavailable.service, code = unavailable.code, "a service did not answer");
        let detail = match job_id {
            Some(_) => {
                "the job was not queued; send the request again, with this job_id or with the same Idempotency-Key"
            }
            None => "send the request again",
        };
        Self { job_id: job_id.cloned(), ..Self::new(503, "unavailable", "Not possible at the moment", detail) }
    }

    /// As RFC 9457 has it.
    pub fn body(&self, request_id: &str) -> Value {
        let mut body = json!({
            "type": format!("urn:docket:problem:{}", self.kind),
            "title": self.title,
            "status": self.status,
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
            .status(self.status)
            .header("content-type", "application/problem+json")
            .header("cache-control", "no-store")
            .body(Body::Text(self.body(request_id).to_string()))
            .expect("our own headers are valid")
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
                // "missing field `document`": the field is what is missing.
                Some(missing) if problem.starts_with("missing field") => Self::invalid(missing, problem.clone()),
                _ => Self::not_json(problem),
            },
            JsonError::Shape { field, problem } => Self::invalid(&field, problem),
        }
    }
}
