//! The plan of a run: the settings that meet a deadline, the bound that limits the
//! speed, and the cost. Pure arithmetic: no AWS, no files, no clock.
//!
//! `quota` and `ramp` calculate durations, `choice` chooses the settings, `cost`
//! adds up the prices, `remedy` finds the missing quota, and `report` writes the
//! text.

mod choice;
mod cost;
pub mod prices;
mod quota;
mod ramp;
mod remedy;
mod report;

use serde::Serialize;

pub use self::cost::{Cost, Way};
use self::prices::Prices;
pub use self::ramp::Ramp;
pub use self::remedy::Remedy;
pub use self::report::{format_duration, report};

/// Maximum of `MaximumConcurrency`, on AWS and in the template.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
pub const MAXIMUM_CONCURRENCY_MAX: u32 = 1_000;

/// Minimum of `MaximumConcurrency`.
pub const MAXIMUM_CONCURRENCY_MIN: u32 = 2;

/// Maximum of `BatchSize` in the template.
pub const BATCH_SIZE_MAX: u32 = 1_000;

/// Maximum of `BatchSize` that the plan chooses. A document uses two or three
/// connections at the same time, and a function has 1,024 file descriptors.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const BATCH_SIZE_CHOSEN_MAX: u32 = 100;

/// The values of `FunctionTimeoutSeconds` in the template, each with the model's
/// time-out in seconds.
pub const TIMEOUTS: [(u32, u32); 7] = [(30, 20), (60, 45), (120, 100), (180, 150), (300, 270), (600, 560), (900, 860)];

/// The template's default of `FunctionTimeoutSeconds`, which the plan never lowers.
const DEFAULT_TIMEOUT: u32 = 180;

/// The template's default of `ModelId`, which the stack parameters omit.
pub const DEFAULT_MODEL: &str = "us.amazon.nova-2-lite-v1:0";

/// The prefixes of an inference profile's id, before the foundation model's id.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
const PROFILE_PREFIXES: [&str; 8] = ["apac", "au", "ca", "eu", "global", "jp", "us", "us-gov"];

/// The model's time-out is at least this multiple of a call's duration.
const TIMEOUT_FACTOR: f64 = 2.0;

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
    fn batch_seconds(&self) -> f64 {
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

/// The settings of the stack that determine the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `MaximumConcurrency`.
    pub maximum_concurrency: u32,
    /// `BatchSize`.
    pub batch_size: u32,
}

impl Settings {
    /// Maximum number of concurrent model calls.
    pub fn in_flight(self) -> u32 {
        self.maximum_concurrency * self.batch_size
    }

    /// The number of batches. It is one more than full batches need, because the
    /// first batch is not full: the poller takes the messages that have arrived.
    fn batches(self, documents: f64) -> f64 {
        let filled = (documents / f64::from(self.batch_size)).ceil();
        if self.batch_size == 1 { filled } else { filled + 1.0 }
    }
}

/// A bound of the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The model's tokens per minute.
    TokensPerMinute,
    /// The model's requests per minute.
    RequestsPerMinute,
    /// Concurrent functions, each with a full batch.
    FunctionConcurrency,
    /// The ramp of the event source mapping, which starts with few batches.
    Ramp,
    /// The duration of one model call.
    Model,
}

/// The duration of the run if one bound were the only one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BoundTime {
    /// The bound.
    pub bound: Bound,
    /// Seconds.
    pub seconds: f64,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Whether all documents are finished by the deadline.
    pub meets_deadline: bool,
    /// Seconds that the run takes with these settings.
    pub seconds: f64,
    /// The bound that limits the speed: the slowest of `bounds`.
    pub binds: Bound,
    /// Every bound with its duration.
    pub bounds: Vec<BoundTime>,
    /// The settings to deploy.
    pub settings: Settings,
    /// Maximum number of concurrent model calls.
    pub calls_in_flight: u32,
    /// Quota tokens that a call counts on average.
    pub tokens_counted_per_call: f64,
    /// Calls per minute that the quotas allow.
    pub calls_per_minute_by_quota: f64,
    /// The stack parameters in the format of `STACK_PARAMETERS` and samconfig.toml.
    pub stack_parameters: String,
    /// The cost of this plan and of its alternatives.
    pub ways: Vec<Way>,
    /// The changes that would meet the deadline; none if the plan meets it.
    pub remedy: Option<Remedy>,
    /// The workload that was planned.
    pub work: Workload,
    /// The limits that were applied.
    pub limits: Limits,
    /// The model id, also of the prices.
    pub model: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// No time-out of the template is twice the duration of a call.
    #[error("a call may take at most 430 s, half of the longest model time-out, not {0:.0} s")]
    CallTooLong(f64),
}

