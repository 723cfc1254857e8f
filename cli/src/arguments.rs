//! The arguments of the command line.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::plan::{
    BATCH_SIZE_MAX, DEFAULT_MODEL, Intake, Limits, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, Ramp, Workload,
};
use docket::config::DEFAULT_MAX_TOKENS;

/// Maximum of a duration: a year.
const MAX_DURATION: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Minimum duration of a call in seconds.
const MIN_CALL_SECONDS: f64 = 0.1;

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "docket", version, about = "The command line of Docket: document analysis with Amazon Bedrock")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Plan a run: calculate its settings, its duration, its cost, and the bound that limits its speed
    ///
    /// The command calls no AWS service. docs/operations/planning.md explains the formulas.
    #[command(after_help = AFTER_PLAN)]
    Plan(PlanArguments),
}

const AFTER_PLAN: &str = "\
Durations are written as 8s, 60m, 1h30m, 500ms.
Exit codes: 0 the plan meets the deadline, 1 it does not, 2 invalid arguments.

Example:
  docket plan --documents 10000 --seconds 8s --tokens-in 2000 --tokens-out 300 \\
    --tokens-per-minute 600000 --deadline 60m";

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
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

fn whole_number(min: u64, max: u64) -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(min..=max)
}

/// A duration in seconds, greater than 0.
fn parse_positive_duration(text: &str) -> Result<f64, String> {
    parse_duration(text)
        .and_then(|seconds| if seconds > 0.0 { Ok(seconds) } else { Err("must be more than 0s".into()) })
}

/// A duration in seconds, 0 or greater.
fn parse_duration(text: &str) -> Result<f64, String> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "must be a duration such as 8s, 60m or 1h30m".to_owned())?;
    if duration.is_negative() || duration > MAX_DURATION {
        return Err("must be between 0s and 8760h".to_owned());
    }
    Ok(duration.as_secs_f64())
}

/// The duration of a call in seconds. A number without a unit is seconds.
fn parse_call_seconds(text: &str) -> Result<f64, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = if is_number { parse_positive_duration(&format!("{text}s")) } else { parse_positive_duration(text) }?;
    if seconds < MIN_CALL_SECONDS { Err("must be 100ms or more".to_owned()) } else { Ok(seconds) }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| "must be a number between 1 and 100".to_owned())
}
