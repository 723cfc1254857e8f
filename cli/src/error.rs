//! Why a command ended early.

use std::path::Path;

use crate::aws::api::ApiError;
use crate::aws::error::{AwsError, ConnectError};
use crate::aws::stack::StackError;
use crate::exit::Exit;

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// There are no credentials, or AWS does not accept them.
    #[error("{0}")]
    Credentials(String),
    /// The arguments do not fit together, or a file that they name is not valid.
    #[error("{0}")]
    Usage(String),
    /// The API does not answer, throttles or fails; a later request may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// A time-out passed.
    #[error("{0}")]
    NotEstablished(String),
    /// The user ended the command.
    #[error("{0}")]
    Interrupted(String),
    /// Another cause.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Credentials(_) => Exit::Credentials,
            Self::Usage(_) => Exit::Usage,
            Self::NotEstablished(_) => Exit::NotEstablished,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Unreachable(_) | Self::Failed(_) => Exit::Failed,
        }
    }

    /// The failure of an operation on a file.
    pub fn of_file(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }
}

impl From<AwsError> for CommandError {
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

impl From<StackError> for CommandError {
    fn from(error: StackError) -> Self {
        match error {
            StackError::Missing { stack, region } => {
                Self::Failed(format!("there is no stack {stack} in {region}: use --stack, --region or --profile"))
            }
            StackError::Aws(error) => error.into(),
        }
    }
}

impl From<ApiError> for CommandError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Credentials(_) => Self::Credentials(error.to_string()),
            ApiError::Request(_) => Self::Unreachable(format!("the API does not answer: {error}")),
        }
    }
}

impl From<ConnectError> for CommandError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Credentials(message) => Self::Credentials(message),
            ConnectError::Other(message) => Self::Failed(message),
        }
    }
}
