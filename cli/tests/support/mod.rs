//! The binary `docket` as a user runs it, and small servers in place of AWS services.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use test_support::{file, unique};

/// The output of a run.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }
}

/// Runs `docket`. The environment has no credentials and no configuration of AWS but the
/// given variables, and names the outputs of the local stack.
pub async fn run_docket(arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docket"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(std::env::temp_dir());
    command.env("DOCKET_OUTPUTS", outputs_file()).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("HOME", std::env::temp_dir().join("docket-tests-have-no-home"));
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("docket runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The outputs of the local stack.
fn outputs_file() -> PathBuf {
    std::env::var_os("DOCKET_OUTPUTS").map_or_else(|| file(".local/outputs.env"), PathBuf::from)
}

/// A copy of the files of the local stack, with other or further outputs.
pub struct ChangedOutputs {
    directory: PathBuf,
}

impl ChangedOutputs {
    /// Copies the files. A later line of the same name replaces an earlier one.
    pub fn new(changes: &[(&str, &str)]) -> Self {
        let directory = std::env::temp_dir().join(unique("outputs"));
        std::fs::create_dir(&directory).expect("a new folder");
        let mut text = std::fs::read_to_string(outputs_file()).expect("the local AWS runs");
        for (name, value) in changes {
            text.push_str(&format!("{name}={value}\n"));
        }
        std::fs::write(directory.join("outputs.env"), text).expect("the file is written");
        let environment = outputs_file().with_file_name("functions.env");
        std::fs::copy(environment, directory.join("functions.env")).expect("the file is copied");
        Self { directory }
    }

    /// The path of the outputs.
    pub fn path(&self) -> String {
        self.directory.join("outputs.env").display().to_string()
    }
}

impl Drop for ChangedOutputs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// An answer of a small server: status, value of `x-amzn-errortype`, and body.
pub type Answer = (u16, &'static str, String);

/// Starts a server that answers as `respond` says, from the path and the headers of a request.
/// Returns its URL.
pub async fn serve(respond: impl Fn(&str, &HashMap<String, String>) -> Answer + Send + Sync + 'static) -> String {
    let respond = Arc::new(respond);
    let handler = move |uri: Uri, headers: HeaderMap| {
        let respond = respond.clone();
        async move {
            let headers = headers.iter();
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()));
            let (status, code, body) = respond(uri.path(), &headers.collect());
            answer(status, code, body)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn answer(status: u16, code: &str, body: String) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let kind = if body.starts_with('<') { "text/xml" } else { "application/json" };
    match code {
        "" => (status, [("content-type", kind)], body).into_response(),
        code => (status, [("content-type", kind), ("x-amzn-errortype", code)], body).into_response(),
    }
}
