//! Models that work for minutes, by Bedrock's StartAsyncInvoke and
//! GetAsyncInvoke.
//!
//! One attempt a call, as for Converse: retries are the queue's. The client
//! request token makes a repeated start the same invocation.
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
use super::json::to_document;
use super::model::classify;
use crate::domain::async_invocation::request::{AsyncInvoke, Invocation, InvocationArn};
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;

/// Bedrock, as models that work for minutes are asked.
#[derive(Debug, Clone)]
pub struct AsyncModel {
    client: Client,
    timeouts: AsyncTimeouts,
}

/// How long the calls may take; the invocation itself has all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncTimeouts {
    /// Of a start, which carries the input and makes Bedrock look at the bucket.
    pub start: Duration,
    /// Of a poll.
    pub poll: Duration,
}

impl Default for AsyncTimeouts {
    fn default() -> Self {
        Self { start: Duration::from_secs(20), poll: Duration::from_secs(5) }
    }
}

/// One start.
#[derive(Debug)]
pub struct Start<'a> {
    /// What is asked, within its limits.
    pub request: &'a AsyncInvoke,
    /// Where the output goes: `s3://bucket/prefix/`.
    pub output_uri: &'a str,
    /// The same for every start of the same invocation; see
    /// [`client_request_token`](crate::domain::async_invocation::request::client_request_token).
    pub token: &'a str,
}

impl AsyncModel {
    /// The client makes one attempt a call and gives up after the time-out,
    /// whatever `config` says.
    pub fn new(config: &SdkConfig, timeouts: AsyncTimeouts) -> Self {
        Self { client: Client::from_conf(single_attempt(config, timeouts.poll).build()), timeouts }
    }

    /// How long the calls may take.
    pub fn timeouts(&self) -> AsyncTimeouts {
        self.timeouts
    }

    /// Starts the invocation, or finds the one that an earlier start with this
    /// token began.
    ///
    /// # Errors
    /// By class: throttled (a quota of invocations that run is throttling too),
    /// transient, or permanent. After a transient one the invocation may run: the
    /// next start finds it.
    pub async fn start(&self, start: &Start<'_>) -> Result<InvocationArn, AttemptError> {
        let timeout = self.timeouts.start;
        let (output, tags) = parameters(start)
            .map_err(|error| AttemptError::Permanent(Failure::new(codes::ANALYSIS_INVALID, error.to_string())))?;
        let timeouts = TimeoutConfig::builder().operation_timeout(timeout).operation_attempt_timeout(timeout).build();
        let answer = self
            .client
            .start_async_invoke()
            .client_request_token(start.token)
            .model_id(&start.request.model_id)
            .model_input(to_document(&start.request.model_input))
            .output_data_config(output)
            .set_tags(tags)
            .customize()
            .config_override(Builder::new().timeout_config(timeouts))
            .mutate_request(put_in_order)
            .send()
            .await
            .map_err(|error| classify(&error, timeout))?;
        Ok(InvocationArn::new(answer.invocation_arn))
    }

    /// Asks how an invocation goes.
    ///
    /// # Errors
    /// By class. A permanent one means that this role may not ask, or that
    /// Bedrock knows no such invocation.
    pub async fn poll(&self, arn: &InvocationArn) -> Result<Invocation, AttemptError> {
        let answer = self
            .client
            .get_async_invoke()
            .invocation_arn(arn.as_str())
            .send()
            .await
            .map_err(|error| classify(&error, self.timeouts.poll))?;
        Ok(read(&answer))
    }
}

fn parameters(start: &Start<'_>) -> Result<(AsyncInvokeOutputDataConfig, Option<Vec<Tag>>), BuildError> {
    let s3 = AsyncInvokeS3OutputDataConfig::builder().s3_uri(start.output_uri).build()?;
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let tags = start.request.tags.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    Ok((AsyncInvokeOutputDataConfig::S3OutputDataConfig(s3), Some(tags).filter(|tags| !tags.is_empty())))
}

/// Puts the fields of the body's JSON in their names' order, before it is signed.
///
/// The SDK keeps an object's fields in a map without order, so that each start
/// would write the same input in another way. AWS does not say whether the token
/// is held against the input's meaning or its bytes: these are the same bytes.
fn put_in_order(request: &mut HttpRequest) {
    let body = request.body().bytes().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    if let Some(ordered) = body.map(|body| body.to_string()) {
        request.headers_mut().insert("content-length", ordered.len().to_string());
        *request.body_mut() = SdkBody::from(ordered);
    }
}

/// A status without a name here counts as one that goes on: the time that an
/// invocation has in all ends it.
fn read(answer: &GetAsyncInvokeOutput) -> Invocation {
    let ended_at = answer.end_time().and_then(timestamp);
    match answer.status() {
        AsyncInvokeStatus::Completed => {
            let s3 = answer.output_data_config().and_then(|config| config.as_s3_output_data_config().ok());
            let output_uri = s3.map(|s3| s3.s3_uri().to_owned()).unwrap_or_default();
            Invocation::Completed { output_uri, ended_at }
        }
        AsyncInvokeStatus::Failed => {
            let message = answer.failure_message().unwrap_or("Bedrock gave no reason").to_owned();
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
    fn a_start_has_more_time_than_a_check() {
        let timeouts = AsyncTimeouts::default();
        assert!(timeouts.poll < timeouts.start);
    }

    #[test]
    fn the_same_input_is_written_in_the_same_bytes() {
        let mut request = HttpRequest::new(SdkBody::from(r#"{"b": {"y": 1, "x": "é/\u0001"}, "a": [1.0, 2]}"#));
        put_in_order(&mut request);
        let ordered = "{\"a\":[1.0,2],\"b\":{\"x\":\"é/\\u0001\",\"y\":1}}";
        assert_eq!(request.body().bytes(), Some(ordered.as_bytes()));
        assert_eq!(request.headers().get("content-length"), Some(ordered.len().to_string().as_str()));
    }
}
