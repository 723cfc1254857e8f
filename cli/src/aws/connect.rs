//! The connection to an account: region, credentials, and whether the account is local.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{AppName, ProvideCredentials};

use super::error::{ConnectError, join_causes};
use super::http::sdk_client;
use super::local::{Variables, read_local};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of one attempt. A call of the model has the longest responses.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// The application name in the SDK's user agent.
///
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html>
const APP_NAME: &str = concat!("docket-cli-", env!("CARGO_PKG_VERSION"));

/// The stack that the caller named.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name of the CloudFormation stack.
    pub stack: String,
    /// The region; `None` takes that of the environment or of the profile.
    pub region: Option<String>,
    /// The profile; `None` takes the SDK's whole credential chain.
    pub profile: Option<String>,
    /// Whether the stack is deployed on the local AWS.
    pub is_local: bool,
    /// The base URL of the API, in place of the stack's outputs.
    pub api_url: Option<String>,
}

/// An account and a region, with credentials.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) sdk: SdkConfig,
    /// The outputs of the local stack; `None` for an AWS account.
    pub(super) local_outputs: Option<Variables>,
    /// The name of the stack.
    pub stack: String,
}

impl Connection {
    /// Whether the account is the local AWS.
    pub fn is_local(&self) -> bool {
        self.local_outputs.is_some()
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.sdk.region().map_or("", AsRef::as_ref)
    }
}

/// Finds region and credentials. It sends no request to the stack.
///
/// # Errors
/// No region, no credentials, or no files of the local AWS.
pub async fn connect(target: &Target) -> Result<Connection, ConnectError> {
    if target.is_local {
        let (outputs, sdk) = read_local()?;
        return Ok(Connection { sdk, local_outputs: Some(outputs), stack: target.stack.clone() });
    }
    let sdk = load_config(target).await;
    if sdk.region().is_none() {
        let remedy = "use --region, or set AWS_REGION, or set a region in the profile";
        return Err(ConnectError::Other(format!("no AWS region is configured: {remedy}")));
    }
    check_credentials(&sdk).await?;
    Ok(Connection { sdk, local_outputs: None, stack: target.stack.clone() })
}

async fn load_config(target: &Target) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(sdk_client())
        .timeout_config(timeouts.build())
        .app_name(AppName::new(APP_NAME).expect("the name has allowed characters only"));
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let Some(profile) = &target.profile else { return loader.load().await };
    // With a named profile, the chain would still prefer credentials in the environment.
    let sdk = loader.profile_name(profile).load().await;
    let provider = ProviderConfig::without_region().with_region(sdk.region().cloned()).with_http_client(sdk_client());
    let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&provider).build();
    sdk.into_builder().credentials_provider(aws_sdk_sqs::config::SharedCredentialsProvider::new(credentials)).build()
}

async fn check_credentials(sdk: &SdkConfig) -> Result<(), ConnectError> {
    let remedy = "run `aws configure`, `aws sso login` or `aws login`, set AWS_ACCESS_KEY_ID and \
                  AWS_SECRET_ACCESS_KEY, or use --profile";
    let Some(provider) = sdk.credentials_provider() else {
        return Err(ConnectError::Credentials(format!("no AWS credentials are configured: {remedy}")));
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => {
            let causes = join_causes(&error);
            Err(ConnectError::Credentials(format!("no AWS credentials were found ({causes}): {remedy}")))
        }
    }
}
