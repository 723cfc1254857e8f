//! The local AWS: the files that `make up` writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::error::ConnectError;
use super::http::sdk_client;

/// The outputs of the local stack, relative to the repository.
const OUTPUTS_FILE: &str = ".local/outputs.env";
/// Names another file of outputs.
const OUTPUTS_VARIABLE: &str = "DOCKET_OUTPUTS";
/// The endpoints and the credentials, next to the outputs.
const ENVIRONMENT_FILE: &str = "functions.env";

/// Variables by their names.
pub(super) type Variables = BTreeMap<String, String>;

/// The local AWS: the outputs of its stack, and the configuration of the SDK.
pub(super) fn read_local() -> Result<(Variables, SdkConfig), ConnectError> {
    let path = std::env::var_os(OUTPUTS_VARIABLE).map_or_else(|| PathBuf::from(OUTPUTS_FILE), PathBuf::from);
    let outputs = read_variables(&path)?;
    let environment = read_variables(&path.with_file_name(ENVIRONMENT_FILE))?;
    let get = |name: &str| environment.get(name).cloned().unwrap_or_default();
    let credentials = Credentials::new(get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"), None, None, "local");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(get("AWS_REGION")))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(Endpoints(environment.clone()))
        .endpoint_url(get("AWS_ENDPOINT_URL"))
        .http_client(sdk_client())
        .build();
    Ok((outputs, sdk))
}

fn read_variables(path: &Path) -> Result<Variables, ConnectError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConnectError::Other(format!(
            "--local: {}: {error}. Run `make up`, in the folder of the repository, or set {OUTPUTS_VARIABLE}",
            path.display()
        ))
    })?;
    let variables = text.lines().filter_map(|line| line.split_once('='));
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// `AWS_ENDPOINT_URL_<SERVICE>` of this process, or else of the local AWS.
///
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
#[derive(Debug)]
struct Endpoints(Variables);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if key.env() != "AWS_ENDPOINT_URL" {
            return None;
        }
        let name = format!("{}_{}", key.env(), key.service_id().to_uppercase().replace(' ', "_"));
        std::env::var(&name).ok().or_else(|| self.0.get(&name).cloned())
    }
}
