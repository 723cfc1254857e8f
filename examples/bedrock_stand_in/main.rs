//! A stand-in for Amazon Bedrock, for machines without an AWS account. **It is
//! not a model**: it speaks Converse as the AWS SDK does, waits as long as a
//! model would, keeps to a quota, fails as told, and answers with sentences of
//! the document itself. It speaks StartAsyncInvoke too, GetAsyncInvoke and
//! ListAsyncInvokes, and puts a folder with an output that nothing made into the
//! bucket.
//!
//! ```text
//! cargo run --example bedrock_stand_in -- --port 9099
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
mod behaviour;
mod converse;
mod invocations;
mod reading;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use behaviour::{Behaviour, Server};
use invocations::Invocations;

const USAGE: &str = "usage: bedrock_stand_in [--port PORT] [--latency-ms MS] [--s3-endpoint URL]

Speaks Bedrock's Converse and StartAsyncInvoke on 127.0.0.1. It is not a model:
it answers with sentences of the document. Controls: GET /_calls,
GET /_calls/log, GET and PUT /_behaviour, POST /_reset.

  --port PORT          where to listen; 9099 by default, 0 for any
  --latency-ms MS      how long each call takes; 0 by default
  --s3-endpoint URL    the S3 that outputs of StartAsyncInvoke are put to;
                       without it there are none
  --help               this text";

/// What the command line says.
struct Arguments {
    port: u16,
    behaviour: Behaviour,
    s3_endpoint: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("bedrock_stand_in: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let port = arguments.port;
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bedrock_stand_in: cannot listen on 127.0.0.1:{port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { port: 9099, behaviour: Behaviour::default(), s3_endpoint: None };
    while let Some(word) = words.next() {
        if word == "--help" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} wants a number, not {value:?}"));
        match word.as_str() {
            "--port" => arguments.port = number()?.try_into().map_err(|_| format!("{value} is not a port"))?,
            "--latency-ms" => arguments.behaviour.latency_ms = number()?,
            "--s3-endpoint" => arguments.s3_endpoint = Some(value.trim_end_matches('/').to_owned()),
            _ => return Err(format!("{word} is not an option")),
        }
    }
    Ok(Some(arguments))
}

async fn serve(arguments: Arguments) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    println!("bedrock_stand_in listens on http://{} (a stand-in, not a model)", listener.local_addr()?);
    let invocations = Invocations::new(arguments.s3_endpoint);
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
        .with_state(Server::new(arguments.behaviour, invocations));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(stopped()).await
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
    // Calls in flight are let go: a caller that waits for a hanging call would
    // otherwise keep the server up.
    std::process::exit(0);
}
