//! The Bedrock stand-in of one test, on its own thread, and the control of stand-ins.

use std::net::Ipv4Addr;
use std::thread::JoinHandle;

use serde_json::Value;
use stand_in::Options;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running stand-in. Dropping it stops the server.
pub struct StandIn {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The endpoint, such as `http://127.0.0.1:1234`.
    pub url: String,
}

impl StandIn {
    /// Starts a stand-in that stores no outputs of asynchronous invocations.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts a stand-in that writes the outputs of asynchronous invocations to the S3 at
    /// `endpoint`.
    pub fn start_with_s3(endpoint: &str) -> Self {
        Self::start_with(Options { s3_endpoint: Some(endpoint.to_owned()), ..Options::default() })
    }

    fn start_with(options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, address) = std::sync::mpsc::channel();
        let serve = async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            started.send(listener.local_addr().expect("bound")).expect("the test waits for the address");
            tokio::select! {
                ended = stand_in::serve(listener, options) => ended.expect("the stand-in serves"),
                _ = stopped => {}
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        let address = address.recv().expect("the stand-in starts");
        Self { stop: Some(stop), thread: Some(thread), url: format!("http://{address}") }
    }

    /// Sets the behaviour, with `PUT /_behaviour`: latencies and faults, as the stand-in's
    /// `Behaviour` describes them.
    pub fn behave(&self, behaviour: Value) {
        put(&self.url, behaviour);
    }

    /// All calls since the start or the last reset: `GET /_calls`.
    pub fn calls(&self) -> Value {
        get(&format!("{}/_calls", self.url))
    }

    /// The number of Converse calls for a job.
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

/// Reads `url`, a control path of a stand-in, as JSON.
pub fn get(url: &str) -> Value {
    ureq::get(url).call().expect("the stand-in answers").body_mut().read_json().expect("JSON")
}

/// Sets the behaviour of the stand-in at `url`.
pub fn put(url: &str, behaviour: Value) {
    ureq::put(&format!("{url}/_behaviour")).send_json(behaviour).expect("the stand-in accepts the behaviour");
}

/// Resets the stand-in at `url`: its behaviour and its record of calls.
pub fn reset(url: &str) {
    ureq::post(&format!("{url}/_reset")).send_empty().expect("the stand-in answers");
}
