//! The command that serves the Bedrock stand-in on a local port.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use stand_in::Options;
use tokio::net::TcpListener;

const USAGE: &str = "usage: bedrock_stand_in [--port PORT] [--latency-ms MS] [--s3-endpoint URL]

Serves Bedrock's Converse and StartAsyncInvoke on 127.0.0.1. It is not a model:
it answers with sentences of the document. Controls: GET /_calls,
GET /_calls/log, GET and PUT /_behaviour, POST /_reset.

  --port PORT          port to listen on; default 9099, 0 for any free port
  --latency-ms MS      duration of each call in milliseconds; default 0
  --s3-endpoint URL    S3 endpoint that stores the outputs of StartAsyncInvoke;
                       without it, no output is stored
  --language-model URL server of a language model that writes the answers;
                       tools/language_model.py is one
  --help               show this text";

struct Arguments {
    port: u16,
    options: Options,
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

async fn serve(arguments: Arguments) -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    println!("bedrock_stand_in listens on http://{} (a stand-in, not a model)", listener.local_addr()?);
    // A signal drops the calls in flight: a hanging call must not keep the process alive.
    tokio::select! {
        ended = stand_in::serve(listener, arguments.options) => ended,
        () = wait_for_signal() => Ok(()),
    }
}

fn parse_arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { port: 9099, options: Options::default() };
    while let Some(word) = words.next() {
        if word == "--help" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} must be a whole number, not {value:?}"));
        match word.as_str() {
            "--port" => {
                arguments.port =
                    number()?.try_into().map_err(|_| format!("{word} must be between 0 and 65535, not {value}"))?
            }
            "--latency-ms" => arguments.options.behaviour.latency_ms = number()?,
            "--s3-endpoint" => arguments.options.s3_endpoint = Some(value.trim_end_matches('/').to_owned()),
            "--language-model" => arguments.options.language_model = Some(value.trim_end_matches('/').to_owned()),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(Some(arguments))
}

async fn wait_for_signal() {
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
}
