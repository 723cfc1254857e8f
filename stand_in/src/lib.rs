//! A stand-in for Amazon Bedrock, for machines without an AWS account. **It is
//! not a model**: it speaks Converse as the AWS SDK does, waits as long as a
//! model would, keeps to a quota, fails as told, and answers with sentences of
//! the document itself. It speaks StartAsyncInvoke too, GetAsyncInvoke and
//! ListAsyncInvokes, and puts a folder with an output that nothing made into the
//! bucket.
//!
//! ```text
//! cargo run -p stand_in -- --port 9099
//! AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:9099 …
//! ```
//!
//! | control | what |
//! | --- | --- |
//! | `GET /_calls` | `{"total", "in_flight", "peak_in_flight", "throttled", "by_job": {id: n}, "async"}` |
//! | `GET /_calls/log` | every call: job, attempt, outcome, when it began and ended, what it counted |
//! | `GET`, `PUT /_behaviour` | `{"latency_ms", "tokens_per_minute", "requests_per_minute", "output_token_factor", "faults", "seed", "async_latency_ms", "async_faults"}` |
//! | `POST /_reset` | forgets the calls and the behaviour |
//!
//! `async` in the calls tells of StartAsyncInvoke: `starts`, `gets`, `lists`,
//! `invocations`, those by `by_status`, `by_token`, `by_model` and `by_output`,
//! the starts by token, and where `outputs` go.

mod analyst;
mod async_invoke;
pub mod behaviour;
mod converse;
mod invocations;
mod reading;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use self::behaviour::{Behaviour, Server};
use self::invocations::Invocations;

/// How a stand-in behaves at first, and where it puts outputs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The behaviour until `PUT /_behaviour` changes it.
    pub behaviour: Behaviour,
    /// The S3 endpoint that receives the outputs of StartAsyncInvoke; without it no
    /// outputs are stored.
    pub s3_endpoint: Option<String>,
}

/// Serves the stand-in on `listener` until the future is dropped.
///
/// # Errors
/// The listener's own.
pub async fn serve(listener: TcpListener, options: Options) -> std::io::Result<()> {
    let invocations = Invocations::new(options.s3_endpoint);
    let router = Router::new()
        .route("/", get(|| async { "A stand-in for Amazon Bedrock, not a model. See GET /_calls.\n" }))
        .route("/model/{model_id}/converse", post(converse::converse))
        .route("/async-invoke", get(async_invoke::list).post(async_invoke::start))
        .route("/async-invoke/{*invocation_arn}", get(async_invoke::get))
        .route("/_calls", get(async |State(server): State<Server>| axum::Json(server.counts())))
        .route("/_calls/log", get(async |State(server): State<Server>| axum::Json(server.log())))
        .route("/_behaviour", get(behaviour::show).put(behaviour::change))
        .route("/_reset", post(async |State(server): State<Server>| server.reset()))
        .layer(DefaultBodyLimit::max(32 * 1024 * 1024))
        .with_state(Server::new(options.behaviour, invocations));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}
