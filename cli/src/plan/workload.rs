//! The workload that the user plans, and the limits of the run.

use serde::Serialize;

use super::ramp::Ramp;

/// How documents are submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intake {
    /// `POST /jobs`.
    Api,
    /// SQS messages that contain the text.
    Queue,
    /// Objects in the stack's bucket that SQS messages name.
    Bucket,
}

/// The documents of the run, all with the same duration and tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workload {
    /// Number of documents.
    pub documents: f64,
    /// Seconds of one model call.
    pub seconds: f64,
    /// Seconds of a batch in addition to the model call: claim, fetch, store, next batch.
    pub overhead_seconds: f64,
    /// Input tokens of a call: the document, the instructions and the schema.
    pub tokens_in: f64,
    /// Output tokens of a call.
    pub tokens_out: f64,
    /// `maxTokens` of a call.
    pub max_tokens: f64,
    /// Quota tokens that one output token counts.
    pub output_token_factor: f64,
    /// How the documents are submitted.
    pub intake: Intake,
}

impl Workload {
    /// Seconds of a batch of any size: its documents wait for the model concurrently.
    pub(super) fn batch_seconds(&self) -> f64 {
        self.seconds + self.overhead_seconds
    }
}

/// The quotas, the deadline, and the settings that the user fixed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limits {
    /// The model's quota of tokens per minute.
    pub tokens_per_minute: f64,
    /// The model's quota of requests per minute, if it has one.
    pub requests_per_minute: Option<f64>,
    /// Lambda's quota of concurrent executions in the account.
    pub function_concurrency: u32,
    /// Memory of the function, in MB.
    pub memory_mb: u32,
    /// Seconds from the first message until all documents must be finished.
    pub deadline_seconds: f64,
    /// `BatchSize`, if the user fixed it.
    pub batch_size: Option<u32>,
    /// `MaximumConcurrency`, if the user fixed it.
    pub maximum_concurrency: Option<u32>,
    /// The ramp of the event source mapping.
    #[serde(skip)]
    pub ramp: Ramp,
}
