//! The services that Docket stands on, one module each. Only here is the AWS
//! SDK named; its errors are translated where they arise, so that the rest of
//! the crate meets the domain's words alone.

pub mod async_invoke;
pub mod changes;
pub mod documents;
pub mod events;
pub mod jobs;
mod json;
pub mod model;
mod one_attempt;
pub mod part_results;
pub mod queue;
pub mod quota;
mod row_item;
mod update;

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Attempts at the table, the queues and the bucket. The model has one: see
/// [`model`].
const STORE_ATTEMPTS: u32 = 4;
/// Time-out of one attempt at the table or a queue.
const STORE_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Time-out of all attempts of one operation together.
const STORE_TIMEOUT: Duration = Duration::from_millis(3_500);
/// Time-out for a connection to the table, a queue or the bucket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// HTTP for all services, over TLS by rustls on ring.
pub fn http_client() -> SharedHttpClient {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Reads region, credentials and endpoints as every AWS SDK does, with time-outs
/// and retries for the table and the queues.
pub async fn load_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        // It wakes the function ten times a second for each call that waits for its
        // answer; whatever is sent or read here has a time-out of its own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(STORE_ATTEMPTS)
                .with_initial_backoff(Duration::from_millis(100))
                .with_max_backoff(Duration::from_millis(800)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(STORE_ATTEMPT_TIMEOUT)
                .operation_timeout(STORE_TIMEOUT)
                .build(),
        )
        .load()
        .await
}

/// A service did not do what it was asked, and may do it later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} is unavailable: {code}")]
pub struct Unavailable {
    /// The service and operation, such as `dynamodb:UpdateItem`.
    pub service: &'static str,
    /// The service's error code, or what kind of error kept it from answering.
    pub code: String,
}

impl Unavailable {
    /// Whether what was asked for is not there.
    pub fn is_missing(&self) -> bool {
        self.code.starts_with("NoSuch")
    }

    fn new<E: ProvideErrorMetadata, R>(service: &'static str, error: &SdkError<E, R>) -> Self {
        Self { service, code: code_of(error) }
    }
}

/// The service's own error code; otherwise what kept it from answering.
fn code_of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ConstructionFailure(_) => "ConstructionFailure".to_owned(),
        SdkError::TimeoutError(_) => "Timeout".to_owned(),
        SdkError::DispatchFailure(_) => "DispatchFailure".to_owned(),
        SdkError::ResponseError(_) => "UnreadableResponse".to_owned(),
        SdkError::ServiceError(context) => context.err().code().unwrap_or("Unknown").to_owned(),
        _ => "Unknown".to_owned(),
    }
}

#[cfg(test)]
mod refusing_server;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::STORE_RESERVE;

    #[test]
    fn storing_a_result_fits_into_what_is_kept_free_for_it() {
        assert!(STORE_TIMEOUT < STORE_RESERVE);
        assert!(STORE_ATTEMPT_TIMEOUT < STORE_TIMEOUT);
    }
}
