//! The proxy before Bedrock and S3, with the faults of an account.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use test_support::proxy::{Forwarder, Request, Response};

/// The faults of the services, and the requests that show them.
#[derive(Default)]
pub struct Services {
    /// The model's endpoint closes each connection.
    pub refuses_model: AtomicBool,
    /// No canary is answered.
    pub hangs_canary: AtomicBool,
    /// S3 refuses writes of results.
    pub refuses_results: AtomicBool,
    /// S3 refuses writes of the results of chunks.
    pub refuses_chunks: AtomicBool,
    /// The answered calls of each document or chunk, by a hash of the job and the messages.
    pub calls: Mutex<HashMap<u64, u64>>,
    /// The canaries that arrived.
    pub canaries: AtomicU32,
    /// The probes of the bucket that arrived.
    pub store_probes: AtomicU32,
}

/// Forwards a call of the model, unless a fault applies.
pub async fn forward_call(
    model: String,
    faults: Arc<Services>,
    forwarder: Forwarder,
    request: Request,
) -> Option<Response> {
    if faults.refuses_model.load(Ordering::Relaxed) {
        return None;
    }
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    if body["requestMetadata"]["job_id"] == "docket-canary" {
        faults.canaries.fetch_add(1, Ordering::Relaxed);
        if faults.hangs_canary.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
    let call = format!("{} {}", body["requestMetadata"]["job_id"], body["messages"]);
    let response = forwarder.forward(&model, request).await;
    if response.as_ref().is_some_and(|response| response.status() == 200) {
        let hash = call
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        *faults.calls.lock().unwrap().entry(hash).or_default() += 1;
    }
    response
}

/// Forwards a request to S3, unless a fault applies.
pub async fn forward_object(
    s3: String,
    faults: Arc<Services>,
    forwarder: Forwarder,
    request: Request,
) -> Option<Response> {
    let path = request.uri().path();
    if request.method() == "PUT" && path.contains("/results/") {
        if path.ends_with("/hold-probe.json") {
            faults.store_probes.fetch_add(1, Ordering::Relaxed);
        }
        if faults.refuses_results.load(Ordering::Relaxed) {
            return Some(access_denied());
        }
    }
    if request.method() == "PUT" && path.contains("/chunks/") && faults.refuses_chunks.load(Ordering::Relaxed) {
        return Some(access_denied());
    }
    forwarder.forward(&s3, request).await
}

fn access_denied() -> Response {
    let body = "<Error><Code>AccessDenied</Code><Message>injected by the test</Message></Error>";
    let response = hyper::Response::builder().status(403).header("content-type", "application/xml");
    response.body(body.into()).expect("a response")
}
