//! A proxy between the consumer and every service. It records each request, and injects
//! the planned fault at the k-th one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

/// The fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The proxy closes the connection before the request takes effect.
    Refuse,
    /// The request takes effect, and its response is lost.
    LoseResponse,
    /// 500, without effect.
    Error500,
    /// 503, without effect.
    Error503,
    /// The service's throttling error, without effect.
    Throttle,
    /// The request takes effect; the response is not valid JSON or XML.
    Garbage,
    /// The request takes effect; the response has half its body.
    Truncate,
    /// No effect, and no response before any time-out.
    Hang,
    /// The request takes effect, and no response comes.
    HangAfter,
    /// SIGKILL before the request takes effect.
    KillBefore,
    /// SIGKILL after the request took effect.
    KillAfter,
    /// SIGSTOP before the request takes effect; SIGCONT after the lease has expired.
    PauseBefore,
    /// SIGSTOP after the request took effect; SIGCONT after the lease has expired.
    PauseAfter,
}

pub const FAULTS: [Fault; 13] = [
    Fault::Refuse,
    Fault::LoseResponse,
    Fault::Error500,
    Fault::Error503,
    Fault::Throttle,
    Fault::Garbage,
    Fault::Truncate,
    Fault::Hang,
    Fault::HangAfter,
    Fault::KillBefore,
    Fault::KillAfter,
    Fault::PauseBefore,
    Fault::PauseAfter,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// An UpdateItem without a fence.
    Claim,
    /// An UpdateItem that names an attempt as its fence: an ending, the start of a wait, or
    /// the resume of a waiting job.
    FencedWrite {
        fence: u64,
        completes: bool,
    },
    /// Any request to S3.
    S3,
    Converse,
    /// A Converse call with the canary in place of a document.
    Canary,
    /// StartAsyncInvoke or GetAsyncInvoke.
    AsyncInvoke,
    /// The SendMessage of a dead letter or of a poll.
    SendMessage,
    ChangeVisibility,
    Other,
}

#[derive(Debug, Clone)]
pub struct RecordedRequest {
    pub kind: RequestKind,
    /// Time of arrival at the proxy.
    pub at: Instant,
    pub fault: Option<Fault>,
    /// Time at which the proxy sent the request to the service.
    pub forwarded_at: Option<Instant>,
    /// The stored job's attempt, if the request is an UpdateItem that returned it.
    pub attempt_after: Option<u64>,
    /// Time at which the service's response reached the proxy, if the status was 2xx.
    pub succeeded_at: Option<Instant>,
}

impl RecordedRequest {
    /// One line of a report, with the time since the run's first request.
    pub fn line(&self, number: usize, first: Instant) -> String {
        let fault = self.fault.map_or(String::new(), |fault| format!(" {fault:?}"));
        let effect = if self.succeeded_at.is_some() { "" } else { ", no 2xx response" };
        let attempt = self.attempt_after.map_or(String::new(), |attempt| format!(", attempt {attempt}"));
        format!("{number} at {} ms: {:?}{fault}{attempt}{effect}", (self.at - first).as_millis(), self.kind)
    }
}

/// A fault of the process that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessFault {
    Kill,
    Pause,
}

pub struct FaultPlan {
    /// The fault of each request, by the request's number from 1.
    pub faults: BTreeMap<usize, Fault>,
    /// Whether each Converse call kills the process.
    pub kills_every_call: bool,
    /// The endpoint of the local AWS.
    pub aws: String,
    /// The endpoint of the stand-in.
    pub model: String,
}

/// Sends the worker's number and its fault.
pub type ProcessFaultSender = UnboundedSender<(usize, ProcessFault)>;

#[derive(Clone)]
pub struct Proxy {
    plan: Arc<FaultPlan>,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    client: Client<HttpConnector, Full<Bytes>>,
    process_faults: ProcessFaultSender,
}

