//! The stack that is deployed on the local AWS.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use docket::aws::jobs::Jobs;
use docket::domain::job::stored::StoredJob;
use serde_json::Value;

use crate::aws::{letters, outputs, queued, sdk};
use crate::{eventually, stand_in};

/// The deployed stack. Its tests run one at a time: they count calls.
pub struct Stack {
    pub sdk: aws_config::SdkConfig,
    pub outputs: HashMap<String, String>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Stack {
    pub async fn new() -> Self {
        let turn = TURN.lock().await;
        let stack = Self { sdk: sdk().await, outputs: outputs(), _turn: turn };
        stand_in::reset(&stack.outputs["ModelEndpointUrl"]);
        stack
    }

    pub fn calls(&self) -> Value {
        stand_in::get(&format!("{}/_calls", self.outputs["ModelEndpointUrl"]))
    }

    pub async fn row(&self, job_id: &str) -> Option<StoredJob> {
        let jobs = Jobs::new(&self.sdk, self.outputs["JobsTableName"].clone(), Duration::from_secs(1));
        jobs.get(&job_id.parse().expect("a job id")).await.expect("the table answers")
    }

    pub async fn status(&self, job_id: &str) -> &'static str {
        self.row(job_id).await.map_or("none", |row| row.state.status().as_str())
    }

    /// Sends messages as any other producer would.
    pub async fn send(&self, bodies: &[String]) {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        for ten in bodies.chunks(10) {
            let mut request = sqs.send_message_batch().queue_url(&self.outputs["JobsQueueUrl"]);
            for (place, body) in ten.iter().enumerate() {
                let priority = MessageAttributeValue::builder().data_type("String").string_value("normal");
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .message_body(body)
                    .message_attributes("priority", priority.build().expect("whole"));
                request = request.entries(entry.build().expect("whole"));
            }
            request.send().await.expect("sent");
        }
    }

    pub async fn queue_is_empty(&self) {
        eventually("an empty queue", async || {
            (queued(&self.sdk, &self.outputs["JobsQueueUrl"]).await == (0, 0)).then_some(())
        })
        .await;
    }

    pub async fn dead_letters(&self) -> usize {
        letters(&self.sdk, &self.outputs["DeadLetterQueueUrl"]).await.len()
    }

    /// A request to the API, signed unless it shall not be.
    pub fn api(&self, method: &str, path: &str, body: &str, signed: bool) -> (u16, Value) {
        let (status, _, text) = self.request(method, path, body, signed, &[]);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// A signed request with a JSON body, or none.
    pub fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.api(method, path, &body, true)
    }

    /// Status, headers and text of the API's answer.
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

    /// A signed request to one of the local AWS's services, for which the tests
    /// have no SDK.
    pub fn aws(&self, service: &str, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.outputs["AwsEndpointUrl"]);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, text) = send(method, &url, &body, Some(service), headers);
        assert!(status < 300, "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Puts an object into the bucket, and says which version it became.
    pub async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) -> String {
        let s3 = aws_sdk_s3::Client::new(&self.sdk);
        let request = s3.put_object().bucket(&self.outputs["DocumentsBucketName"]).key(key);
        let answer = request.body(bytes.into().into()).send().await.expect("the bucket answers");
        answer.version_id().unwrap_or_default().to_owned()
    }

    /// How a batch stands.
    pub fn batch(&self, batch_id: &str) -> Value {
        self.ask("GET", &format!("/batches/{batch_id}"), Value::Null).1
    }

    /// Waits until no job of a batch of so many is unfinished.
    pub async fn batch_has_ended(&self, batch_id: &str, total: u64) -> Value {
        eventually("the end of a batch", async || {
            let counts = &self.batch(batch_id)["request_counts"];
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            (count("total") == total && count("pending") + count("processing") == 0).then_some(())
        })
        .await;
        self.batch(batch_id)
    }
}

/// Status, headers and text of an answer; signed for a service, if for any.
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
            .expect("whole")
            .into();
        let body = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method, url, headers.iter().copied(), body).expect("whole");
        let (instructions, _) = sign(signable, &parameters).expect("signed").into_parts();
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
    }
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.run(request.body(body.to_owned()).expect("whole")).expect("an answer");
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let headers = headers.collect();
    (response.status().as_u16(), headers, response.body_mut().read_to_string().unwrap_or_default())
}
