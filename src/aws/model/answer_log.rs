//! The log line of an answered call. It has the names of OpenTelemetry's conventions for
//! generative AI next to Docket's own.
//!
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>

use std::time::Duration;

use tracing::info;

use crate::domain::ids::JobId;
use crate::domain::job::stored::Usage;

/// Logs an answered call: the job, the attempt, the model and the kind of call; the largest
/// answer, the tokens, and the reason and time of its end.
pub(super) fn log_answer(
    (job_id, attempt, model_id, call): (&JobId, u32, &str, &str),
    max_tokens: i32,
    usage: Usage,
    (stop_reason, elapsed): (&str, Duration),
) {
    info!(
        job_id = job_id.as_str(),
        attempt,
        call,
        stop_reason,
        model_latency_ms = elapsed.as_millis() as u64,
        input_tokens = usage.input_tokens,
        output_tokens = usage.output_tokens,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "aws.bedrock",
        gen_ai.request.model = model_id,
        gen_ai.request.max_tokens = max_tokens,
        gen_ai.usage.input_tokens = usage.input_tokens,
        gen_ai.usage.output_tokens = usage.output_tokens,
        "model answered"
    );
}
