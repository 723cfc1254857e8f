//! A stand-in for Amazon Bedrock, for machines without an AWS account. **It is
//! not a model.** It serves Converse to the AWS SDK and answers with sentences
//! of the document. Its latency, quota and faults are configurable. It also
//! serves StartAsyncInvoke, GetAsyncInvoke and ListAsyncInvokes, and stores a
//! placeholder output in S3.
//!
//! ```text
//! cargo run -p stand_in -- --port 9099
//! AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:9099 …
//! ```
//!
//! | control | response or effect |
//! | --- | --- |
//! | `GET /_calls` | `{"total", "in_flight", "peak_in_flight", "throttled", "by_job": {id: n}, "async"}` |
//! | `GET /_calls/log` | every call: job, attempt, kind, form of the answer, outcome, start and end, tokens counted against the quota |
//! | `GET`, `PUT /_behaviour` | `{"latency_ms", "tokens_per_minute", "requests_per_minute", "output_token_factor", "faults", "seed", "async_latency_ms", "async_faults"}` |
//! | `POST /_reset` | clears the calls and the behaviour |
//!
//! `async` in `/_calls` counts the requests (`starts`, `gets`, `lists`,
//! `starts_by_token`) and the `invocations` (also `by_status`, `by_token`,
//! `by_model`, `by_output`). Its `outputs` is the S3 endpoint of the outputs.

mod analyst;
mod async_invoke;
pub mod behaviour;
mod conversation;
mod converse;
mod evidence;
mod families;
mod invocations;
mod language_model;
mod reading;
mod server;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use self::behaviour::Behaviour;
use self::invocations::Invocations;
use self::language_model::LanguageModel;
use self::server::Server;

/// The initial behaviour of a stand-in, and the S3 endpoint of its outputs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The behaviour until `PUT /_behaviour` changes it.
    pub behaviour: Behaviour,
    /// The S3 endpoint that receives the outputs of StartAsyncInvoke, such as
    /// `http://127.0.0.1:4566`. Without it, the stand-in stores no output.
    pub s3_endpoint: Option<String>,
    /// The server of a language model that answers in place of the stand-in's sentences.
    pub language_model: Option<String>,
}

/// Serves the stand-in on `listener` until the future is dropped.
///
/// # Errors
/// The listener's error, when it can accept no more connections.
pub async fn serve(listener: TcpListener, options: Options) -> std::io::Result<()> {
    let invocations = Invocations::new(options.s3_endpoint);
    let router = Router::new()
        .route("/", get(|| async { "A stand-in for Amazon Bedrock, not a model. See GET /_calls.\n" }))
        .route("/model/{model_id}/converse", post(converse::converse))
        .route("/async-invoke", get(async_invoke::list).post(async_invoke::start))
        .route("/async-invoke/{*invocation_arn}", get(async_invoke::get))
        .route("/_calls", get(async |State(server): State<Server>| axum::Json(server.counts())))
        .route("/_calls/log", get(async |State(server): State<Server>| axum::Json(server.log())))
        .route("/_behaviour", get(server::show_behaviour).put(server::change_behaviour))
        .route("/_reset", post(async |State(server): State<Server>| server.reset()))
        .layer(DefaultBodyLimit::max(32 * 1024 * 1024))
        .with_state(Server::new(options.behaviour, invocations, options.language_model.map(LanguageModel::new)));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}
