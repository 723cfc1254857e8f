//! The stack that is deployed on the local AWS, with its API.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use docket::aws::jobs::Jobs;
use docket::domain::job::stored::StoredJob;
use serde_json::Value;

use crate::aws::{drain_messages, outputs, queued, sdk};
use crate::{eventually, stand_in};

/// The deployed stack. A test that holds it runs alone in its process, because tests
/// count the calls to the shared stand-in.
pub struct Stack {
    /// The SDK's configuration for the local AWS.
    pub sdk: aws_config::SdkConfig,
    /// The stack's outputs, by name.
    pub outputs: HashMap<String, String>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Stack {
    /// Waits until no other test uses the stack, and resets its stand-in.
    pub async fn new() -> Self {
        let turn = TURN.lock().await;
        let stack = Self { sdk: sdk().await, outputs: outputs(), _turn: turn };
        stand_in::reset(&stack.outputs["ModelEndpointUrl"]);
        stack
    }

    /// The calls that the stand-in received since the last reset: `GET /_calls`.
    pub fn calls(&self) -> Value {
        stand_in::get(&format!("{}/_calls", self.outputs["ModelEndpointUrl"]))
    }

    /// The stored job, if there is one.
    pub async fn row(&self, job_id: &str) -> Option<StoredJob> {
        let jobs = Jobs::new(&self.sdk, self.outputs["JobsTableName"].clone(), Duration::from_secs(1));
        jobs.get(&job_id.parse().expect("a valid job id")).await.expect("the table answers")
    }

    /// The status of the stored job; `none` without one.
    pub async fn status(&self, job_id: &str) -> &'static str {
        self.row(job_id).await.map_or("none", |row| row.state.status().as_str())
    }

    /// Sends messages to the jobs queue with the attribute `priority`, in batches of ten.
    pub async fn send(&self, bodies: &[String]) {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        for ten in bodies.chunks(10) {
            let mut request = sqs.send_message_batch().queue_url(&self.outputs["JobsQueueUrl"]);
            for (index, body) in ten.iter().enumerate() {
                let priority = MessageAttributeValue::builder().data_type("String").string_value("normal");
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(body)
                    .message_attributes("priority", priority.build().expect("a complete attribute"));
                request = request.entries(entry.build().expect("a complete entry"));
            }
            request.send().await.expect("the messages are sent");
        }
    }

    /// Waits until the jobs queue has no message, not even a delayed or in-flight one.
    pub async fn wait_for_empty_queue(&self) {
        eventually("an empty queue", async || {
            (queued(&self.sdk, &self.outputs["JobsQueueUrl"]).await == (0, 0)).then_some(())
        })
        .await;
    }

    /// Receives and deletes all dead letters; returns their number.
    pub async fn drain_dead_letters(&self) -> usize {
        drain_messages(&self.sdk, &self.outputs["DeadLetterQueueUrl"]).await.len()
    }

    /// Sends a request to the API, signed if `signed`. Returns the status, and the body,
    /// which is null if it is not JSON.
    pub fn api(&self, method: &str, path: &str, body: &str, signed: bool) -> (u16, Value) {
        let (status, _, text) = self.request(method, path, body, signed, &[]);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Sends a signed request to the API; a null `body` sends none. Returns the status and
    /// the body.
    pub fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.api(method, path, &body, true)
    }

    /// Sends a request to the API with further headers. Returns status, headers and text.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: &str,
        signed: bool,
        more: &[(&str, &str)],
    ) -> (u16, HashMap<String, String>, String) {
        let url = format!("{}{path}", self.outputs["ApiUrl"]);
        let headers = [&[("content-type", "application/json")], more].concat();
        send(method, &url, body, signed.then_some("execute-api"), &headers)
    }

    /// Sends a signed request to a service of the local AWS that has no SDK in the tests,
    /// and returns the body.
    ///
    /// # Panics
    /// If the status is not 2xx.
    pub fn aws(&self, service: &str, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.outputs["AwsEndpointUrl"]);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, text) = send(method, &url, &body, Some(service), headers);
        assert!(status < 300, "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Puts an object into the documents bucket, and returns its version id.
    pub async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) -> String {
        let s3 = aws_sdk_s3::Client::new(&self.sdk);
        let request = s3.put_object().bucket(&self.outputs["DocumentsBucketName"]).key(key);
        let response = request.body(bytes.into().into()).send().await.expect("the object is stored");
        response.version_id().unwrap_or_default().to_owned()
    }

    /// The API's description of a batch: `GET /batches/{batch_id}`.
    pub fn batch(&self, batch_id: &str) -> Value {
        self.ask("GET", &format!("/batches/{batch_id}"), Value::Null).1
    }

    /// Waits until a batch has `total` jobs and all of them have finished. Returns the batch.
    pub async fn wait_for_batch_end(&self, batch_id: &str, total: u64) -> Value {
        eventually("the end of a batch", async || {
            let counts = &self.batch(batch_id)["request_counts"];
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            (count("total") == total && count("pending") + count("processing") == 0).then_some(())
        })
        .await;
        self.batch(batch_id)
    }
}

/// Sends a request, signed for `service` if one is named. Returns status, headers and text.
fn send(
    method: &str,
    url: &str,
    body: &str,
    service: Option<&str>,
    headers: &[(&str, &str)],
) -> (u16, HashMap<String, String>, String) {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(service) = service {
        let identity = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("complete parameters")
            .into();
        let body = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method, url, headers.iter().copied(), body).expect("a valid request");
        let (instructions, _) = sign(signable, &parameters).expect("the request is signed").into_parts();
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
    }
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.run(request.body(body.to_owned()).expect("a valid request")).expect("a response");
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let headers = headers.collect();
    (response.status().as_u16(), headers, response.body_mut().read_to_string().unwrap_or_default())
}
