//! A function's real binary under a Lambda Runtime API of our own: an event in,
//! exactly what the binary answers out.
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
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// What the binary answered: a response, or an error.
pub type Answer = Result<Value, Value>;

struct Invocation {
    id: String,
    event: Value,
    deadline_ms: u128,
}

#[derive(Clone)]
struct Api {
    waiting: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>>,
    answers: Arc<Mutex<HashMap<String, oneshot::Sender<Answer>>>>,
}

/// A running function. Ends when it is dropped.
pub struct Function {
    process: Child,
    invocations: mpsc::UnboundedSender<Invocation>,
    answers: Arc<Mutex<HashMap<String, oneshot::Sender<Answer>>>>,
}

impl Function {
    /// Starts a binary with this environment and no other.
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
        let process = Command::new(binary)
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "under-test")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/docket/test")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary is built");
        Self { process, invocations, answers }
    }

    /// Invokes the function with so much time until its deadline, and waits for
    /// its answer.
    pub async fn invoke(&self, event: Value, time: Duration) -> Answer {
        let id = uuid::Uuid::new_v4().to_string();
        let (answer, answered) = oneshot::channel();
        self.answers.lock().unwrap().insert(id.clone(), answer);
        let deadline = SystemTime::now() + time;
        let deadline_ms = deadline.duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        self.invocations.send(Invocation { id, event, deadline_ms }).expect("the Runtime API runs");
        tokio::time::timeout(time + Duration::from_secs(60), answered)
            .await
            .expect("an answer, if late")
            .expect("the function lives")
    }

    /// Ends the function, and gives back all that it wrote.
    pub async fn output(mut self) -> String {
        self.process.start_kill().expect("it runs");
        let output = self.process.wait_with_output().await.expect("it has ended");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
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
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".into()),
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
