//! The configurable behaviour: latency, quota and faults.

use serde::{Deserialize, Serialize};

use crate::invocations::AsyncFault;

/// The body of `PUT /_behaviour`. Every field has a default: `{}` is a model
/// that answers every call at once and has no quota.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// Duration of each call in milliseconds.
    pub latency_ms: u64,
    /// The quota of tokens a minute; 0 is no quota. As in Bedrock, a call reserves
    /// its input tokens and its maxTokens when it starts.
    pub tokens_per_minute: u64,
    /// The quota of requests a minute; 0 is no quota.
    pub requests_per_minute: u64,
    /// Tokens of the quota that one output token counts when a call ends. 0 means 1.
    pub output_token_factor: u64,
    /// Faults in order: the first that matches a call applies to it.
    pub faults: Vec<Fault>,
    /// Seed of the random numbers for the faults' `rate`.
    pub seed: u64,
    /// Duration of each invocation of StartAsyncInvoke in milliseconds.
    pub async_latency_ms: u64,
    /// Faults in order: the first that matches a start, a get or an invocation
    /// applies to it.
    pub async_faults: Vec<AsyncFault>,
}

/// A fault, and the calls to which it applies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: FaultKind,
    /// Only calls of this job.
    #[serde(default)]
    pub job_id: Option<String>,
    /// Only calls of jobs whose id contains this text.
    #[serde(default)]
    pub job_id_contains: Option<String>,
    /// Fraction of the matching calls, 0 to 1, chosen at random.
    #[serde(default = "default_rate")]
    pub rate: f64,
    /// Maximum number of calls.
    #[serde(default)]
    pub times: Option<u64>,
    /// Maximum number of calls of each job.
    #[serde(default)]
    pub times_per_job: Option<u64>,
}

fn default_rate() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 ThrottlingException.
    Throttling,
    /// 429 ModelNotReadyException.
    NotReady,
    /// 503 ServiceUnavailableException.
    Unavailable,
    /// 500 InternalServerException.
    ServerError,
    /// 408 ModelTimeoutException.
    ModelTimeout,
    /// 424 ModelErrorException.
    ModelError,
    /// 400 ValidationException.
    Validation,
    /// 403 AccessDeniedException.
    AccessDenied,
    /// The response never arrives.
    Hang,
    /// 200 with a body that is not JSON.
    Garbage,
    /// 200 with a body that ends too early.
    Truncated,
    /// An answer with stop reason `guardrail_intervened`.
    Guardrail,
    /// An answer with stop reason `max_tokens` and an empty tool input.
    MaxTokens,
    /// As SmolLM2 does: a list whose items repeat until the maximum of tokens cuts the JSON. A
    /// tool call then has an empty input.
    Runaway,
    /// An answer that does not fit the schema.
    Unfit,
    /// Two tool calls: the first has no fields, and the second has the right values in a
    /// wrong JSON form.
    WrongForm,
    /// An answer that fits the schema and exceeds the size of a DynamoDB item.
    Long,
    /// As `long`, with a summary that cannot be compressed.
    LongRandom,
    /// Text instead of a tool call, and instead of JSON.
    NoTool,
    /// An answer that fits the schema, with a confidence of 25 digits.
    InexactNumber,
    /// With evidence: passages that no document has.
    MadeUpQuotes,
    /// With evidence: passages of the document with one digit or word changed.
    ChangedQuotes,
    /// With evidence: genuine passages for changed values.
    MadeUpValues,
    /// With evidence: an answer without passages.
    NoQuotes,
    /// 424 ModelErrorException, as Nova sends it for a broken tool call.
    BrokenToolUse,
    /// An answer with stop reason `malformed_tool_use` and no content.
    MalformedToolUse,
    /// An answer with stop reason `malformed_model_output` and half of an answer.
    MalformedModelOutput,
}
