//! The producer: an HTTP request in, a job id out.
//!
//! A submission stores the document, creates the stored job and sends the queue
//! message, in this order. Only then does the producer answer 202. The message of an
//! upload is S3's own event. `openapi.yaml` describes every operation.

mod batches;
mod changes;
mod document;
mod holds;
mod many;
mod pages;
mod problem;
pub mod problem_type;
mod purge;
mod request;
mod results;
pub mod routes;
mod submit;
mod uploads;
mod view;

use aws_config::SdkConfig;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use serde_json::Value;
use tracing::info;

use self::problem::Problem;
use self::request::AllowedModels;
use self::routes::{Operation, find_operation};
use crate::aws::documents::Documents;
use crate::aws::jobs::Jobs;
use crate::aws::json_objects::JsonObjects;
use crate::aws::presigned_downloads::PresignedDownloads;
use crate::aws::presigned_uploads::PresignedUploads;
use crate::aws::purge::PurgeRequests;
use crate::aws::queue::JobsQueue;
use crate::aws::requeue::Requeue;
use crate::clock::now;
use crate::config::{Prices, ProducerConfig};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{CHUNKS_MAX, DOCUMENT_MAX_BYTES};
use crate::metrics::Meter;

/// Answers requests. It keeps no state between them.
#[derive(Debug, Clone)]
pub struct Producer {
    jobs: Jobs,
    queue: JobsQueue,
    documents: Documents,
    objects: JsonObjects,
    requeue: Requeue,
    uploads: PresignedUploads,
    downloads: PresignedDownloads,
    purges: PurgeRequests,
    bucket: String,
    upload_max_bytes: usize,
    allowed: AllowedModels,
    prices: Option<Prices>,
    meter: Meter,
}

/// A response that is not a problem.
struct Answer {
    status: u16,
    content_type: &'static str,
    /// Headers in addition to those of every response.
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: Value) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: body.to_string() }
    }

    fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("cache-control", "no-store");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Body::Text(self.body)).expect("ids, paths and cursors are valid in headers")
    }
}

impl Producer {
    /// Creates the clients; opens no connection yet.
    pub fn new(sdk: &SdkConfig, config: ProducerConfig) -> Self {
        let jobs = Jobs::new(sdk, config.jobs_table, config.retention);
        let queue = JobsQueue::new(sdk, config.jobs_queue_url, config.high_priority_queue_url);
        let objects = JsonObjects::new(sdk, config.documents_bucket.clone());
        Self {
            requeue: Requeue { jobs: jobs.clone(), queue: queue.clone(), objects: objects.clone() },
            jobs,
            queue,
            documents: Documents::new(sdk),
            objects,
            uploads: PresignedUploads::new(sdk, config.documents_bucket.clone()),
            downloads: PresignedDownloads::new(sdk),
            purges: PurgeRequests::new(sdk, config.purge_queue_url),
            bucket: config.documents_bucket.clone(),
            upload_max_bytes: DOCUMENT_MAX_BYTES.max(CHUNKS_MAX * config.chunk_max_bytes),
            allowed: AllowedModels {
                analysis: config.allowed_model_ids,
                async_invocation: config.allowed_async_model_ids,
                max_tokens_ceiling: config.max_tokens_ceiling,
                input_bucket: config.documents_bucket,
            },
            prices: config.prices,
            meter: Meter::default(),
        }
    }

    /// Answers one request; every failure is a problem document (RFC 9457).
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let request_id = request_id(&request);
        let answer = self.route(&request).await;
        let status = match &answer {
            Ok(answer) => answer.status,
            Err(problem) => problem.status(),
        };
        info!(request_id, method = %request.method(), status, "request answered");
        self.meter.print(&function_name(&request), now().as_millisecond(), &[]);
        match answer {
            Ok(answer) => answer.response(),
            Err(problem) => problem.response(&request_id),
        }
    }

    async fn route(&self, request: &Request) -> Result<Answer, Problem> {
        let (route, path) = route_and_path(request);
        match find_operation(request.method(), &route).ok_or_else(Problem::no_such_route)? {
            Operation::SubmitJob => self.submit_job(request, &path).await,
            Operation::GetJob => self.get_job(&job_id(request)?).await,
            Operation::GetDocument => self.get_document(&job_id(request)?).await,
            Operation::CancelJob => self.delete_job(request, &job_id(request)?).await,
            Operation::RetryJob => self.retry_job(&job_id(request)?).await,
            Operation::CreateUpload => self.create_upload(request, &path).await,
            Operation::CreateBatch => self.create_batch(request, &path).await,
            Operation::ListBatches => self.list_batches(request).await,
            Operation::GetBatch => self.get_batch(&batch_id(request)?).await,
            Operation::CancelBatch => self.delete_batch(request, &batch_id(request)?).await,
            Operation::RetryBatch => self.retry_batch(request, &batch_id(request)?).await,
            Operation::PauseBatch => self.pause_batch(&batch_id(request)?).await,
            Operation::ResumeBatch => self.resume_batch(&batch_id(request)?).await,
            Operation::SubmitJobs => self.submit_jobs(request, &batch_id(request)?).await,
            Operation::ListJobs => self.list_jobs(request, &batch_id(request)?).await,
            Operation::GetResults => self.get_results(request, &batch_id(request)?).await,
        }
    }
}

fn request_id(request: &Request) -> String {
    request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default()
}

fn function_name(request: &Request) -> String {
    request.lambda_context_ref().map(|context| context.env_config.function_name.clone()).unwrap_or_default()
}

/// The job id of the path. No job has an invalid id, so such a path is answered 404.
fn job_id(request: &Request) -> Result<JobId, Problem> {
    let parameters = request.path_parameters();
    parameters.first("job_id").and_then(|id| id.parse().ok()).ok_or_else(Problem::no_such_job)
}

/// The batch id of the path. No batch has an invalid id, so such a path is answered 404.
fn batch_id(request: &Request) -> Result<BatchId, Problem> {
    let parameters = request.path_parameters();
    parameters.first("batch_id").and_then(|id| id.parse().ok()).ok_or_else(Problem::no_such_batch)
}

/// The path of the route, such as `/jobs/{job_id}`, and the path of the request with
/// the stage, such as `/v1/jobs/a`.
fn route_and_path(request: &Request) -> (String, String) {
    let path = request.uri().path().to_owned();
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            (context.resource_path.clone().unwrap_or_default(), context.path.clone().unwrap_or(path))
        }
        _ => (path.clone(), path),
    }
}
