//! The producer: an HTTP request in, a job id out.
//!
//! Whatever begins a job stores the document, makes the row, queues the
//! message, and only then answers 202; an upload's message comes from the
//! bucket. `openapi.yaml` describes all of it.

mod batches;
mod changes;
mod many;
mod pages;
mod problem;
mod request;
mod results;
mod submit;
mod uploads;
mod view;

use aws_config::SdkConfig;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response, http::Method};
use serde_json::Value;
use tracing::info;

use crate::aws::documents::Documents;
use crate::aws::jobs::Jobs;
use crate::aws::json_objects::JsonObjects;
use crate::aws::presigned_uploads::PresignedUploads;
use crate::aws::queue::JobsQueue;
use crate::config::{Prices, ProducerConfig};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{CHUNKS_MAX, DOCUMENT_MAX_BYTES};
use problem::Problem;
use request::AllowedModels;

/// What answers requests. It keeps nothing between them.
#[derive(Debug, Clone)]
pub struct Producer {
    jobs: Jobs,
    queue: JobsQueue,
    documents: Documents,
    objects: JsonObjects,
    uploads: PresignedUploads,
    bucket: String,
    upload_max_bytes: usize,
    allowed: AllowedModels,
    prices: Option<Prices>,
}

/// An answer that is not a problem.
struct Answer {
    status: u16,
    content_type: &'static str,
    /// Headers beside the usual ones.
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: Value) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: body.to_string() }
    }

    fn with(mut self, header: &'static str, value: String) -> Self {
        self.headers.push((header, value));
        self
    }
}

impl Producer {
    /// Makes the clients; connects to nothing yet.
    pub fn new(sdk: &SdkConfig, config: ProducerConfig) -> Self {
        Self {
            jobs: Jobs::new(sdk, config.jobs_table, config.retention),
            queue: JobsQueue::new(sdk, config.jobs_queue_url, config.high_priority_queue_url),
            documents: Documents::new(sdk),
            objects: JsonObjects::new(sdk, config.documents_bucket.clone()),
            uploads: PresignedUploads::new(sdk, config.documents_bucket.clone()),
            bucket: config.documents_bucket,
            upload_max_bytes: DOCUMENT_MAX_BYTES.max(CHUNKS_MAX * config.chunk_max_bytes),
            allowed: AllowedModels {
                of_analyses: config.allowed_model_ids,
                async_invocation: config.allowed_async_model_ids,
            },
            prices: config.prices,
        }
    }

    /// Answers one request; every failure is a problem document (RFC 9457).
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let request_id = request_id(&request);
        let answer = self.route(&request).await;
        let status = match &answer {
            Ok(answer) => answer.status,
            Err(problem) => problem.status,
        };
        info!(request_id, method = %request.method(), status, "request answered");
        match answer {
            Ok(answer) => respond(answer),
            Err(problem) => problem.response(&request_id),
        }
    }

    async fn route(&self, request: &Request) -> Result<Answer, Problem> {
        let (resource, path) = resource(request);
        match (request.method(), resource.as_str()) {
            (&Method::POST, "/jobs") => self.submit(request, &path).await,
            (&Method::GET, "/jobs/{job_id}") => self.view(&job_id(request)?).await,
            (&Method::DELETE, "/jobs/{job_id}") => self.cancel(&job_id(request)?).await,
            (&Method::POST, "/jobs/{job_id}/retry") => self.retry(&job_id(request)?).await,
            (&Method::POST, "/uploads") => self.upload(request, &path).await,
            (&Method::POST, "/batches") => self.create_batch(request, &path).await,
            (&Method::GET, "/batches/{batch_id}") => self.view_batch(&batch_id(request)?).await,
            (&Method::DELETE, "/batches/{batch_id}") => self.cancel_batch(&batch_id(request)?).await,
            (&Method::POST, "/batches/{batch_id}/retry") => self.retry_batch(&batch_id(request)?).await,
            (&Method::POST, "/batches/{batch_id}/jobs") => self.submit_many(request, &batch_id(request)?).await,
            (&Method::GET, "/batches/{batch_id}/jobs") => self.list_jobs(request, &batch_id(request)?).await,
            (&Method::GET, "/batches/{batch_id}/results") => self.results(request, &batch_id(request)?).await,
            _ => Err(Problem::no_such_route()),
        }
    }
}

fn request_id(request: &Request) -> String {
    request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default()
}

/// An id that cannot be has no job: 404 like any other.
fn job_id(request: &Request) -> Result<JobId, Problem> {
    let parameters = request.path_parameters();
    parameters.first("job_id").and_then(|id| id.parse().ok()).ok_or_else(Problem::no_such_job)
}

/// An id that cannot be has no batch either.
fn batch_id(request: &Request) -> Result<BatchId, Problem> {
    let parameters = request.path_parameters();
    parameters.first("batch_id").and_then(|id| id.parse().ok()).ok_or_else(Problem::no_such_batch)
}

/// The route as the template names it, and the path as the caller wrote it,
/// stage and all.
fn resource(request: &Request) -> (String, String) {
    let path = request.uri().path().to_owned();
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            (context.resource_path.clone().unwrap_or_default(), context.path.clone().unwrap_or(path))
        }
        _ => (path.clone(), path),
    }
}

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type)
        .header("cache-control", "no-store");
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::Text(answer.body)).expect("our own headers are valid")
}
