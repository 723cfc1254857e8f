//! The classes of Bedrock's errors, for Converse and for long invocations.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors>

use std::time::Duration;

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};

use super::code_of;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::account_fault::{find_account_fault, is_document_fault};
use crate::domain::job::ending::AttemptError;

/// Classifies an error of Bedrock by its code, and by its message where the code is not
/// enough. A code that is not named here is [`AttemptError::NoAnswer`].
///
/// A ConflictException is permanent: this client request token started an invocation with
/// other parameters. The token and the parameters depend on the job alone, so a repeated
/// start would conflict too.
pub(super) fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, timeout: Duration) -> AttemptError {
    let SdkError::ServiceError(context) = error else {
        return AttemptError::NoAnswer(match error {
            SdkError::TimeoutError(_) => {
                Failure::new(codes::MODEL_TIMEOUT, format!("Bedrock did not answer within {} s", timeout.as_secs()))
            }
            other => Failure::new(codes::MODEL_UNREACHABLE, code_of(other)),
        });
    };
    let service = context.err();
    let Some(code) = service.code() else {
        return AttemptError::NoAnswer(Failure::new(codes::MODEL_UNREACHABLE, "Bedrock's answer could not be read"));
    };
    classify_code(code, service.message().unwrap_or("no message"))
}

fn classify_code(code: &str, message: &str) -> AttemptError {
    let snake = snake_case(code);
    if let Some(fault) = find_account_fault(code, message) {
        return AttemptError::AccountFault(Failure::new(&snake, format!("{message} — remedy: {}", fault.remedy)));
    }
    let failure = Failure::new(&snake, message);
    match code {
        "ThrottlingException"
        | "ModelNotReadyException"
        | "ServiceUnavailableException"
        | "ServiceQuotaExceededException" => AttemptError::Throttled(failure),
        "ConflictException" => AttemptError::Permanent(failure),
        "ValidationException" if is_document_fault(code, message) => AttemptError::Permanent(failure),
        "ValidationException" => AttemptError::Refused(failure),
        _ => AttemptError::NoAnswer(failure),
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
    fn fault_of_the_account_names_its_remedy() {
        let AttemptError::AccountFault(failure) = classify_code("AccessDeniedException", "not you") else {
            panic!("an account fault");
        };
        assert_eq!(failure.code, "access_denied_exception");
        assert!(failure.message.starts_with("not you — remedy: grant "), "{}", failure.message);
    }

    #[test]
    fn each_code_has_its_class() {
        let class = |code, message| match classify_code(code, message) {
            AttemptError::AccountFault(_) => "account fault",
            AttemptError::Permanent(_) => "permanent",
            AttemptError::Refused(_) => "refused",
            AttemptError::NoAnswer(_) => "no answer",
            AttemptError::Throttled(_) => "throttled",
            other => panic!("{other:?}"),
        };
        assert_eq!(class("ThrottlingException", "Too many requests"), "throttled");
        assert_eq!(class("ThrottlingException", "Too many tokens per day, please wait"), "account fault");
        assert_eq!(class("ValidationException", "Input is too long for requested model."), "permanent");
        assert_eq!(class("ValidationException", "something new"), "refused");
        assert_eq!(class("InternalServerException", "x"), "no answer");
        assert_eq!(class("ANewException", "x"), "no answer");
    }

    #[test]
    fn error_code_becomes_snake_case() {
        assert_eq!(snake_case("ValidationException"), "validation_exception");
        assert_eq!(snake_case("Unknown"), "unknown");
    }
}
