//! The routes of the API: one operation each, named by its `operationId` in
//! `openapi.yaml`.

use lambda_http::http::Method;

/// The operation that a request names by its method and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    SubmitJob,
    GetJob,
    GetDocument,
    CancelJob,
    RetryJob,
    CreateUpload,
    CreateBatch,
    ListBatches,
    GetBatch,
    CancelBatch,
    RetryBatch,
    PauseBatch,
    ResumeBatch,
    SubmitJobs,
    ListJobs,
    GetResults,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The path without the stage, as `template.yaml` writes it: `/jobs/{job_id}`.
    pub path: &'static str,
    /// The operation that answers.
    pub operation: Operation,
}

impl Route {
    const fn new(method: Method, path: &'static str, operation: Operation) -> Self {
        Self { method, path, operation }
    }
}

/// Every route.
pub static ROUTES: [Route; 16] = [
    Route::new(Method::POST, "/jobs", Operation::SubmitJob),
    Route::new(Method::GET, "/jobs/{job_id}", Operation::GetJob),
    Route::new(Method::GET, "/jobs/{job_id}/document", Operation::GetDocument),
    Route::new(Method::DELETE, "/jobs/{job_id}", Operation::CancelJob),
    Route::new(Method::POST, "/jobs/{job_id}/retry", Operation::RetryJob),
    Route::new(Method::POST, "/uploads", Operation::CreateUpload),
    Route::new(Method::POST, "/batches", Operation::CreateBatch),
    Route::new(Method::GET, "/batches", Operation::ListBatches),
    Route::new(Method::GET, "/batches/{batch_id}", Operation::GetBatch),
    Route::new(Method::DELETE, "/batches/{batch_id}", Operation::CancelBatch),
    Route::new(Method::POST, "/batches/{batch_id}/retry", Operation::RetryBatch),
    Route::new(Method::POST, "/batches/{batch_id}/pause", Operation::PauseBatch),
    Route::new(Method::POST, "/batches/{batch_id}/resume", Operation::ResumeBatch),
    Route::new(Method::POST, "/batches/{batch_id}/jobs", Operation::SubmitJobs),
    Route::new(Method::GET, "/batches/{batch_id}/jobs", Operation::ListJobs),
    Route::new(Method::GET, "/batches/{batch_id}/results", Operation::GetResults),
];

/// The operation of a method and a path; `None` when the API has none.
pub(super) fn find_operation(method: &Method, path: &str) -> Option<Operation> {
    ROUTES.iter().find(|route| route.method == *method && route.path == path).map(|route| route.operation)
}
