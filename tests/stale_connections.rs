//! Connections to the model that die while they are idle: the call is repeated on a new
//! connection. These tests need no local AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_bedrockruntime::config::Credentials;
use docket::aws::model::{AnsweredCall, Call, CallError, Model, ModelSettings, Question};
use docket::domain::analysis::Analysis;
use docket::domain::analysis::answer_form::{AnswerForm, AnswerMode};
use docket::domain::document::Document;
use docket::domain::failure::codes;
use docket::domain::job::ending::AttemptError;
use docket::domain::limits::IDLE_CONNECTION_AGE;
use test_support::stand_in::StandIn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A proxy before the stand-in that closes each connection when it receives the request
/// after the `answered`-th one, as a server does that has already given up the connection.
struct ClosingProxy {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl ClosingProxy {
    async fn start(stand_in: &StandIn, answered: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, server) = (connections.clone(), stand_in.url.trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(client, server.clone(), answered));
            }
        });
        Self { url, connections }
    }
}

/// Forwards requests until the proxy closes the connection.
async fn forward(mut client: TcpStream, server: String, answered: usize) {
    for _ in 0..answered {
        let Some(request) = read_message(&mut client).await else { return };
        let mut upstream = TcpStream::connect(&server).await.expect("the stand-in listens");
        upstream.write_all(&request).await.expect("the request is sent");
        let response = read_message(&mut upstream).await.expect("a response");
        client.write_all(&response).await.expect("the response is sent");
    }
    let _ = read_message(&mut client).await;
}

/// Reads one HTTP message with a content length; `None` at the end of the connection.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            if bytes.len() >= end + 4 + length.map_or(0, |length| length.trim().parse().expect("a number")) {
                return Some(bytes);
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}

async fn start_model(url: &str) -> Model {
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .http_client(docket::aws::http_client())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await;
    let settings = ModelSettings {
        model_id: "test.model-v1:0".into(),
        max_tokens: 500,
        temperature: None,
        request_fields: None,
        answer_mode: AnswerMode::Auto,
        timeout: Duration::from_secs(10),
    };
    Model::new(&sdk, settings)
}

async fn ask(model: &Model) -> Result<AnsweredCall, CallError> {
    let job_id = "a-job".parse().expect("an id");
    let analysis = Analysis::standard();
    let call = Call { job_id: &job_id, attempt: 1, generation: 0, model_id: model.model_id(), analysis };
    let question = Question::new(Document::new(None, b"The tenant pays the rent.".to_vec()).expect("a text"));
    model.converse(&call, &question, AnswerForm::Tool).await
}

#[tokio::test]
async fn dead_idle_connection_costs_no_error() {
    let stand_in = StandIn::start();
    let proxy = ClosingProxy::start(&stand_in, 1).await;
    let model = start_model(&proxy.url).await;
    for _ in 0..2 {
        ask(&model).await.expect("an answer").answer.expect("it fits");
        tokio::time::sleep(IDLE_CONNECTION_AGE + Duration::from_millis(100)).await;
    }
    assert_eq!(stand_in.calls_of("a-job"), 2, "the model sees each call once");
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn end_of_a_connection_in_use_is_not_repeated() {
    let stand_in = StandIn::start();
    let proxy = ClosingProxy::start(&stand_in, 1).await;
    let model = start_model(&proxy.url).await;
    ask(&model).await.expect("an answer").answer.expect("it fits");
    ask(&model).await.expect_err("the model may have seen the call");
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn end_of_a_new_connection_is_not_repeated() {
    let stand_in = StandIn::start();
    let proxy = ClosingProxy::start(&stand_in, 0).await;
    let error = ask(&start_model(&proxy.url).await).await.expect_err("no answer");
    let CallError::Attempt(AttemptError::NoAnswer(failure)) = error else { panic!("{error:?}") };
    assert_eq!(failure.code, codes::MODEL_UNREACHABLE);
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 1);
}
