//! The problem types of the API, as RFC 9457 defines them.
//!
//! `openapi.yaml` and docs/reference/error-codes.md describe every type; the tests
//! compare both with [`PROBLEM_TYPES`].

/// One type of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// The end of the URN in `type`: kebab case, stable, so that programs may branch
    /// on it.
    pub kind: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The `title`: the same for every problem of this type.
    pub title: &'static str,
}

impl ProblemType {
    /// The `type` of a problem, such as `urn:docket:problem:no-such-job`.
    pub fn urn(self) -> String {
        format!("urn:docket:problem:{}", self.kind)
    }
}

/// Declares the problem types, and lists them all.
macro_rules! problem_types {
    ($($(#[$docs:meta])* $name:ident = ($kind:literal, $status:literal, $title:literal);)*) => {
        $($(#[$docs])* pub const $name: ProblemType = ProblemType { kind: $kind, status: $status, title: $title };)*

        /// Every problem type.
        pub const PROBLEM_TYPES: &[ProblemType] = &[$($name),*];
    };
}

problem_types! {
    /// The body cannot be read.
    NOT_JSON = ("not-json", 400, "The body is not a JSON object in UTF-8");
    /// The API has no operation of this method and path.
    NO_SUCH_ROUTE = ("no-such-route", 404, "No such route");
    /// The table has no such job.
    NO_SUCH_JOB = ("no-such-job", 404, "No such job");
    /// The table has neither such a batch nor a job of it.
    NO_SUCH_BATCH = ("no-such-batch", 404, "No such batch");
    /// The job has no document that the API can return.
    NO_SUCH_DOCUMENT = ("no-such-document", 404, "No such document");
    /// The idempotency key or the `job_id` belongs to another request.
    CONFLICT = ("conflict", 409, "Another request has this key");
    /// The status of the job or of the batch does not allow the operation.
    INVALID_STATE = ("invalid-state", 409, "The current state does not allow this");
    /// The batch is cancelled, so it takes no jobs and its jobs are not retried.
    BATCH_CANCELLED = ("batch-cancelled", 409, "The batch is cancelled");
    /// The body or a field exceeds a limit.
    TOO_LARGE = ("too-large", 413, "The request is too large");
    /// The content type is not JSON.
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body must be JSON");
    /// A field, a query parameter or a header is invalid.
    INVALID_FIELD = ("invalid-field", 422, "A field is not valid");
    /// Docket has a defect.
    INTERNAL = ("internal", 500, "Docket failed");
    /// An AWS service did not answer.
    UNAVAILABLE = ("unavailable", 503, "A service is unavailable");
}
