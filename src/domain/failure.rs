//! The reason why an attempt did not complete: a stable code and a message.

use serde::{Deserialize, Serialize};

use crate::domain::limits::FAILURE_MESSAGE_MAX_BYTES;

/// The reason why an attempt did not complete.
///
/// Docket puts no text of the document or of the model's answer into a failure. The
/// message of a Bedrock error is stored as Bedrock wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code in snake case: one of [`codes`], or Bedrock's code. Programs may
    /// branch on the code.
    pub code: String,
    /// The cause and the remedy for people, in at most
    /// [`FAILURE_MESSAGE_MAX_BYTES`] bytes.
    pub message: String,
}

impl Failure {
    /// Makes a failure. A longer message is cut before the character that exceeds
    /// [`FAILURE_MESSAGE_MAX_BYTES`].
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(FAILURE_MESSAGE_MAX_BYTES));
        Self { code: code.to_owned(), message }
    }

    /// The failure of a job with `charged_attempts` charged attempts and none left.
    ///
    /// `last` is the failure of the last attempt; `None` when its lease expired.
    pub fn attempts_exhausted(charged_attempts: u32, last: Option<&Failure>) -> Self {
        let last = match last {
            Some(failure) => format!("the last attempt ended with {}: {}", failure.code, failure.message),
            None => "the document crashed the worker, or ran out of its time, although it ran alone".to_owned(),
        };
        Self::new(
            codes::ATTEMPTS_EXHAUSTED,
            format!("no attempts are left after {charged_attempts} charged attempts; {last}"),
        )
    }
}

/// The codes of failures that Docket detects. An error of Bedrock has Bedrock's code
/// in snake case.
pub mod codes {
    /// Declares the codes, and lists them all.
    macro_rules! codes {
        ($($(#[$docs:meta])* $name:ident = $code:literal;)*) => {
            $($(#[$docs])* pub const $name: &str = $code;)*

            /// Every code.
            pub const ALL: &[&str] = &[$($name),*];
        };
    }

    codes! {
        /// No job can be read from the message.
        MALFORMED_MESSAGE = "malformed_message";
        /// The message names another document than the stored job with its id.
        DOCUMENT_MISMATCH = "document_mismatch";
        /// The job used all its charged attempts.
        ATTEMPTS_EXHAUSTED = "attempts_exhausted";
        /// The document has no bytes, or only white space and invisible characters.
        DOCUMENT_EMPTY = "document_empty";
        /// The document exceeds a limit of Docket, of the model or of the model's quota.
        DOCUMENT_TOO_LARGE = "document_too_large";
        /// The bucket has no such object or version.
        DOCUMENT_NOT_FOUND = "document_not_found";
        /// The document was purged with another job that had the same object.
        DOCUMENT_PURGED = "document_purged";
        /// The function may not read the object.
        DOCUMENT_FORBIDDEN = "document_forbidden";
        /// The document is neither text nor a supported file or image.
        DOCUMENT_TYPE_UNKNOWN = "document_type_unknown";
        /// The type of the document is known, and no model and no reader of Docket reads it.
        DOCUMENT_TYPE_UNSUPPORTED = "document_type_unsupported";
        /// The document is damaged or incomplete.
        DOCUMENT_DAMAGED = "document_damaged";
        /// The file belongs to a system or an application, and nobody wrote it.
        DOCUMENT_LITTER = "document_litter";
        /// The document cannot be read without a password.
        DOCUMENT_ENCRYPTED = "document_encrypted";
        /// The bucket did not deliver the document in this attempt.
        DOCUMENT_UNAVAILABLE = "document_unavailable";
        /// A guardrail or the model's filter refused the document.
        GUARDRAIL = "guardrail_intervened";
        /// The answer was cut at the maximum of output tokens.
        ANSWER_TRUNCATED = "answer_truncated";
        /// The answer does not fit the analysis' schema, or the model did not call the tool.
        ANSWER_UNFIT = "answer_does_not_fit_schema";
        /// The answer cannot be stored.
        ANSWER_TOO_LARGE = "answer_too_large";
        /// The job's or the batch's analysis cannot be sent to a model.
        ANALYSIS_INVALID = "analysis_invalid";
        /// The model did not answer within its time-out.
        MODEL_TIMEOUT = "model_timeout";
        /// The model could not be reached, or its answer could not be read.
        MODEL_UNREACHABLE = "model_unreachable";
        /// The job's message leaves no space for the attribute of a poll.
        MESSAGE_TOO_LARGE = "message_too_large";
        /// Bedrock reports that an async invocation failed.
        INVOCATION_FAILED = "invocation_failed";
        /// An async invocation did not end within the longest allowed time.
        INVOCATION_TIMED_OUT = "invocation_timed_out";
        /// The job's batch is paused.
        BATCH_PAUSED = "batch_paused";
        /// The job's batch was cancelled.
        BATCH_CANCELLED = "batch_cancelled";
        /// No document arrived at the presigned URL of an upload.
        UPLOAD_EXPIRED = "upload_expired";
        /// The job's message is lost, and its document is not in the bucket.
        MESSAGE_LOST = "message_lost";
        /// DynamoDB, SQS or S3 did not answer.
        STORE_UNAVAILABLE = "store_unavailable";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_failure_message_is_cut_at_character() {
        let failure = Failure::new("x", "é".repeat(FAILURE_MESSAGE_MAX_BYTES));
        assert_eq!(failure.message.len(), FAILURE_MESSAGE_MAX_BYTES);
        assert!(failure.message.chars().all(|c| c == 'é'));
    }
}
