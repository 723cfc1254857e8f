//! What the command line takes.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::plan::{
    BATCH_SIZE_MAX, DEFAULT_MODEL, Intake, Limits, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, Ramp, Workload,
};
use docket::config::DEFAULT_MAX_TOKENS;

/// Longest duration that a flag takes: a year.
const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);
/// No model answers sooner, in seconds.
const SHORTEST_CALL: f64 = 0.1;

/// Docket at the terminal.
#[derive(Debug, Parser)]
#[command(name = "docket", version, about = "Docket at the terminal: document analysis with Amazon Bedrock")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Plan a run: what bounds its speed, what to set, how long it takes, what it costs
    ///
    /// It calls no service: it calculates, and docs/PERFORMANCE.md has the formulas.
    #[command(after_help = AFTER_PLAN)]
    Plan(PlanArguments),
}

const AFTER_PLAN: &str = "\
Durations are written as 8s, 60m, 1h30m, 500ms.
Exit codes: 0 meets the deadline, 1 does not, 2 error of use.

Example:
  docket plan --documents 10000 --seconds 8s --tokens-in 2000 --tokens-out 300 \\
    --tokens-per-minute 600000 --deadline 60m";

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// How many documents
    #[arg(long, value_name = "COUNT", value_parser = whole(1, 1_000_000_000))]
    documents: u64,
    /// How long the model takes for one (8 or 8s); a batch takes as long as its slowest
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    seconds: f64,
    /// Input tokens of a call: the document, and some hundred of Docket's instructions and schema
    #[arg(long, value_name = "TOKENS", value_parser = whole(1, 10_000_000))]
    tokens_in: u64,
    /// Output tokens of a call
    #[arg(long, value_name = "TOKENS", value_parser = whole(1, 1_000_000))]
    tokens_out: u64,
    /// The model's quota in your account: Service Quotas, Amazon Bedrock, "InvokeModel tokens per minute"
    #[arg(long, value_name = "TOKENS", value_parser = whole(1, 1_000_000_000_000))]
    tokens_per_minute: u64,
    /// When the documents must be done
    #[arg(long, value_name = "TIME", value_parser = duration)]
    deadline: f64,

    /// The model or inference profile
    #[arg(long, value_name = "ID", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// The stack's MaxTokens, which a call reserves when it begins
    #[arg(long, value_name = "TOKENS", default_value_t = DEFAULT_MAX_TOKENS as u64, value_parser = whole(1, 64_000))]
    max_tokens: u64,
    /// How many tokens of the quota an output token counts [default: the model's]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    output_token_factor: Option<f64>,
    /// The model's quota of requests a minute, if it has one
    #[arg(long, value_name = "REQUESTS", value_parser = whole(1, 1_000_000_000))]
    requests_per_minute: Option<u64>,
    /// Lambda's "Concurrent executions" in your account
    #[arg(long, value_name = "FUNCTIONS", default_value_t = 1_000, value_parser = whole(2, 1_000_000))]
    function_concurrency: u64,
    /// Memory of a function, in MB
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = whole(128, 10_240))]
    memory_mb: u64,
    /// BatchSize, in place of the cheapest
    #[arg(long, value_name = "DOCUMENTS", value_parser = whole(1, BATCH_SIZE_MAX.into()))]
    batch_size: Option<u64>,
    /// MaximumConcurrency, in place of the fewest that are enough
    #[arg(long, value_name = "BATCHES",
        value_parser = whole(MAXIMUM_CONCURRENCY_MIN.into(), MAXIMUM_CONCURRENCY_MAX.into()))]
    maximum_concurrency: Option<u64>,
    /// Batches that the poller begins with; 1000 for a poller without a ramp
    #[arg(long, value_name = "BATCHES", default_value_t = 5, value_parser = whole(1, MAXIMUM_CONCURRENCY_MAX.into()))]
    start_concurrency: u64,
    /// What a batch takes beside the model: claim, fetch, store, next batch
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration_or_none)]
    overhead: f64,
    /// The way by which the documents come in
    #[arg(long, value_enum, default_value = "api")]
    intake: Way,
    /// A table of prices in place of the built-in one (the form of src/plan/prices.json)
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    /// POST /jobs
    Api,
    /// Messages with the text in them
    Queue,
    /// Objects in the bucket, named by messages
    Bucket,
}

impl PlanArguments {
    /// The work; `factor` is what an output token counts with this model.
    pub fn work(&self, factor: f64) -> Workload {
        Workload {
            documents: self.documents as f64,
            seconds: self.seconds,
            overhead_seconds: self.overhead,
            tokens_in: self.tokens_in as f64,
            tokens_out: self.tokens_out as f64,
            max_tokens: self.max_tokens as f64,
            output_token_factor: self.output_token_factor.unwrap_or(factor),
            intake: match self.intake {
                Way::Api => Intake::Api,
                Way::Queue => Intake::Queue,
                Way::Bucket => Intake::Bucket,
            },
        }
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        Limits {
            tokens_per_minute: self.tokens_per_minute as f64,
            requests_per_minute: self.requests_per_minute.map(|requests| requests as f64),
            function_concurrency: self.function_concurrency as u32,
            memory_mb: self.memory_mb as u32,
            deadline_seconds: self.deadline,
            batch_size: self.batch_size.map(|size| size as u32),
            maximum_concurrency: self.maximum_concurrency.map(|most| most as u32),
            ramp: Ramp { start: self.start_concurrency as f64, ..Ramp::AWS },
        }
    }
}

fn whole(least: u64, most: u64) -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(least..=most)
}

/// A duration in seconds, more than nothing.
fn duration(text: &str) -> Result<f64, String> {
    duration_or_none(text)
        .and_then(|seconds| if seconds > 0.0 { Ok(seconds) } else { Err("must be more than 0".into()) })
}

fn duration_or_none(text: &str) -> Result<f64, String> {
    let given: SignedDuration = text.parse().map_err(|_| "must be a duration such as 8s, 60m or 1h30m".to_owned())?;
    if given.is_negative() || given > LONGEST {
        return Err("must be from 0s to 8760h".to_owned());
    }
    Ok(given.as_secs_f64())
}

/// How long a call takes; a bare number is seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = if is_number { duration(&format!("{text}s")) } else { duration(text) }?;
    if seconds < SHORTEST_CALL { Err("must be 100ms or more".to_owned()) } else { Ok(seconds) }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| "must be a number from 1 to 100".to_owned())
}
