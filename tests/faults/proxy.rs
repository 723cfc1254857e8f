//! Stands between the consumer and everything that it talks to, sees each
//! request in turn, and does to the k-th what it was told.

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

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection ends before the request takes effect.
    Refuse,
    /// It takes effect, and its answer is lost.
    LoseAnswer,
    /// 500, without effect.
    Error500,
    /// 503, without effect.
    Error503,
    /// The service's own throttling, without effect.
    Throttle,
    /// It takes effect; the answer is no answer.
    Garbage,
    /// It takes effect; the answer breaks off.
    Truncate,
    /// No answer and no effect, past every time-out.
    Hang,
    /// It takes effect; the answer never comes.
    HangAfter,
    /// SIGKILL before it takes effect.
    KillBefore,
    /// SIGKILL after it took effect.
    KillAfter,
    /// SIGSTOP past the lease before it takes effect, then on.
    PauseBefore,
    /// SIGSTOP past the lease after it took effect, then on.
    PauseAfter,
}

pub const FAULTS: [Fault; 13] = [
    Fault::Refuse,
    Fault::LoseAnswer,
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

/// What a request is, for the record of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Claim,
    /// A fenced write: which attempt it names, and whether it completes.
    Ending {
        fence: u64,
        completes: bool,
    },
    Fetch,
    Converse,
    /// A start of a long-running model's invocation, or a check.
    Invoke,
    /// A dead letter, or a message to check an invocation.
    Send,
    Visibility,
    Other,
}

/// One request, as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub kind: Kind,
    pub at: Instant,
    pub fault: Option<Fault>,
    /// The attempt on the row after it, if it was written.
    pub attempt_after: Option<u64>,
    /// When the service's answer was known to the proxy, if it was 2xx.
    pub done: Option<Instant>,
}

impl Seen {
    /// For people, with times since the run's first request.
    pub fn line(&self, place: usize, first: Instant) -> String {
        let fault = self.fault.map_or(String::new(), |fault| format!(" {fault:?}"));
        let done = if self.done.is_some() { "" } else { ", no effect or refused" };
        let attempt = self.attempt_after.map_or(String::new(), |attempt| format!(", attempt {attempt}"));
        format!("{place} at {} ms: {:?}{fault}{attempt}{done}", (self.at - first).as_millis(), self.kind)
    }
}

/// What the proxy wants done to the process that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Kill,
    Pause,
}

pub struct Plan {
    /// k → fault, with k from 1.
    pub faults: BTreeMap<usize, Fault>,
    /// Every Converse kills: a document that no process survives.
    pub deadly: bool,
    pub aws: String,
    pub model: String,
}

/// The worker's number, and what to do to it.
pub type Blows = UnboundedSender<(usize, Blow)>;

#[derive(Clone)]
pub struct Proxy {
    plan: Arc<Plan>,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: Client<HttpConnector, Full<Bytes>>,
    blows: Blows,
}

