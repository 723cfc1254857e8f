//! The Bedrock stand-in, on a thread of its own, for one test.

use std::net::Ipv4Addr;
use std::thread::JoinHandle;

use serde_json::Value;
use stand_in::Options;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running stand-in. It stops when it is dropped.
pub struct StandIn {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Its endpoint.
    pub url: String,
}

impl StandIn {
    /// Starts a stand-in that stores no outputs.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts a stand-in that puts the outputs of StartAsyncInvoke into an S3.
    pub fn start_with_s3(endpoint: &str) -> Self {
        Self::start_with(Options { s3_endpoint: Some(endpoint.to_owned()), ..Options::default() })
    }

    fn start_with(options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, address) = std::sync::mpsc::channel();
        let serve = async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            started.send(listener.local_addr().expect("bound")).expect("the test waits for it");
            tokio::select! {
                ended = stand_in::serve(listener, options) => ended.expect("it serves"),
                _ = stopped => {}
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        let address = address.recv().expect("the stand-in starts");
        Self { stop: Some(stop), thread: Some(thread), url: format!("http://{address}") }
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
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
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
