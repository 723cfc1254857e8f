//! Why an attempt did not complete, and what that means for the next one.

use serde::{Deserialize, Serialize};

use crate::domain::limits::FAILURE_MESSAGE_MAX_BYTES;

/// A stable code and a message for people. Neither holds text of the document
/// or of the model's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Snake case, stable: programs may branch on it.
    pub code: String,
    /// One or two sentences that say what to do, at most
    /// [`FAILURE_MESSAGE_MAX_BYTES`] bytes.
    pub message: String,
}

impl Failure {
    /// Makes a failure; a message over the limit is cut at a character.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(FAILURE_MESSAGE_MAX_BYTES));
        Self { code: code.to_owned(), message }
    }

    /// The ending of a job whose charged_attempts are used up.
    pub fn attempts_exhausted(charged_attempts: u32, last: Option<&Failure>) -> Self {
        let last = match last {
            Some(failure) => format!("the last attempt ended with {}: {}", failure.code, failure.message),
            None => "the last attempt ended without a word: it crashed or ran out of time".to_owned(),
        };
        Self::new(codes::ATTEMPTS_EXHAUSTED, format!("{charged_attempts} charged_attempts were charged; {last}"))
    }
}

/// The codes that Docket itself gives. A refusal by Bedrock keeps Bedrock's
/// own code in snake case.
pub mod codes {
    /// The message is not a job: no row could be made of it.
    pub const MALFORMED_MESSAGE: &str = "malformed_message";
    /// As many attempts as allowed were charged.
    pub const ATTEMPTS_EXHAUSTED: &str = "attempts_exhausted";
    /// Nothing to analyse.
    pub const DOCUMENT_EMPTY: &str = "document_empty";
    /// Larger than the model's request takes.
    pub const DOCUMENT_TOO_LARGE: &str = "document_too_large";
    /// The bucket has no such object or version.
    pub const DOCUMENT_NOT_FOUND: &str = "document_not_found";
    /// The function may not read the object.
    pub const DOCUMENT_FORBIDDEN: &str = "document_forbidden";
    /// Neither text nor a file or an image of a type that the model takes.
    pub const DOCUMENT_TYPE_UNKNOWN: &str = "document_type_unknown";
    /// It cannot be read without a password.
    pub const DOCUMENT_ENCRYPTED: &str = "document_encrypted";
    /// The bucket could not be read this time.
    pub const DOCUMENT_UNAVAILABLE: &str = "document_unavailable";
    /// A guardrail or the model's own filter refused.
    pub const GUARDRAIL: &str = "guardrail_intervened";
    /// The answer was cut at maxTokens.
    pub const ANSWER_TRUNCATED: &str = "answer_truncated";
    /// The answer does not fit the schema that was asked for.
    pub const ANSWER_UNFIT: &str = "answer_does_not_fit_schema";
    /// The answer fits, but cannot be stored.
    pub const ANSWER_TOO_LARGE: &str = "answer_too_large";
    /// The analysis that was asked for cannot be asked of a model.
    pub const ANALYSIS_INVALID: &str = "analysis_invalid";
    /// No answer within the model's time-out.
    pub const MODEL_TIMEOUT: &str = "model_timeout";
    /// The model could not be reached, or its answer could not be read.
    pub const MODEL_UNREACHABLE: &str = "model_unreachable";
    /// The job's message leaves no room for what a check must carry.
    pub const MESSAGE_TOO_LARGE: &str = "message_too_large";
    /// A long-running model's invocation came to nothing.
    pub const INVOCATION_FAILED: &str = "invocation_failed";
    /// A long-running model's invocation had no end in time.
    pub const INVOCATION_TIMED_OUT: &str = "invocation_timed_out";
    /// The table or the bucket did not answer.
    pub const STORE_UNAVAILABLE: &str = "store_unavailable";
    /// The invocation had no time left to begin.
    pub const NO_TIME: &str = "no_time_left";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failures_message_is_cut_at_a_character() {
        let failure = Failure::new("x", "é".repeat(FAILURE_MESSAGE_MAX_BYTES));
        assert_eq!(failure.message.len(), FAILURE_MESSAGE_MAX_BYTES);
        assert!(failure.message.chars().all(|c| c == 'é'));
    }
}