impl Proxy {
    pub fn new(plan: FaultPlan, process_faults: ProcessFaultSender) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { plan: Arc::new(plan), requests: Arc::default(), client, process_faults }
    }

    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Listens for the requests of one worker, and returns the address.
    pub async fn listen(&self, worker: usize) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let proxy = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let proxy = proxy.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(|request| proxy.forward(worker, request));
                    // An error of the service closes the connection without a response.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        format!("http://{address}")
    }

    async fn forward(&self, worker: usize, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, &'static str> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "the request is incomplete")?.to_bytes();
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let kind = classify(target, head.uri.path(), &body);
        let (index, fault) = {
            let mut requests = self.requests.lock().unwrap();
            let fault = match (self.plan.kills_every_call, kind) {
                (true, RequestKind::Converse) => Some(Fault::KillAfter),
                _ => self.plan.faults.get(&(requests.len() + 1)).copied(),
            };
            requests.push(RecordedRequest {
                kind,
                at: Instant::now(),
                fault,
                forwarded_at: None,
                attempt_after: None,
                succeeded_at: None,
            });
            (requests.len() - 1, fault)
        };
        match fault {
            Some(Fault::Refuse) => return Err("refused"),
            Some(Fault::Error500) => return Ok(error_response(500, "InternalServerError", target)),
            Some(Fault::Error503) => return Ok(error_response(503, "ServiceUnavailableException", target)),
            Some(Fault::Throttle) => return Ok(throttling_response(target, kind)),
            Some(Fault::Hang) => return hang().await,
            Some(Fault::KillBefore) => {
                let _ = self.process_faults.send((worker, ProcessFault::Kill));
                return hang().await;
            }
            Some(Fault::PauseBefore) => {
                let _ = self.process_faults.send((worker, ProcessFault::Pause));
                // The process sent the request before it stopped, so the request takes effect late.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            _ => {}
        }
        let base = match kind {
            RequestKind::Converse | RequestKind::Canary | RequestKind::AsyncInvoke => &self.plan.model,
            _ => &self.plan.aws,
        };
        let uri = format!("{base}{}", head.uri.path_and_query().map_or("/", |path| path.as_str()));
        let mut forwarded = Request::builder().method(head.method).uri(uri);
        for (name, value) in
            head.headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        {
            forwarded = forwarded.header(name, value);
        }
        let body = crate::waits::shorten_wait(kind, body);
        // A separate task: the request takes effect and is recorded even if the worker
        // stops waiting for its response.
        let (client, requests) = (self.client.clone(), self.requests.clone());
        let forwarded = forwarded.body(Full::new(body)).expect("a valid request");
        let response = tokio::spawn(async move {
            requests.lock().unwrap()[index].forwarded_at = Some(Instant::now());
            let (head, body) = client.request(forwarded).await.map_err(|_| "the service is unreachable")?.into_parts();
            let body = body.collect().await.map_err(|_| "the response is incomplete")?.to_bytes();
            if head.status.is_success() {
                let mut requests = requests.lock().unwrap();
                requests[index].succeeded_at = Some(Instant::now());
                requests[index].attempt_after = attempt_in(&body);
            }
            Ok::<_, &'static str>((head, body))
        });
        let (head, body) = response.await.expect("the proxy does not panic")?;
        match fault {
            Some(Fault::LoseResponse) => Err("lost"),
            Some(Fault::HangAfter) => hang().await,
            Some(Fault::KillAfter) => {
                let _ = self.process_faults.send((worker, ProcessFault::Kill));
                hang().await
            }
            Some(Fault::PauseAfter) => {
                let _ = self.process_faults.send((worker, ProcessFault::Pause));
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok(Response::from_parts(head, Full::new(body)))
            }
            Some(Fault::Garbage) => Ok(Response::new(Full::new(Bytes::from_static(b"\x00{ this is garbage")))),
            Some(Fault::Truncate) => {
                let mut head = head;
                head.headers.remove("content-length");
                head.headers.remove("x-amz-crc32");
                Ok(Response::from_parts(head, Full::new(body.slice(..body.len() / 2))))
            }
            _ => Ok(Response::from_parts(head, Full::new(body))),
        }
    }
}

async fn hang<T>() -> T {
    std::future::pending().await
}

fn classify(target: &str, path: &str, body: &[u8]) -> RequestKind {
    match target.rsplit('.').next().unwrap_or_default() {
        "UpdateItem" => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let values = &body["ExpressionAttributeValues"];
            match values[":fence"]["N"].as_str().and_then(|fence| fence.parse().ok()) {
                Some(fence) => RequestKind::FencedWrite { fence, completes: values[":status"]["S"] == "complete" },
                None => RequestKind::Claim,
            }
        }
        "SendMessage" => RequestKind::SendMessage,
        "ChangeMessageVisibility" => RequestKind::ChangeVisibility,
        _ if path.ends_with("/converse") => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            if body["requestMetadata"]["job_id"] == "docket-canary" {
                RequestKind::Canary
            } else {
                RequestKind::Converse
            }
        }
        _ if path.starts_with("/async-invoke") => RequestKind::AsyncInvoke,
        _ if target.is_empty() => RequestKind::S3,
        _ => RequestKind::Other,
    }
}

/// The attempt in the response of an UpdateItem that returns the stored job.
fn attempt_in(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["Attributes"]["attempt"]["N"].as_str()?.parse().ok()
}

/// An error, in XML if the request has no target, as for S3, and otherwise in JSON.
fn error_response(status: u16, code: &'static str, target: &str) -> Response<Full<Bytes>> {
    let body = if target.is_empty() {
        format!("<Error><Code>{code}</Code><Message>injected by the test</Message></Error>")
    } else {
        format!(r#"{{"__type": "{code}", "message": "injected by the test"}}"#)
    };
    let response = Response::builder().status(status).header("x-amzn-errortype", code);
    response.body(Full::new(Bytes::from(body))).expect("a response")
}

fn throttling_response(target: &str, kind: RequestKind) -> Response<Full<Bytes>> {
    match kind {
        RequestKind::Converse | RequestKind::Canary | RequestKind::AsyncInvoke => {
            error_response(429, "ThrottlingException", "model")
        }
        RequestKind::S3 => error_response(503, "SlowDown", target),
        RequestKind::Claim | RequestKind::FencedWrite { .. } => {
            error_response(400, "ProvisionedThroughputExceededException", target)
        }
        _ => error_response(400, "RequestThrottled", target),
    }
}
