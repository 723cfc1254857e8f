//! The Bedrock stand-in as a process of its own, for one test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Ends with the test.
pub struct StandIn {
    process: Child,
    pub url: String,
}

impl StandIn {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that puts the outputs of StartAsyncInvoke to an S3.
    pub fn start_with_s3(endpoint: &str) -> Self {
        Self::start_with(&["--s3-endpoint", endpoint])
    }

    fn start_with(options: &[&str]) -> Self {
        let examples = std::path::Path::new(env!("CARGO_BIN_EXE_consumer")).with_file_name("examples");
        let mut process = Command::new(examples.join("bedrock_stand_in"))
            .args(["--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo builds the examples before the tests run");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("its address").to_owned();
        Self { process, url }
    }

    /// Tells it how to behave.
    pub fn behave(&self, behaviour: Value) {
        put(&self.url, behaviour);
    }

    pub fn calls(&self) -> Value {
        get(&format!("{}/_calls", self.url))
    }

    /// How many calls there were for a job.
    pub fn calls_of(&self, job_id: &str) -> u64 {
        self.calls()["by_job"][job_id].as_u64().unwrap_or(0)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads a control of a stand-in.
pub fn get(url: &str) -> Value {
    ureq::get(url).call().expect("the stand-in answers").body_mut().read_json().expect("JSON")
}

/// Tells a stand-in how to behave.
pub fn put(url: &str, behaviour: Value) {
    ureq::put(&format!("{url}/_behaviour")).send_json(behaviour).expect("a behaviour that it knows");
}

/// Makes a stand-in forget.
pub fn reset(url: &str) {
    ureq::post(&format!("{url}/_reset")).send_empty().expect("the stand-in answers");
}
