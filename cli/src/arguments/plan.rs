//! The arguments of `docket plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{parse_call_seconds, parse_duration, parse_factor, parse_positive_duration, whole_number};
use crate::plan::{
    BATCH_SIZE_MAX, DEFAULT_MODEL, Intake, Limits, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, Ramp, Workload,
};
use docket::config::DEFAULT_MAX_TOKENS;

pub(super) const AFTER_PLAN: &str = "\
Durations are written as 8s, 60m, 1h30m, 500ms.
Exit codes: 0 the plan meets the deadline, 1 it does not, 2 invalid arguments.

Example:
  docket plan --documents 10000 --seconds 8s --tokens-in 2000 --tokens-out 300 \\
    --tokens-per-minute 600000 --deadline 60m";

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Number of documents
    #[arg(long, value_name = "COUNT", value_parser = whole_number(1, 1_000_000_000))]
    documents: u64,
    /// Duration of a model call, such as 8 or 8s; a batch takes as long as its slowest call
    #[arg(long, value_name = "TIME", value_parser = parse_call_seconds)]
    seconds: f64,
    /// Input tokens of a call: the document, and several hundred tokens of instructions and schema
    #[arg(long, value_name = "TOKENS", value_parser = whole_number(1, 10_000_000))]
    tokens_in: u64,
    /// Output tokens of a call
    #[arg(long, value_name = "TOKENS", value_parser = whole_number(1, 1_000_000))]
    tokens_out: u64,
    /// The model's quota in your account: "InvokeModel tokens per minute" in Service Quotas, Amazon Bedrock
    #[arg(long, value_name = "TOKENS", value_parser = whole_number(1, 1_000_000_000_000))]
    tokens_per_minute: u64,
    /// Time within which all documents must be finished
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    deadline: f64,

    /// Model or inference profile
    #[arg(long, value_name = "ID", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// The stack's MaxTokens, which every call reserves when it begins
    #[arg(long, value_name = "TOKENS", default_value_t = DEFAULT_MAX_TOKENS as u64, value_parser = whole_number(1, 64_000))]
    max_tokens: u64,
    /// Quota tokens that one output token counts [default: the factor of the model]
    #[arg(long, value_name = "FACTOR", value_parser = parse_factor)]
    output_token_factor: Option<f64>,
    /// The model's quota of requests per minute, if it has one
    #[arg(long, value_name = "REQUESTS", value_parser = whole_number(1, 1_000_000_000))]
    requests_per_minute: Option<u64>,
    /// Lambda's quota "Concurrent executions" in your account
    #[arg(long, value_name = "FUNCTIONS", default_value_t = 1_000, value_parser = whole_number(2, 1_000_000))]
    function_concurrency: u64,
    /// Memory of a function, in MB
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = whole_number(128, 10_240))]
    memory_mb: u64,
    /// Fixed BatchSize; by default the plan chooses the cheapest
    #[arg(long, value_name = "DOCUMENTS", value_parser = whole_number(1, BATCH_SIZE_MAX.into()))]
    batch_size: Option<u64>,
    /// Fixed MaximumConcurrency; by default the plan chooses the smallest that meets the deadline
    #[arg(long, value_name = "BATCHES",
        value_parser = whole_number(MAXIMUM_CONCURRENCY_MIN.into(), MAXIMUM_CONCURRENCY_MAX.into()))]
    maximum_concurrency: Option<u64>,
    /// Concurrent batches at the start of the event source mapping; 1000 disables the ramp
    #[arg(long, value_name = "BATCHES", default_value_t = 5, value_parser = whole_number(1, MAXIMUM_CONCURRENCY_MAX.into()))]
    start_concurrency: u64,
    /// Duration of a batch in addition to the model call: claim, fetch, store, next batch
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = parse_duration)]
    overhead: f64,
    /// How the documents are submitted
    #[arg(long, value_enum, default_value = "api")]
    intake: IntakeArgument,
    /// Price table to use instead of the built-in one, in the format of cli/src/plan/prices.json
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IntakeArgument {
    /// POST /jobs
    Api,
    /// SQS messages that contain the text
    Queue,
    /// Objects in the bucket that SQS messages name
    Bucket,
}

impl PlanArguments {
    /// The workload. `model_factor` is the model's output token factor, used without
    /// `--output-token-factor`.
    pub fn workload(&self, model_factor: f64) -> Workload {
        Workload {
            documents: self.documents as f64,
            seconds: self.seconds,
            overhead_seconds: self.overhead,
            tokens_in: self.tokens_in as f64,
            tokens_out: self.tokens_out as f64,
            max_tokens: self.max_tokens as f64,
            output_token_factor: self.output_token_factor.unwrap_or(model_factor),
            intake: match self.intake {
                IntakeArgument::Api => Intake::Api,
                IntakeArgument::Queue => Intake::Queue,
                IntakeArgument::Bucket => Intake::Bucket,
            },
        }
    }

    pub fn limits(&self) -> Limits {
        Limits {
            tokens_per_minute: self.tokens_per_minute as f64,
            requests_per_minute: self.requests_per_minute.map(|requests| requests as f64),
            function_concurrency: self.function_concurrency as u32,
            memory_mb: self.memory_mb as u32,
            deadline_seconds: self.deadline,
            batch_size: self.batch_size.map(|size| size as u32),
            maximum_concurrency: self.maximum_concurrency.map(|concurrency| concurrency as u32),
            ramp: Ramp { start: self.start_concurrency as f64, ..Ramp::AWS },
        }
    }
}
