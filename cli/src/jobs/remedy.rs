//! The remedies for the error codes of failed jobs. docs/reference/error-codes.md also has
//! their causes.

/// The remedy for an error code.
pub(crate) fn remedy(code: &str) -> &'static str {
    match code {
        "document_empty" => "Send the right document.",
        "document_too_large" => {
            "Split the document. If its call is too large, lower ChunkMaxBytes or MaxTokens, or use a model with a \
             larger window."
        }
        "document_not_found" | "document_purged" => "Upload the document again.",
        "upload_expired" => "Create another upload, and send the document before its URL expires.",
        "message_lost" => "Send the request again.",
        "document_forbidden" => "Grant the consumer's role access to the bucket, or restore the object.",
        "document_type_unknown" => "Convert the document to a supported type.",
        "document_type_unsupported" => "Send the type that the message names.",
        "document_damaged" => "Save or export the file again.",
        "document_litter" => "Leave the file out.",
        "model_error_exception" => {
            "Raise `analysis.max_tokens` or the parameter MaxTokens, or set the parameter AnswerMode to `text`."
        }
        "document_encrypted" => "Remove the password.",
        "analysis_invalid" => "Correct the analysis; the message names the field.",
        "guardrail_intervened" => "Review the document or the guardrail.",
        "answer_truncated" => "Raise analysis.max_tokens, or the parameter MaxTokens.",
        "answer_too_large" => "Ask for a shorter answer.",
        "attempts_exhausted"
        | "document_unavailable"
        | "answer_does_not_fit_schema"
        | "model_timeout"
        | "model_unreachable" => "Remove the cause that the message names, then retry the job.",
        "message_too_large" => "Shorten the request, or put the input into a bucket.",
        "invocation_failed" => "Follow Bedrock's message, then retry the job.",
        "invocation_timed_out" => "Look up the invocation by the ARN in the message.",
        "malformed_message" => "Delete the message, and send a corrected one.",
        "document_mismatch" => "Send the message with another job_id.",
        _ => "Follow the message, which is Bedrock's; then retry the job.",
    }
}
