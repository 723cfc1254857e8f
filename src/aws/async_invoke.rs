//! Long invocations, by Bedrock's StartAsyncInvoke and GetAsyncInvoke.
//!
//! The SDK makes one attempt a call, because the queue retries. The client request token
//! makes a repeated start idempotent.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GetAsyncInvoke.html>

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::Builder;
use aws_sdk_bedrockruntime::config::http::HttpRequest;
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::operation::get_async_invoke::GetAsyncInvokeOutput;
use aws_sdk_bedrockruntime::primitives::DateTime;
use aws_sdk_bedrockruntime::types::{
    AsyncInvokeOutputDataConfig, AsyncInvokeS3OutputDataConfig, AsyncInvokeStatus, Tag,
};
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use serde_json::Value;

use super::bedrock_client::single_attempt;
use super::bedrock_errors::classify;
use super::json::to_document;
use crate::domain::async_invocation::request::{AsyncInvoke, Invocation, InvocationArn};
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;

/// A client of Bedrock's long invocations.
#[derive(Debug, Clone)]
pub struct AsyncModel {
    client: Client,
    timeouts: AsyncTimeouts,
}

/// The time-outs of the calls. They do not limit the invocation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncTimeouts {
    /// The time-out of a start, which carries the input and makes Bedrock check the
    /// bucket.
    pub start: Duration,
    /// The time-out of a poll.
    pub poll: Duration,
}

impl Default for AsyncTimeouts {
    fn default() -> Self {
        Self { start: Duration::from_secs(20), poll: Duration::from_secs(5) }
    }
}

/// The parameters of one start.
#[derive(Debug)]
pub struct Start<'a> {
    /// The model and its input, checked against the limits.
    pub request: &'a AsyncInvoke,
    /// The destination of the output: `s3://bucket/prefix/`.
    pub output_uri: &'a str,
    /// The idempotency token, equal for every start of the same invocation; see
    /// [`client_request_token`](crate::domain::async_invocation::request::client_request_token).
    pub token: &'a str,
}

impl AsyncModel {
    /// A client that makes one attempt a call and ends it after its time-out. These
    /// settings replace those of `config`.
    pub fn new(config: &SdkConfig, timeouts: AsyncTimeouts) -> Self {
        Self { client: Client::from_conf(single_attempt(config, timeouts.poll).build()), timeouts }
    }

    /// The time-outs of the calls.
    pub fn timeouts(&self) -> AsyncTimeouts {
        self.timeouts
    }

    /// Starts the invocation, or finds the one that an earlier start with this token
    /// started.
    ///
    /// # Errors
    /// Throttled (also by the quota of concurrent invocations), transient or permanent.
    /// After a transient error the invocation may run, and the next start finds it.
    pub async fn start(&self, start: &Start<'_>) -> Result<InvocationArn, AttemptError> {
        let timeout = self.timeouts.start;
        let (output, tags) = parameters(start)
            .map_err(|error| AttemptError::Permanent(Failure::new(codes::ANALYSIS_INVALID, error.to_string())))?;
        let timeouts = TimeoutConfig::builder().operation_timeout(timeout).operation_attempt_timeout(timeout).build();
        let response = self
            .client
            .start_async_invoke()
            .client_request_token(start.token)
            .model_id(&start.request.model_id)
            .model_input(to_document(&start.request.model_input))
            .output_data_config(output)
            .set_tags(tags)
            .customize()
            .config_override(Builder::new().timeout_config(timeouts))
            .mutate_request(sort_fields)
            .send()
            .await
            .map_err(|error| classify(&error, timeout))?;
        Ok(InvocationArn::new(response.invocation_arn))
    }

    /// Polls an invocation.
    ///
    /// # Errors
    /// Throttled, transient or permanent. An error is permanent if the role lacks the
    /// permission, or if Bedrock has no such invocation.
    pub async fn poll(&self, arn: &InvocationArn) -> Result<Invocation, AttemptError> {
        let response = self
            .client
            .get_async_invoke()
            .invocation_arn(arn.as_str())
            .send()
            .await
            .map_err(|error| classify(&error, self.timeouts.poll))?;
        Ok(read_invocation(&response))
    }
}

fn parameters(start: &Start<'_>) -> Result<(AsyncInvokeOutputDataConfig, Option<Vec<Tag>>), BuildError> {
    let s3 = AsyncInvokeS3OutputDataConfig::builder().s3_uri(start.output_uri).build()?;
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let tags = start.request.tags.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    Ok((AsyncInvokeOutputDataConfig::S3OutputDataConfig(s3), Some(tags).filter(|tags| !tags.is_empty())))
}

/// Sorts the fields of the JSON body by their names, before the request is signed.
///
/// The SDK stores an object's fields in an unordered map, so each start would write the
/// same input in another order. AWS does not document whether it compares a repeated
/// token's input by value or by bytes. Sorted fields make the bytes equal.
fn sort_fields(request: &mut HttpRequest) {
    let body = request.body().bytes().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    if let Some(sorted) = body.map(|body| body.to_string()) {
        request.headers_mut().insert("content-length", sorted.len().to_string());
        *request.body_mut() = SdkBody::from(sorted);
    }
}

/// An unknown status counts as in progress. The maximum age of an invocation ends a job
/// with such a status.
fn read_invocation(response: &GetAsyncInvokeOutput) -> Invocation {
    let ended_at = response.end_time().and_then(timestamp);
    match response.status() {
        AsyncInvokeStatus::Completed => {
            let s3 = response.output_data_config().and_then(|config| config.as_s3_output_data_config().ok());
            let output_uri = s3.map(|s3| s3.s3_uri().to_owned()).unwrap_or_default();
            Invocation::Completed { output_uri, ended_at }
        }
        AsyncInvokeStatus::Failed => {
            let message = response.failure_message().unwrap_or("Bedrock reported no reason").to_owned();
            Invocation::Failed { message, ended_at }
        }
        _ => Invocation::InProgress,
    }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_timeout_exceeds_poll_timeout() {
        let timeouts = AsyncTimeouts::default();
        assert!(timeouts.poll < timeouts.start);
    }

    #[test]
    fn start_body_has_sorted_fields_and_its_length() {
        let mut request = HttpRequest::new(SdkBody::from(r#"{"b": {"y": 1, "x": "é/\u0001"}, "a": [1.0, 2]}"#));
        sort_fields(&mut request);
        let sorted = "{\"a\":[1.0,2],\"b\":{\"x\":\"é/\\u0001\",\"y\":1}}";
        assert_eq!(request.body().bytes(), Some(sorted.as_bytes()));
        assert_eq!(request.headers().get("content-length"), Some(sorted.len().to_string().as_str()));
    }
}
