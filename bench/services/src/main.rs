//! The services that a function uses in the benchmarks: the Lambda Runtime API, and
//! in-memory stand-ins for DynamoDB, SQS and S3. **They are not AWS**: they support
//! the requests of the measured consumers, and record every request with its time.
//!
//! ```text
//! cargo run --profile servers -p bench_services -- --model-port 9099 --certificate ca.pem
//! ```
//!
//! | control | response or effect |
//! | --- | --- |
//! | `POST /_events?timeout_ms=N` | queues an event for the function's next request: `{"id"}` |
//! | `GET /_answers/{id}` | waits for the function's response: `{"handed_ns", "answered_ns", "response" or "error"}` |
//! | `GET /_ready?nexts=N` | waits until the function has asked for N events: `{"first_next_ns", "nexts"}` |
//! | `GET /_requests` | every request to the stand-ins, in order |
//! | `GET`, `PUT /_items` | the items, by their key |
//! | `PUT /_hold` | `{"texts", "most"}` delays the next `most` writes of one of the texts, and releases earlier ones |
//! | `GET /_hold?count=N` | waits until N writes are delayed |
//! | `PUT /_objects/{key}` | stores an object, in every bucket |
//! | `POST /_reset` | clears everything |
//!
//! Times are nanoseconds of the monotonic clock, which all processes of a machine
//! share.

mod condition;
mod control;
mod dynamodb;
mod expression;
mod runtime_api;
mod services;
mod tls;
mod update;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use axum::serve::ListenerExt;
use serde_json::json;
use tokio::net::TcpListener;
use world::World;

const USAGE: &str = "usage: bench_services [--port PORT] [--model-port PORT --certificate FILE]

Serves the Lambda Runtime API and stand-ins for DynamoDB, SQS and S3 on 127.0.0.1,
for the benchmarks. They are not AWS. The first line of output is JSON with the ports.

  --port PORT          port to listen on; by default any free port
  --model-port PORT    port of the Bedrock stand-in; adds a TLS port for it and for
                       these services
  --certificate FILE   file to write the certificate of the TLS ports to
  --help               show this text";

#[derive(Default)]
struct Arguments {
    port: u16,
    tls: Option<(u16, PathBuf)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match parse_arguments(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("bench_services: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_services: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut arguments, mut model_port, mut certificate) = (Arguments::default(), None, None);
    while let Some(word) = words.next() {
        if word == "--help" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let port =
            || value.parse::<u16>().map_err(|_| format!("{word} must be a port between 0 and 65535, not {value:?}"));
        match word.as_str() {
            "--port" => arguments.port = port()?,
            "--model-port" => model_port = Some(port()?),
            "--certificate" => certificate = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    arguments.tls = match (model_port, certificate) {
        (Some(port), Some(file)) => Some((port, file)),
        (None, None) => None,
        _ => return Err("--model-port and --certificate must be used together".to_owned()),
    };
    Ok(Some(arguments))
}

async fn serve(arguments: Arguments) -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    let port = listener.local_addr()?.port();
    let mut ports = json!({"stand_in": true, "optimised": !cfg!(debug_assertions), "port": port});
    if let Some((model_port, certificate)) = arguments.tls {
        let acceptor = tls::make_acceptor(&certificate)?;
        ports["tls_port"] = tls::start_proxy(acceptor.clone(), port).await?.into();
        ports["model_tls_port"] = tls::start_proxy(acceptor, model_port).await?.into();
    }
    println!("{ports}");
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router(Arc::new(World::default()))).await
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(runtime_api::next_event))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(runtime_api::post_response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(runtime_api::post_error))
        .route("/2018-06-01/runtime/init/error", post(runtime_api::post_init_error))
        .route("/_events", post(control::enqueue_event))
        .route("/_answers/{id}", get(control::wait_for_answer))
        .route("/_ready", get(control::wait_until_ready))
        .route("/_requests", get(control::list_requests))
        .route("/_items", get(control::list_items).put(control::put_items))
        .route("/_hold", get(control::wait_for_held).put(control::set_hold))
        .route("/_objects/{*key}", put(control::put_object))
        .route("/_reset", post(control::reset))
        .route("/", post(services::json_service))
        .route("/{bucket}/{*key}", get(services::get_object))
        .layer(DefaultBodyLimit::max(32 * 1024 * 1024))
        .with_state(world)
}
