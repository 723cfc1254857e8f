//! The binary `docket` as a user runs it, and small servers in place of AWS services.
#![allow(dead_code, reason = "each test uses a part")]

pub mod page;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
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

/// The command `docket`. The environment has no credentials and no configuration of AWS but the
/// given variables, and names the outputs of the local stack.
pub fn docket(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docket"));
    set_environment(&mut command, environment);
    command.args(arguments);
    command
}

fn set_environment(command: &mut Command, environment: &[(&str, &str)]) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.contains("COLOR")) {
        command.env_remove(name);
    }
    command.current_dir(std::env::temp_dir());
    command.env("DOCKET_OUTPUTS", outputs_file()).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("HOME", std::env::temp_dir().join("docket-tests-have-no-home"));
    command.envs(environment.iter().copied());
}

/// Runs `docket` without a terminal.
pub async fn run_docket(arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = docket(arguments, environment);
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("docket runs");
    read_output(output)
}

fn read_output(output: Output) -> Run {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A running `docket` without a terminal. It ends with the test.
pub struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    /// Starts `docket`.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = docket(arguments, environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().expect("docket runs")))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it runs until `finish`")
    }

    /// Sends a signal, such as `INT` or `KILL`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.0.as_ref().expect("it runs").id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Reads a line of standard output, byte by byte, so that the rest stays in the pipe.
    pub fn read_line(&mut self) -> String {
        let pipe = self.child().stdout.as_mut().expect("a pipe");
        let (mut line, mut byte) = (Vec::new(), [0]);
        while pipe.read(&mut byte).expect("the pipe is readable") == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        String::from_utf8(line).expect("UTF-8")
    }

    /// Waits for the end.
    pub async fn finish(mut self) -> Run {
        let child = self.0.take().expect("it runs until here");
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("no panic");
        read_output(output.expect("docket ran"))
    }
}

/// Runs a program in a pseudo-terminal of 40 lines and 120 columns. Its standard input is
/// typed into the terminal, and everything on the terminal is its standard output.
const TERMINAL: &str = r#"
import fcntl, os, pty, select, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
os.write(terminal, sys.stdin.buffer.read())
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs `docket` in a pseudo-terminal, into which `typed` is typed at once. The output has
/// both standard streams.
pub async fn run_in_terminal(arguments: &[&str], environment: &[(&str, &str)], typed: &str) -> Run {
    let mut command = Command::new("python3");
    set_environment(&mut command, environment);
    command.args(["-c", TERMINAL, env!("CARGO_BIN_EXE_docket")]).args(arguments).env("TERM", "xterm");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("python3 runs");
    running.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("it is typed");
    let output = tokio::task::spawn_blocking(move || running.wait_with_output()).await.expect("no panic");
    read_output(output.expect("docket ran"))
}

/// A folder that disappears at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(unique("docket-folder"));
        std::fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is created");
        std::fs::write(path, bytes).expect("the file is written");
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The content of a file; `None` without the file.
    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(name)).ok()
    }

    /// The names in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
