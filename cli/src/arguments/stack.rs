//! The arguments of the commands that use a deployed stack.

use std::path::PathBuf;

use clap::Args;

use super::values::parse_positive_duration;
use crate::aws::connect::Target;

pub(super) const AFTER_DOCTOR: &str = "\
Exit codes: 0 no error, 1 at least one error, 2 invalid arguments, 4 no usable credentials.

Example:
  docket doctor --stack docket --region us-east-1 --call";

pub(super) const AFTER_SMOKE: &str = "\
Exit codes: 0 every check passed, 1 a check failed, 2 invalid arguments, 3 time-out, 4 no usable credentials.

Example:
  docket smoke --stack docket --region us-east-1 --timeout 15m";

/// The stack, and the account that has it.
#[derive(Debug, Args)]
pub(crate) struct StackArguments {
    /// Name of the CloudFormation stack
    #[arg(long, value_name = "NAME", default_value = "docket")]
    stack: String,
    /// AWS region [default: AWS_REGION, or the region of the profile]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Profile of the AWS configuration [default: AWS_PROFILE, or the credentials of the environment]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Use the local AWS of `make up`: reads .local/outputs.env, or the file that DOCKET_OUTPUTS names
    #[arg(long, conflicts_with_all = ["stack", "region", "profile"])]
    local: bool,
}

impl StackArguments {
    /// The stack to connect to.
    pub fn target(&self) -> Target {
        Target {
            stack: self.stack.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            is_local: self.local,
            api_url: None,
        }
    }
}

/// The stack, or its API alone.
#[derive(Debug, Args)]
pub(crate) struct ApiArguments {
    #[command(flatten)]
    stack: StackArguments,
    /// Base URL of the API, in place of the stack: the output ApiUrl
    #[arg(long, value_name = "URL", conflicts_with_all = ["stack", "local"])]
    api: Option<String>,
}

impl ApiArguments {
    /// The stack to connect to. An API without `--region` has the region of its URL.
    pub fn target(&self) -> Target {
        let target = self.stack.target();
        let region = target.region.clone().or_else(|| self.api.as_deref().and_then(region_of_url).map(str::to_owned));
        Target { region, api_url: self.api.clone(), ..target }
    }
}

/// The region in `https://{id}.execute-api.{region}.amazonaws.com/…`.
fn region_of_url(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once(".execute-api.")?;
    rest.split_once('.').map(|(region, _)| region)
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub stack: StackArguments,
    /// Also make one small call of the model, which costs a fraction of a cent
    #[arg(long)]
    pub call: bool,
    /// Print JSON: an array of checks
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SmokeArguments {
    #[command(flatten)]
    pub stack: StackArguments,
    /// Keep the objects and the dead letter that the command created
    #[arg(long)]
    pub keep: bool,
    /// Time until every document must be finished
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_positive_duration)]
    pub timeout: f64,
    /// Price table to use instead of the built-in one, in the format of cli/src/plan/prices.json
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_the_api_has_its_region() {
        let url = "https://a1b2.execute-api.eu-central-1.amazonaws.com/v1";
        assert_eq!(region_of_url(url), Some("eu-central-1"));
        assert_eq!(region_of_url("http://127.0.0.1:4566/v1"), None);
    }
}
