//! The clients of AWS, one module for each service or kind of object.
//!
//! Only this module uses the AWS SDK. Each client translates the SDK's errors, so that
//! other modules match small enums and never an SDK error.

pub mod async_invoke;
mod bedrock_client;
mod bedrock_errors;
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
pub mod packed_result;
pub mod presigned_downloads;
pub mod presigned_uploads;
pub mod purge;
pub mod queue;
pub mod quota;
pub mod requeue;
mod s3;
mod update;
pub mod uploaded_objects;

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
use crate::domain::limits::CONNECTION_IDLE_TIMEOUT;

/// Attempts of one operation on DynamoDB, SQS, S3 or EventBridge. A call of Bedrock has
/// one attempt: see [`model`].
const STORE_ATTEMPTS: u32 = 4;
/// Time-out of one attempt. The clients of S3 set other ones.
///
/// Ten cold records with the processor share of 512 MB have their first answers over TLS
/// within 0.1 s, on a local network (`make bench MEASURES=cold`). The margin covers AWS's own latency.
const STORE_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Time-out of all attempts of one operation.
const STORE_TIMEOUT: Duration = Duration::from_millis(3_500);
/// Time-out of a connection. The clients of Bedrock have a longer one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The application name in the SDK's user agent.
///
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html>
const APP_NAME: &str = concat!("docket-", env!("CARGO_PKG_VERSION"));

/// The HTTP client of all services, with TLS by rustls on ring.
pub fn http_client() -> SharedHttpClient {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(CONNECTION_IDLE_TIMEOUT)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// As [`http_client`], but each request has a new connection.
fn http_client_without_pool() -> SharedHttpClient {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    aws_smithy_http_client::Builder::new()
        .pool_max_idle_per_host(0)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The region and the endpoints of the services, from a function's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsConfig {
    /// `AWS_REGION`, which Lambda sets.
    pub region: String,
    /// `AWS_ENDPOINT_URL`: the URL of every service without a separate one.
    pub endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_<SERVICE>`: separate URLs, by the names of [`AWS_SERVICES`].
    pub endpoint_urls: HashMap<&'static str, String>,
    /// `AWS_USE_FIPS_ENDPOINT`: use endpoints with cryptography that is validated under
    /// [FIPS 140](https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html).
    pub use_fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT`: use endpoints for IPv4 and IPv6.
    pub use_dual_stack: bool,
}

/// The services whose endpoints a function's environment may set, with the
/// [names in their variables](https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
pub const AWS_SERVICES: [&str; 5] = ["BEDROCK_RUNTIME", "DYNAMODB", "EVENTBRIDGE", "S3", "SQS"];

/// The common settings of all clients: region, endpoints, time-outs and retries.
///
/// Credentials come from the environment variables that
/// [Lambda sets](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
/// The SDK's other sources, such as profiles and instance metadata, would add 0.3 MB to
/// each package.
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
        // The SDK compares the date of a response with the middle of the call. A slow
        // response may carry the date of its end. The SDK would then shift the clock of the
        // next signature by half of the call's duration.
        .disable_clock_skew_correction(true)
        // The protection would wake the function ten times a second for each call in
        // flight. Every operation here has a time-out.
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

/// The endpoints of `AWS_ENDPOINT_URL_<SERVICE>`. The SDK asks for other settings of a
/// service too and receives none.
#[derive(Debug)]
struct ServiceEndpoints(HashMap<&'static str, String>);

impl LoadServiceConfig for ServiceEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        self.0.get(service.as_str()).filter(|_| key.env() == "AWS_ENDPOINT_URL").cloned()
    }
}

/// A client of DynamoDB with the common settings.
fn dynamodb(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(config)
}

/// A service did not execute an operation, or did not answer. A later attempt may succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} is unavailable: {code}")]
pub struct Unavailable {
    /// The service and operation, such as `dynamodb:UpdateItem`.
    pub service: &'static str,
    /// The service's error code, or the kind of error that prevented a response.
    pub code: String,
}

impl Unavailable {
    /// Whether S3 has no such object, version or bucket.
    pub fn is_missing(&self) -> bool {
        self.code.starts_with("NoSuch")
    }

    /// The operation and the code, such as `s3:PutObject/AccessDenied`, for the log, the
    /// metrics and the stored job.
    pub fn cause(&self) -> String {
        format!("{}/{}", self.service, self.code)
    }

    /// Whether the service refused the operation, so that a repetition is refused too until
    /// somebody mends the cause: a missing right, a key of KMS that may not be used, or a
    /// missing bucket.
    pub fn is_refusal(&self) -> bool {
        let code = self.code.as_str();
        matches!(
            code,
            "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "AccountProblem" | "NoSuchBucket"
        ) || code.starts_with("KMS.")
            || code.starts_with("Kms")
    }

    fn new<E: ProvideErrorMetadata, R>(service: &'static str, error: &SdkError<E, R>) -> Self {
        Self { service, code: code_of(error) }
    }
}

/// A store that is unavailable is no fault of the document, so the attempt is not charged.
impl From<Unavailable> for AttemptError {
    fn from(error: Unavailable) -> Self {
        Self::StoreUnavailable(Failure::new(codes::STORE_UNAVAILABLE, error.cause()))
    }
}

/// The service's error code, or the kind of error that prevented a response.
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
    async fn endpoint_of_a_service_precedes_the_common_endpoint() {
        let server = refusing_server::RefusingServer::start().await;
        let own = AWS_SERVICES.map(|service| (service, format!("{}/{service}", server.url)));
        let config = server.config.clone().into_builder().endpoint_url("http://127.0.0.1:1");
        let config = config.service_config(ServiceEndpoints(own.into())).build();
        let model = aws_sdk_bedrockruntime::Client::new(&config);
        model.converse().model_id("a-model").send().await.expect_err("the server rejects every request");
        dynamodb(&config).list_tables().send().await.expect_err("the server rejects every request");
        aws_sdk_eventbridge::Client::new(&config)
            .list_rules()
            .send()
            .await
            .expect_err("the server rejects every request");
        aws_sdk_s3::Client::new(&config).list_buckets().send().await.expect_err("the server rejects every request");
        aws_sdk_sqs::Client::new(&config).list_queues().send().await.expect_err("the server rejects every request");
        let called = AWS_SERVICES.map(|_| server.next_request().uri.path().split('/').nth(1).map(str::to_owned));
        assert_eq!(called, AWS_SERVICES.map(|service| Some(service.to_owned())));
    }

    #[test]
    fn store_timeouts_fit_into_the_store_reserve() {
        assert!(STORE_TIMEOUT < STORE_RESERVE);
        assert!(STORE_ATTEMPT_TIMEOUT < STORE_TIMEOUT);
    }
}
