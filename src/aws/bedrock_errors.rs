//! The classes of Bedrock's errors, for Converse and for long invocations.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors>

use std::time::Duration;

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};

use super::code_of;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;

/// Classifies an error of Bedrock by its code. A code that is not named here is transient.
///
/// A ConflictException is permanent: this client request token started an invocation with
/// other parameters. The token and the parameters depend on the job alone, so a repeated
/// start would conflict too.
pub(super) fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, timeout: Duration) -> AttemptError {
    let SdkError::ServiceError(context) = error else {
        return AttemptError::Transient(match error {
            SdkError::TimeoutError(_) => {
                Failure::new(codes::MODEL_TIMEOUT, format!("Bedrock did not answer within {} s", timeout.as_secs()))
            }
            other => Failure::new(codes::MODEL_UNREACHABLE, code_of(other)),
        });
    };
    let service = context.err();
    let Some(code) = service.code() else {
        return AttemptError::Transient(Failure::new(codes::MODEL_UNREACHABLE, "Bedrock's answer could not be read"));
    };
    let failure = Failure::new(&snake_case(code), service.message().unwrap_or("no message"));
    match code {
        "ThrottlingException"
        | "ModelNotReadyException"
        | "ServiceUnavailableException"
        | "ServiceQuotaExceededException" => AttemptError::Throttled(failure),
        "ValidationException" | "AccessDeniedException" | "ResourceNotFoundException" | "ConflictException" => {
            AttemptError::Permanent(failure)
        }
        _ => AttemptError::Transient(failure),
    }
}

/// `ThrottlingException` → `throttling_exception`.
fn snake_case(code: &str) -> String {
    let mut snake = String::with_capacity(code.len() + 4);
    for (place, c) in code.chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_code_becomes_snake_case() {
        assert_eq!(snake_case("ValidationException"), "validation_exception");
        assert_eq!(snake_case("Unknown"), "unknown");
    }
}