/// Makes the plan. All numbers must be positive and finite; the command line checks
/// their ranges.
///
/// # Errors
/// [`Impossible`] if no setting of the template fits such calls.
pub fn plan(work: Workload, limits: Limits, model: &str, prices: &Prices) -> Result<Plan, Impossible> {
    let timeout = choose_timeout(&work).ok_or(Impossible::CallTooLong(work.seconds))?;
    let chosen = choice::choose_settings(&work, &limits);
    let meets_deadline = chosen.seconds <= limits.deadline_seconds;
    let bounds = choice::bound_times(&work, &limits);
    let slowest = bounds.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(Plan {
        meets_deadline,
        seconds: chosen.seconds,
        binds: slowest.map_or(Bound::Model, |slowest| slowest.bound),
        settings: chosen.settings,
        calls_in_flight: chosen.settings.in_flight(),
        tokens_counted_per_call: quota::counted_tokens(&work),
        calls_per_minute_by_quota: quota::calls_per_second(&work, &limits).0 * 60.0,
        stack_parameters: stack_parameters(&work, &limits, chosen.settings, timeout, model),
        ways: cost::compare_ways(&work, &limits, chosen, model, prices),
        remedy: (!meets_deadline).then(|| remedy::find_remedy(&work, &limits)),
        bounds,
        work,
        limits,
        model: model.to_owned(),
    })
}

/// The smallest FunctionTimeoutSeconds whose model time-out is twice a call's duration.
fn choose_timeout(work: &Workload) -> Option<u32> {
    let needed = work.seconds * TIMEOUT_FACTOR;
    let mut timeouts = TIMEOUTS.iter().filter(|(function, _)| *function >= DEFAULT_TIMEOUT);
    timeouts.find(|(_, model)| f64::from(*model) >= needed).map(|(function, _)| *function)
}

fn stack_parameters(work: &Workload, limits: &Limits, settings: Settings, timeout: u32, model: &str) -> String {
    let Settings { maximum_concurrency, batch_size } = settings;
    let mut parameters = format!("MaximumConcurrency={maximum_concurrency} BatchSize={batch_size}");
    if model != DEFAULT_MODEL {
        parameters += &format!(" ModelId={model} FoundationModelId={}", foundation_model(model));
    }
    if batch_size > 10 {
        parameters += " MaximumBatchingWindowSeconds=1";
    }
    parameters += &format!(" MaxTokens={} MemorySizeMb={}", work.max_tokens, limits.memory_mb);
    parameters += &format!(" ModelTokensPerMinute={}", limits.tokens_per_minute.floor());
    if let Some(requests) = limits.requests_per_minute {
        parameters += &format!(" ModelRequestsPerMinute={}", requests.floor());
    }
    if work.output_token_factor > 1.0 {
        parameters += &format!(" OutputTokenFactor={}", work.output_token_factor.round());
    }
    if timeout != DEFAULT_TIMEOUT {
        parameters += &format!(" FunctionTimeoutSeconds={timeout}");
    }
    parameters
}

/// The foundation model of an inference profile; any other id is returned unchanged.
fn foundation_model(model: &str) -> &str {
    match model.split_once('.') {
        Some((profile, foundation)) if PROFILE_PREFIXES.contains(&profile) => foundation,
        _ => model,
    }
}

#[cfg(test)]
mod tests;
