//! The errors of Bedrock that every document would meet, and those that only one document
//! meets.
//!
//! Bedrock has few codes, so the message distinguishes some faults. The texts are those
//! that AWS documents, or that users of Bedrock report. An error in neither table is
//! judged by evidence: see `consumer::gate`.

/// One fault of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFault {
    /// Bedrock's error code; `""` matches every code.
    pub code: &'static str,
    /// A part of the message, in lower case; `""` matches every message.
    pub message_part: &'static str,
    /// The next step of the operator.
    pub remedy: &'static str,
    /// Where AWS or its users describe the error.
    pub source: &'static str,
}

const CONVERSE_ERRORS: &str =
    "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors";
const MODEL_ACCESS: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html";
const MODEL_LIFECYCLE: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html";
const INFERENCE_PROFILES: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html";
const TROUBLESHOOTING: &str =
    "https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html";
const COMMON_ERRORS: &str = "https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html";
const MODEL_FEATURES: &str =
    "https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html";
const SERVICE_TIERS: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html";

/// The faults of the account, the more specific before the general.
pub const ACCOUNT_FAULTS: &[AccountFault] = &[
    AccountFault {
        code: "AccessDeniedException",
        message_part: "aws-marketplace",
        remedy: "subscribe the account to the model once with a role that may use AWS Marketplace",
        source: MODEL_ACCESS,
    },
    AccountFault {
        code: "AccessDeniedException",
        message_part: "",
        remedy: "grant the account access to the model, and the consumer's role the right to call it",
        source: TROUBLESHOOTING,
    },
    AccountFault {
        code: "ResourceNotFoundException",
        message_part: "use case",
        remedy: "submit the provider's use-case form once for the account",
        source: MODEL_ACCESS,
    },
    AccountFault {
        code: "ResourceNotFoundException",
        message_part: "end of its life",
        remedy: "choose a current model",
        source: MODEL_LIFECYCLE,
    },
    AccountFault {
        code: "ResourceNotFoundException",
        message_part: "",
        remedy: "check the model id, its region and its lifecycle",
        source: CONVERSE_ERRORS,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "model identifier is invalid",
        remedy: "check the model id and its region",
        source: TROUBLESHOOTING,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "end of its life",
        remedy: "choose a current model",
        source: MODEL_LIFECYCLE,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "on-demand throughput isn",
        remedy: "name an inference profile in place of the model, such as `eu.` and the model id",
        source: INFERENCE_PROFILES,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "operation not allowed",
        remedy: "ask AWS Support to enable Bedrock for the account",
        source: MODEL_ACCESS,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "service tier",
        remedy: "choose a service tier that the model supports",
        source: SERVICE_TIERS,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "support tool use",
        remedy: "choose a model with tool use, or set the parameter AnswerMode",
        source: MODEL_FEATURES,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "toolchoice",
        remedy: "set the parameter AnswerMode to a mode that the model supports",
        source: MODEL_FEATURES,
    },
    AccountFault {
        code: "ValidationException",
        message_part: "tool_choice",
        remedy: "set the parameter AnswerMode to a mode that the model supports",
        source: MODEL_FEATURES,
    },
    AccountFault {
        code: "ThrottlingException",
        message_part: "per day",
        remedy: "wait for the next day, or ask for a higher daily quota",
        source: "https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html",
    },
    AccountFault {
        code: "ExpiredTokenException",
        message_part: "",
        remedy: "the credentials expired; new ones are fetched by the next environment",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "ExpiredToken",
        message_part: "",
        remedy: "the credentials expired; new ones are fetched by the next environment",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "UnrecognizedClientException",
        message_part: "",
        remedy: "check the credentials of the function and the region's opt-in",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "InvalidClientTokenId",
        message_part: "",
        remedy: "check the credentials of the function and the region's opt-in",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "InvalidSignatureException",
        message_part: "",
        remedy: "check the clock and the credentials of the function",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "IncompleteSignature",
        message_part: "",
        remedy: "check the credentials of the function",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "MissingAuthenticationToken",
        message_part: "",
        remedy: "check the credentials of the function",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "NotAuthorized",
        message_part: "",
        remedy: "grant the consumer's role the right to call the model",
        source: COMMON_ERRORS,
    },
    AccountFault {
        code: "OptInRequired",
        message_part: "",
        remedy: "enable the region or the service for the account",
        source: COMMON_ERRORS,
    },
];

