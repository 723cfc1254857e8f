//! The services that Docket stands on, one module each. Only here is the AWS
//! SDK named; its errors are translated where they arise, so that the rest of
//! the crate meets the domain's words alone.

pub mod async_invoke;
mod bedrock_client;
pub mod changes;
pub mod chunk_results;
pub mod documents;
pub mod events;
mod job_item;
pub mod jobs;
mod json;
pub mod json_objects;
pub mod model;
pub mod output_objects;
pub mod presigned_uploads;
pub mod queue;
pub mod quota;
mod s3;
mod update;

use std::collections::HashMap;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::{SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_types::app_name::AppName;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;

/// Attempts at the table, the queues and the bucket. The model has one: see
/// [`model`].
const STORE_ATTEMPTS: u32 = 4;
/// Time-out of one attempt at the table or a queue.
const STORE_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Time-out of all attempts of one operation together.
const STORE_TIMEOUT: Duration = Duration::from_millis(3_500);
/// Time-out for a connection to the table, a queue or the bucket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the SDK's user agent names this application:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html>.
const APP_NAME: &str = concat!("docket-", env!("CARGO_PKG_VERSION"));

/// HTTP for all services, over TLS by rustls on ring.
pub fn http_client() -> SharedHttpClient {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Where the services are, as the environment of a function tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsConfig {
    /// `AWS_REGION`, which Lambda sets.
    pub region: String,
    /// `AWS_ENDPOINT_URL`: of each service that has none of its own.
    pub endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_<SERVICE>`: one of [`AWS_SERVICES`], and its URL.
    pub endpoint_urls: HashMap<&'static str, String>,
    /// `AWS_USE_FIPS_ENDPOINT`: endpoints whose cryptography is validated by
    /// [FIPS 140](https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html).
    pub use_fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT`: endpoints of IPv4 and IPv6.
    pub use_dual_stack: bool,
}

/// The services that a function may be told the endpoints of, as their variables
/// [spell them](https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
pub const AWS_SERVICES: [&str; 5] = ["BEDROCK_RUNTIME", "DYNAMODB", "EVENTBRIDGE", "S3", "SQS"];

/// What all clients have in common: region and endpoints, time-outs and retries for
/// the table and the queues, and credentials from the environment, as
/// [Lambda gives them](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)
/// to these functions. What else the SDK could ask, from a profile to an
/// instance's metadata, would be 0.3 MB of each package.
pub fn sdk_config(config: AwsConfig) -> SdkConfig {
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .service_config(ServiceEndpoints(config.endpoint_urls))
        .use_fips(config.use_fips)
        .use_dual_stack(config.use_dual_stack)
        .http_client(http_client())
        .app_name(AppName::new(APP_NAME).expect("the name has allowed characters only"))
        // By the date of an answer, which may be of its end, the SDK takes half of what
        // the answer took for an error of the clock, and signs the next request so.
        .disable_clock_skew_correction(true)
        // The SDK's would wake the function ten times a second for each call that waits
        // for its answer; whatever is sent or read here has a time-out of its own.
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
        );
    sdk.set_endpoint_url(config.endpoint_url);
    sdk.build()
}

/// `AWS_ENDPOINT_URL_<SERVICE>`: of what the SDK takes for one service, all that is
/// passed on.
#[derive(Debug)]
struct ServiceEndpoints(HashMap<&'static str, String>);

impl LoadServiceConfig for ServiceEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        self.0.get(service.as_str()).filter(|_| key.env() == "AWS_ENDPOINT_URL").cloned()
    }
}

/// A client of DynamoDB.
fn dynamodb(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(config)
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

/// The document is not to blame for a store, so the attempt is not charged.
impl From<Unavailable> for AttemptError {
    fn from(error: Unavailable) -> Self {
        Self::StoreUnavailable(Failure::new(codes::STORE_UNAVAILABLE, error.to_string()))
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

    #[tokio::test]
    async fn each_service_is_asked_at_its_own_endpoint_before_that_of_all() {
        let server = refusing_server::RefusingServer::start().await;
        let own = AWS_SERVICES.map(|service| (service, format!("{}/{service}", server.url)));
        let config = server.config.clone().into_builder().endpoint_url("http://127.0.0.1:1");
        let config = config.service_config(ServiceEndpoints(own.into())).build();
        let model = aws_sdk_bedrockruntime::Client::new(&config);
        model.converse().model_id("a-model").send().await.expect_err("the server refuses it");
        dynamodb(&config).list_tables().send().await.expect_err("the server refuses it");
        aws_sdk_eventbridge::Client::new(&config).list_rules().send().await.expect_err("the server refuses it");
        aws_sdk_s3::Client::new(&config).list_buckets().send().await.expect_err("the server refuses it");
        aws_sdk_sqs::Client::new(&config).list_queues().send().await.expect_err("the server refuses it");
        let asked = AWS_SERVICES.map(|_| server.next_request().uri.path().split('/').nth(1).map(str::to_owned));
        assert_eq!(asked, AWS_SERVICES.map(|service| Some(service.to_owned())));
    }

    #[test]
    fn storing_a_result_fits_into_what_is_kept_free_for_it() {
        assert!(STORE_TIMEOUT < STORE_RESERVE);
        assert!(STORE_ATTEMPT_TIMEOUT < STORE_TIMEOUT);
    }
}
