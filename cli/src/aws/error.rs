//! The errors of this folder, without the SDK's types.

use std::error::Error;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// Codes with which the services refuse a caller that lacks a permission.
const DENIED_CODES: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "Forbidden"];
/// Codes of credentials that AWS does not accept: unknown, expired, or with a wrong signature.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html>
const CREDENTIALS_CODES: [&str; 10] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes after which the same request may succeed. `ConditionalRequestConflict` means that
/// another upload of the same key runs.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
const TRANSIENT_CODES: [&str; 11] = [
    "ConditionalRequestConflict",
    "DispatchFailure",
    "InternalError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "Timeout",
    "UnreadableResponse",
];

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No usable credentials.
    #[error("{0}")]
    Credentials(String),
    /// Another cause.
    #[error("{0}")]
    Other(String),
}

/// A request that AWS refused or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action} failed: {code}: {message}")]
pub struct AwsError {
    /// The action in IAM's spelling, such as `lambda:GetFunctionConfiguration`.
    pub action: &'static str,
    /// The service's error code, or the kind of error that prevented a response.
    pub code: String,
    /// The service's message, or the causes that prevented a response.
    pub message: String,
}

impl AwsError {
    /// Translates the SDK's error.
    pub(super) fn new<E>(action: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let kind = match error {
            SdkError::ConstructionFailure(_) => "ConstructionFailure".to_owned(),
            SdkError::TimeoutError(_) => "Timeout".to_owned(),
            SdkError::DispatchFailure(_) => "DispatchFailure".to_owned(),
            SdkError::ResponseError(_) => "UnreadableResponse".to_owned(),
            // A service that AWS does not offer here, or another server.
            _ => error.raw_response().map_or("Unknown".to_owned(), |raw| format!("HTTP {}", raw.status().as_u16())),
        };
        let message = match (error.message(), error) {
            (Some(message), _) => message.to_owned(),
            (None, SdkError::ServiceError(_)) => "the response has no message".to_owned(),
            (None, _) => join_causes(error),
        };
        Self { action, code: error.code().map_or(kind, str::to_owned), message }
    }

    /// Whether the caller lacks the permission.
    pub fn is_denied(&self) -> bool {
        DENIED_CODES.contains(&self.code.as_str())
    }

    /// Whether the same request may succeed later: no response, throttling, or a failure of
    /// the service.
    pub fn is_transient(&self) -> bool {
        TRANSIENT_CODES.contains(&self.code.as_str()) || self.code.starts_with("HTTP 5")
    }

    /// Whether AWS does not accept the credentials.
    pub fn is_of_credentials(&self) -> bool {
        CREDENTIALS_CODES.contains(&self.code.as_str())
    }
}

/// The causes of an error from the outside to the inside, without repetitions.
pub(super) fn join_causes(error: &(dyn Error + 'static)) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        // Some messages have several lines.
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if !causes.iter().any(|earlier| earlier.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> AwsError {
        AwsError { action: "sqs:SendMessage", code: code.to_owned(), message: "m".to_owned() }
    }

    #[test]
    fn codes_of_permissions_and_credentials_are_distinct() {
        assert!(error("AccessDeniedException").is_denied());
        assert!(!error("AccessDeniedException").is_of_credentials());
        assert!(error("ExpiredToken").is_of_credentials());
        assert!(!error("ExpiredToken").is_denied());
        assert!(DENIED_CODES.iter().all(|code| !CREDENTIALS_CODES.contains(code)));
    }

    #[test]
    fn causes_are_joined_without_repetition() {
        #[derive(Debug, thiserror::Error)]
        #[error("dispatch failure")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("connection refused"));
        assert_eq!(join_causes(&outer), "dispatch failure: connection refused");
    }
}