/// Parts of the messages of a ValidationException that is the fault of its document, in
/// lower case. Such an error fails its document at once.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html>
pub const DOCUMENT_FAULTS: &[&str] = &[
    "input is too long",
    "prompt is too long",
    "too many input tokens",
    "input tokens exceed",
    "exceeds the maximum number of tokens",
    "maximum context length",
    "could not process document",
    "could not process image",
    "could not process the document",
    "unable to process document",
    "document is corrupt",
    "file is corrupt",
    "pdf specified was not valid",
    "pdf is password protected",
    "pdf cannot be password protected",
    "pdf pages",
    "image dimensions exceed",
    "image exceeds",
    "failed to extract text",
];

/// The fault of the account that an error of Bedrock shows, if its table names it.
pub fn find_account_fault(code: &str, message: &str) -> Option<&'static AccountFault> {
    let message = message.to_lowercase();
    if is_document_fault(code, &message) {
        return None;
    }
    ACCOUNT_FAULTS
        .iter()
        .find(|fault| (fault.code.is_empty() || fault.code == code) && message.contains(fault.message_part))
}

/// Whether an error of Bedrock is the fault of the document of its call.
pub fn is_document_fault(code: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    code == "ValidationException" && DOCUMENT_FAULTS.iter().any(|part| message.contains(part))
}

/// A message without its numbers, quoted parts and identifiers, so that errors of different
/// documents can be compared.
pub fn normalised_message(message: &str) -> String {
    let words = message.split_whitespace().filter(|word| !word.bytes().any(|byte| byte.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_errors_are_account_faults() {
        for (code, message) in [
            ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
            (
                "AccessDeniedException",
                "Model access is denied due to IAM user or service role is not authorized to perform the required AWS \
                 Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe)",
            ),
            ("ResourceNotFoundException", "Model use case details have not been submitted for this account."),
            ("ResourceNotFoundException", "This model version has reached the end of its life."),
            ("ValidationException", "The provided model identifier is invalid."),
            (
                "ValidationException",
                "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u{2019}t supported.",
            ),
            ("ValidationException", "Operation not allowed"),
            ("ValidationException", "This model doesn't support tool use."),
            ("ValidationException", "This model doesn't support the toolConfig.toolChoice.tool field."),
            ("ThrottlingException", "Too many tokens per day, please wait before trying again."),
            ("ExpiredTokenException", "The security token included in the request is expired"),
        ] {
            let fault = find_account_fault(code, message).unwrap_or_else(|| panic!("{code}: {message}"));
            assert!(!fault.remedy.is_empty() && fault.source.starts_with("https://"));
        }
    }

    #[test]
    fn errors_of_one_document_are_no_account_faults() {
        for (code, message) in [
            ("ThrottlingException", "Too many tokens, please wait before trying again."),
            ("ValidationException", "Input is too long for requested model."),
            ("ValidationException", "The PDF specified was not valid."),
            ("ValidationException", "a reason that nobody has described"),
            ("ModelErrorException", "The system encountered an unexpected error during processing."),
        ] {
            assert_eq!(find_account_fault(code, message), None, "{code}: {message}");
        }
        assert!(is_document_fault("ValidationException", "Input is too long for requested model."));
        assert!(!is_document_fault("AccessDeniedException", "Input is too long"));
    }

    #[test]
    fn messages_of_different_documents_are_equal_without_numbers() {
        let one = normalised_message("The request  contains 17 fields in messages.0.content");
        assert_eq!(one, normalised_message("The request contains 4 fields in messages.3.content"));
    }
}
