//! The real binary of a function with a Lambda Runtime API that this file serves. The
//! test passes an event in, and gets the binary's exact response.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};

use crate::event_source::trace_header;

/// The binary's response to an invocation, or its error.
pub type Answer = Result<Value, Value>;

struct Invocation {
    id: String,
    event: Value,
    trace_header: String,
    deadline_ms: u128,
}

/// The state of the Runtime API.
#[derive(Clone)]
struct Api {
    waiting: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>>,
    answers: Arc<Mutex<HashMap<String, oneshot::Sender<Answer>>>>,
}

/// A running function. Dropping it ends the process.
pub struct Function {
    process_id: u32,
    /// True once the process has ended.
    ended: watch::Receiver<bool>,
    /// Ends the process when it is dropped.
    end: Option<oneshot::Sender<()>>,
    written: Arc<Mutex<String>>,
    invocations: mpsc::UnboundedSender<Invocation>,
    answers: Arc<Mutex<HashMap<String, oneshot::Sender<Answer>>>>,
}

impl Function {
    /// Starts a binary of the workspace, by its name or absolute path. It inherits no
    /// environment variables: it gets `environment` and those that Lambda sets.
    pub async fn start(binary: &str, environment: &HashMap<String, String>) -> Self {
        let (invocations, waiting) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let api = Api { waiting: Arc::new(tokio::sync::Mutex::new(waiting)), answers: answers.clone() };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .layer(axum::extract::DefaultBodyLimit::max(16 * 1024 * 1024))
            .with_state(api);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut process = Command::new(crate::binary(binary))
            .env_clear()
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "under-test")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/docket/test")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts; `cargo build` builds it");
        let written = Arc::new(Mutex::new(String::new()));
        // Read all the time: a full pipe would block the function.
        let readers = [
            tokio::spawn(collect(process.stdout.take().expect("piped"), written.clone())),
            tokio::spawn(collect(process.stderr.take().expect("piped"), written.clone())),
        ];
        let process_id = process.id().expect("the process runs");
        let (end, end_requested) = oneshot::channel();
        let (end_sender, ended) = watch::channel(false);
        tokio::spawn(async move {
            let has_exited = tokio::select! {
                _ = process.wait() => true,
                _ = end_requested => false,
            };
            if !has_exited {
                let _ = process.kill().await;
            }
            for reader in readers {
                let _ = reader.await;
            }
            let _ = end_sender.send(true);
        });
        Self { process_id, ended, end: Some(end), written, invocations, answers }
    }

    /// The process id.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// Invokes the function, whose deadline is after `time`, and returns its answer.
    ///
    /// # Panics
    /// If no answer comes until 60 s after the deadline.
    pub async fn invoke(&self, event: Value, time: Duration) -> Answer {
        let answer = self.try_invoke(event, time, time + Duration::from_secs(60)).await;
        answer.unwrap_or_else(|| panic!("the function did not answer; its output: {}", self.written.lock().unwrap()))
    }

    /// As [`Self::invoke`], but returns `None` if the process ends first, or if no answer
    /// comes within `patience`.
    pub async fn try_invoke(&self, event: Value, time: Duration, patience: Duration) -> Option<Answer> {
        let id = uuid::Uuid::new_v4().to_string();
        let (sender, receiver) = oneshot::channel();
        self.answers.lock().unwrap().insert(id.clone(), sender);
        let deadline = SystemTime::now() + time;
        let deadline_ms = deadline.duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let trace_header = trace_header(&event);
        let invocation = Invocation { id, event, trace_header, deadline_ms };
        self.invocations.send(invocation).expect("the Runtime API runs");
        let mut ended = self.ended.clone();
        tokio::select! {
            answer = receiver => answer.ok(),
            _ = ended.wait_for(|ended| *ended) => None,
            () = tokio::time::sleep(patience) => None,
        }
    }

    /// Ends the function, and returns its standard output and error.
    pub async fn output(mut self) -> String {
        drop(self.end.take());
        let mut ended = self.ended.clone();
        ended.wait_for(|ended| *ended).await.expect("the process ends");
        self.written.lock().unwrap().clone()
    }
}

async fn collect(mut pipe: impl AsyncRead + Unpin, written: Arc<Mutex<String>>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut bytes).await {
        written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

async fn next(State(api): State<Api>) -> Response {
    let Some(invocation) = api.waiting.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id),
        ("lambda-runtime-deadline-ms", invocation.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:under-test".into()),
        ("lambda-runtime-trace-id", invocation.trace_header),
        ("content-type", "application/json".into()),
    ];
    (headers, invocation.event.to_string()).into_response()
}

async fn response(State(api): State<Api>, Path(id): Path<String>, body: String) -> StatusCode {
    answer(&api, &id, serde_json::from_str(&body).map_err(|_| Value::String(body)))
}

async fn error(State(api): State<Api>, Path(id): Path<String>, _: HeaderMap, body: String) -> StatusCode {
    answer(&api, &id, Err(serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

fn answer(api: &Api, id: &str, answer: Answer) -> StatusCode {
    if let Some(waiting) = api.answers.lock().unwrap().remove(id) {
        let _ = waiting.send(answer);
    }
    StatusCode::ACCEPTED
}