impl Proxy {
    pub fn new(plan: Plan, blows: Blows) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { plan: Arc::new(plan), seen: Arc::default(), client, blows }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A door for one worker; its address.
    pub async fn open(&self, worker: usize) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let proxy = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let proxy = proxy.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(|request| proxy.pass(worker, request));
                    // An error of the service ends the connection without an answer.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        format!("http://{address}")
    }

    async fn pass(&self, worker: usize, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, &'static str> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "the request broke off")?.to_bytes();
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let kind = kind(target, head.uri.path(), &body);
        let (place, fault) = {
            let mut seen = self.seen.lock().unwrap();
            let fault = match (self.plan.deadly, kind) {
                (true, Kind::Converse) => Some(Fault::KillAfter),
                _ => self.plan.faults.get(&(seen.len() + 1)).copied(),
            };
            seen.push(Seen { kind, at: Instant::now(), fault, attempt_after: None, done: None });
            (seen.len() - 1, fault)
        };
        match fault {
            Some(Fault::Refuse) => return Err("refused"),
            Some(Fault::Error500) => return Ok(error(500, "InternalServerError", target)),
            Some(Fault::Error503) => return Ok(error(503, "ServiceUnavailableException", target)),
            Some(Fault::Throttle) => return Ok(throttled(target, kind)),
            Some(Fault::Hang) => return hang().await,
            Some(Fault::KillBefore) => {
                let _ = self.blows.send((worker, Blow::Kill));
                return hang().await;
            }
            Some(Fault::PauseBefore) => {
                let _ = self.blows.send((worker, Blow::Pause));
                // The request left the process before it slept: it takes effect late.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            _ => {}
        }
        let base = match kind {
            Kind::Converse | Kind::Invoke => &self.plan.model,
            _ => &self.plan.aws,
        };
        let uri = format!("{base}{}", head.uri.path_and_query().map_or("/", |path| path.as_str()));
        let mut onward = Request::builder().method(head.method).uri(uri);
        for (name, value) in head.headers.iter().filter(|(name, _)| *name != "host") {
            onward = onward.header(name, value);
        }
        // In a task of its own: a worker that gives up waiting does not keep the
        // request from taking effect, nor from being written down here.
        let (client, seen) = (self.client.clone(), self.seen.clone());
        let onward = onward.body(Full::new(body)).expect("a request");
        let answer = tokio::spawn(async move {
            let (head, body) = client.request(onward).await.map_err(|_| "nobody there")?.into_parts();
            let body = body.collect().await.map_err(|_| "the answer broke off")?.to_bytes();
            if head.status.is_success() {
                let mut seen = seen.lock().unwrap();
                seen[place].done = Some(Instant::now());
                seen[place].attempt_after = attempt(&body);
            }
            Ok::<_, &'static str>((head, body))
        });
        let (head, body) = answer.await.expect("the proxy does not panic")?;
        match fault {
            Some(Fault::LoseAnswer) => Err("lost"),
            Some(Fault::HangAfter) => hang().await,
            Some(Fault::KillAfter) => {
                let _ = self.blows.send((worker, Blow::Kill));
                hang().await
            }
            Some(Fault::PauseAfter) => {
                let _ = self.blows.send((worker, Blow::Pause));
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok(Response::from_parts(head, Full::new(body)))
            }
            Some(Fault::Garbage) => Ok(Response::new(Full::new(Bytes::from_static(b"\x00{ this is no answer")))),
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

fn kind(target: &str, path: &str, body: &[u8]) -> Kind {
    match target.rsplit('.').next().unwrap_or_default() {
        "UpdateItem" => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let values = &body["ExpressionAttributeValues"];
            match values[":fence"]["N"].as_str().and_then(|fence| fence.parse().ok()) {
                Some(fence) => Kind::Ending { fence, completes: values[":status"]["S"] == "complete" },
                None => Kind::Claim,
            }
        }
        "SendMessage" => Kind::Send,
        "ChangeMessageVisibility" => Kind::Visibility,
        _ if path.ends_with("/converse") => Kind::Converse,
        _ if path.starts_with("/async-invoke") => Kind::Invoke,
        _ if target.is_empty() => Kind::Fetch,
        _ => Kind::Other,
    }
}

fn attempt(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["Attributes"]["attempt"]["N"].as_str()?.parse().ok()
}

fn error(status: u16, code: &'static str, target: &str) -> Response<Full<Bytes>> {
    let body = if target.is_empty() {
        format!("<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>")
    } else {
        format!(r#"{{"__type": "{code}", "message": "as the test wants it"}}"#)
    };
    let response = Response::builder().status(status).header("x-amzn-errortype", code);
    response.body(Full::new(Bytes::from(body))).expect("a response")
}

fn throttled(target: &str, kind: Kind) -> Response<Full<Bytes>> {
    match kind {
        Kind::Converse | Kind::Invoke => error(429, "ThrottlingException", "model"),
        Kind::Fetch => error(503, "SlowDown", target),
        Kind::Claim | Kind::Ending { .. } => error(400, "ProvisionedThroughputExceededException", target),
        _ => error(400, "RequestThrottled", target),
    }
}
