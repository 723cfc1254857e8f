//! How Bedrock is called: one attempt, within a time-out, without more memory
//! than the request has bytes.

use std::time::Duration;

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_smithy_types::body::SdkBody;

/// Time-out for a connection. A cold function opens one for each record of its
/// batch at once, and a handshake takes a share of the processor.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that makes one attempt a call and gives up after the time-out.
pub(super) fn one_attempt(config: &SdkConfig, timeout: Duration) -> Client {
    let own = aws_sdk_bedrockruntime::config::Builder::from(config)
        .interceptor(ExactBody)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_timeout(timeout)
                .operation_attempt_timeout(timeout)
                .build(),
        )
        .build();
    Client::from_conf(own)
}

/// Keeps a request's body in as much memory as it has bytes: it is written into a
/// text that doubles as it grows, and is kept until the answer has come.
#[derive(Debug)]
struct ExactBody;

impl Intercept for ExactBody {
    fn name(&self) -> &'static str {
        "ExactBody"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        if let Some(exact) = body.bytes().map(<[u8]>::to_vec) {
            *body = SdkBody::from(exact);
        }
        Ok(())
    }
}
