//! The producer: an HTTP request in, a job id out.
//!
//! `POST /jobs` stores the document, makes the row, queues the message, and only
//! then answers 202. `GET /jobs/{job_id}` tells how the job stands.

mod problem;
mod request;
mod submit;
mod view;

use aws_config::SdkConfig;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response, http::Method};
use serde_json::Value;
use tracing::info;

use crate::aws::documents::Documents;
use crate::aws::jobs::Jobs;
use crate::aws::queue::JobsQueue;
use crate::config::ProducerConfig;
use problem::Problem;

/// What answers requests. It keeps nothing between them.
#[derive(Debug, Clone)]
pub struct Producer {
    jobs: Jobs,
    queue: JobsQueue,
    documents: Documents,
    bucket: String,
}

/// An answer that is not a problem.
struct Answer {
    status: u16,
    location: Option<String>,
    body: Value,
}

impl Producer {
    /// Makes the clients; connects to nothing yet.
    pub fn new(sdk: &SdkConfig, config: ProducerConfig) -> Self {
        Self {
            jobs: Jobs::new(sdk, config.jobs_table, config.retention),
            queue: JobsQueue::new(sdk, config.jobs_queue_url, config.high_priority_queue_url),
            documents: Documents::new(sdk),
            bucket: config.documents_bucket,
        }
    }

    /// Answers one request; every failure is a problem document (RFC 9457).
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let request_id = request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default();
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
            (&Method::GET, "/jobs/{job_id}") => {
                let parameters = request.path_parameters();
                self.view(parameters.first("job_id").unwrap_or_default()).await
            }
            _ => Err(Problem::no_such_route()),
        }
    }
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
        .header("content-type", "application/json")
        .header("cache-control", "no-store");
    if let Some(location) = answer.location {
        response = response.header("location", location);
    }
    response.body(Body::Text(answer.body.to_string())).expect("our own headers are valid")
}
