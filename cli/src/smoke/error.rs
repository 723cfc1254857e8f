//! Why a run ended early.

use crate::aws::api::ApiError;
use crate::aws::error::{AwsError, ConnectError};
use crate::exit::Exit;

/// Why a run has no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SmokeError {
    /// There are no credentials, or AWS does not accept them.
    #[error("{0}")]
    Credentials(String),
    /// Another cause.
    #[error("{0}")]
    Failed(String),
}

impl SmokeError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Credentials(_) => Exit::Credentials,
            Self::Failed(_) => Exit::Failed,
        }
    }
}

impl From<AwsError> for SmokeError {
    fn from(error: AwsError) -> Self {
        if error.is_of_credentials() {
            Self::Credentials(format!("AWS does not accept the credentials: {error}: renew them, or use --profile"))
        } else if error.is_denied() {
            Self::Failed(format!("{error}: allow {} for this caller", error.action))
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl From<ApiError> for SmokeError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Credentials(_) => Self::Credentials(error.to_string()),
            ApiError::Request(_) => Self::Failed(format!("the API does not answer: {error}")),
        }
    }
}

impl From<ConnectError> for SmokeError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Credentials(message) => Self::Credentials(message),
            ConnectError::Other(message) => Self::Failed(message),
        }
    }
}
