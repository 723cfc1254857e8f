//! What a function talks to, for the bench: the Lambda Runtime API, and stand-ins
//! in memory for DynamoDB, SQS and S3. **They are not AWS**: they answer what the
//! consumers under measure ask, count it, and say when it came.
//!
//! ```text
//! cargo run --profile servers --example bench_services -- --model-port 9099 --certificate ca.pem
//! ```
//!
//! | control | what |
//! | --- | --- |
//! | `POST /_events?timeout_ms=N` | hands an event to the function when it asks next: `{"id"}` |
//! | `GET /_answers/{id}` | waits for the function's answer: `{"handed_ns", "answered_ns", "response" or "error"}` |
//! | `GET /_ready?nexts=N` | waits until the function has asked for so many events: `{"first_next_ns", "nexts"}` |
//! | `GET /_requests` | every request to the stand-ins, in order |
//! | `GET`, `PUT /_items` | the rows, by their key |
//! | `PUT /_hold` | `{"texts", "most"}` holds up so many writes of one of these texts, and lets go of those that were |
//! | `GET /_hold?count=N` | waits until so many are held up |
//! | `PUT /_objects/{key}` | an object, in every bucket |
//! | `POST /_reset` | forgets all of it |
//!
//! Times are nanoseconds of the monotonic clock, which all processes of a
//! machine share.

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

The Lambda Runtime API and stand-ins for DynamoDB, SQS and S3 on 127.0.0.1, for
the bench. They are not AWS. The first line out is JSON with the ports.

  --port PORT          where to listen; any by default
  --model-port PORT    the model's stand-in; with it, TLS stands before both
  --certificate FILE   where to put the certificate that TLS is spoken with
  --help               this text";

#[derive(Default)]
struct Arguments {
    port: u16,
    tls: Option<(u16, PathBuf)>,
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

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut arguments, mut model_port, mut certificate) = (Arguments::default(), None, None);
    while let Some(word) = words.next() {
        if word == "--help" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} wants a value"))?;
        let port = || value.parse::<u16>().map_err(|_| format!("{word} wants a port, not {value:?}"));
        match word.as_str() {
            "--port" => arguments.port = port()?,
            "--model-port" => model_port = Some(port()?),
            "--certificate" => certificate = Some(PathBuf::from(value)),
            _ => return Err(format!("{word} is not an option")),
        }
    }
    arguments.tls = match (model_port, certificate) {
        (Some(port), Some(file)) => Some((port, file)),
        (None, None) => None,
        _ => return Err("--model-port and --certificate go together".to_owned()),
    };
    Ok(Some(arguments))
}

async fn serve(arguments: Arguments) -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    let port = listener.local_addr()?.port();
    let mut ports = json!({"stand_in": true, "optimised": !cfg!(debug_assertions), "port": port});
    if let Some((model_port, certificate)) = arguments.tls {
        let acceptor = tls::acceptor(&certificate)?;
        ports["tls_port"] = tls::before(acceptor.clone(), port).await?.into();
        ports["model_tls_port"] = tls::before(acceptor, model_port).await?.into();
    }
    println!("{ports}");
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router(Arc::new(World::default()))).await
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(runtime_api::next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(runtime_api::response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(runtime_api::error))
        .route("/2018-06-01/runtime/init/error", post(runtime_api::init_error))
        .route("/_events", post(control::enqueue))
        .route("/_answers/{id}", get(control::answer))
        .route("/_ready", get(control::ready))
        .route("/_requests", get(control::requests))
        .route("/_items", get(control::items).put(control::put_items))
        .route("/_hold", get(control::held).put(control::hold))
        .route("/_objects/{*key}", put(control::put_object))
        .route("/_reset", post(control::reset))
        .route("/", post(services::json_service))
        .route("/{bucket}/{*key}", get(services::get_object))
        .layer(DefaultBodyLimit::max(32 * 1024 * 1024))
        .with_state(world)
}
