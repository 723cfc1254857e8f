//! The settings of the clients of Bedrock: one attempt a call, a time-out, and a request
//! body that is freed while it is sent.

use std::time::Duration;

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_bedrockruntime::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_bedrockruntime::config::{Builder, ConfigBag, Intercept, RuntimeComponents, SharedInterceptor};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_smithy_types::body::SdkBody;

use crate::domain::document::sha256_hex;

/// Time-out of a connection. A cold function opens one connection for each record of its
/// batch at the same time, and their handshakes share the processor.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of a client that makes one attempt a call and ends it after `timeout`.
pub(super) fn single_attempt(config: &SdkConfig, timeout: Duration) -> Builder {
    Builder::from(config).retry_config(RetryConfig::disabled()).timeout_config(
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(timeout)
            .operation_attempt_timeout(timeout)
            .build(),
    )
}

/// The settings of [`single_attempt`], with request bodies that are freed while they are
/// sent.
pub(super) fn single_attempt_without_replay(config: &SdkConfig, timeout: Duration) -> Builder {
    let mut builder = single_attempt(config, timeout);
    // A permanent interceptor skips the check whether the call disables it.
    builder.push_interceptor(SharedInterceptor::permanent(NonReplayableBody));
    builder
}

/// Makes a request body readable only once, so that the SDK frees the body while it is
/// sent.
///
/// The SDK keeps a body that it could repeat until the response arrives, which takes
/// seconds. For a batch of large documents this is most of the memory. A body that can
/// be read only once must be hashed for the signature first. Every other interceptor
/// that changes the body must therefore run earlier.
#[derive(Debug)]
struct NonReplayableBody;

impl Intercept for NonReplayableBody {
    fn name(&self) -> &'static str {
        "NonReplayableBody"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        if let Some(bytes) = body.bytes() {
            config.interceptor_state().store_put(PayloadSigningOverride::Precomputed(sha256_hex(bytes)));
            // The SDK wrote the body into a buffer that doubles as it grows; the copy has no
            // unused capacity.
            let copy = bytes.to_vec();
            *body = SdkBody::from_body_1_x(SdkBody::from(copy));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockruntime::Client;
    use aws_sdk_bedrockruntime::config::Credentials;
    use aws_sdk_bedrockruntime::types::{ContentBlock, ConversationRole, Message};
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;

    use super::*;
    use crate::aws::refusing_server::{Received, RefusingServer};

    #[tokio::test]
    async fn wrong_date_of_a_response_leaves_the_signing_clock() {
        let server = RefusingServer::start().await;
        let client = Client::from_conf(single_attempt_without_replay(&server.config, Duration::from_secs(30)).build());
        for _ in 0..2 {
            client.converse().model_id("a-model").send().await.expect_err("the server rejects every request");
            let Received { headers, .. } = server.next_request();
            assert!(headers["x-amz-date"].to_str().expect("text") < "2099", "signed at {headers:?}");
        }
    }

    #[tokio::test]
    async fn non_replayable_body_is_sent_complete_and_signed() {
        let server = RefusingServer::start().await;
        let text = "a document, ".repeat(10_000);
        let content = ContentBlock::Text(text.clone());
        let message = Message::builder().role(ConversationRole::User).content(content).build().expect("complete");
        let config = single_attempt_without_replay(&server.config, Duration::from_secs(30)).build();
        let call = Client::from_conf(config).converse().model_id("a-model").messages(message);
        call.send().await.expect_err("the server rejects every request");
        let Received { uri, headers, body } = server.only_request();
        assert!(std::str::from_utf8(&body).expect("JSON").contains(&text));
        assert_eq!(headers["content-length"], body.len().to_string());
        let agent = headers["x-amz-user-agent"].to_str().expect("text");
        assert!(agent.contains(concat!("app/docket-", env!("CARGO_PKG_VERSION"))), "{agent}");

        let header = |name: &str| headers[name].to_str().expect("text");
        let (_, signed) = header("authorization").split_once("SignedHeaders=").expect("signed");
        let (signed, signature) = signed.split_once(", Signature=").expect("signed");
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", header("x-amz-date")).expect("a time");
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).expect("in range");
        let identity = Credentials::for_tests().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("bedrock")
            .time(time.timestamp().into())
            .settings(SigningSettings::default())
            .build()
            .expect("complete");
        // The signer adds the date.
        let names = signed.split(';').filter(|name| *name != "x-amz-date");
        let url = format!("{}{uri}", server.url);
        let request =
            SignableRequest::new("POST", &url, names.map(|name| (name, header(name))), SignableBody::Bytes(&body));
        let (_, expected) = sign(request.expect("valid headers"), &params.into()).expect("signed").into_parts();
        assert_eq!(signature, expected);
    }
}
