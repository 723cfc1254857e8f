//! The plan: what must be set so that so many documents are done by a deadline,
//! what bounds the speed, and what it costs. Pure arithmetic: no AWS, no files,
//! no clock.
//!
//! `quota` and `ramp` say how fast it can go, `choice` picks the settings,
//! `cost` adds up, `report` tells a person.

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
pub use self::report::{duration, report};

/// Most batches at the same time that an event source mapping takes, and the
/// template too.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
pub const MAXIMUM_CONCURRENCY_MAX: u32 = 1_000;

/// Fewest that MaximumConcurrency can say.
pub const MAXIMUM_CONCURRENCY_MIN: u32 = 2;

/// Largest BatchSize that the template takes.
pub const BATCH_SIZE_MAX: u32 = 1_000;

/// Largest BatchSize that the plan chooses by itself: each document of a batch
/// holds two or three connections at the same time, and a function has 1,024
/// file descriptors.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const BATCH_SIZE_CHOSEN_MAX: u32 = 100;

/// `FunctionTimeoutSeconds` of the template, each with its model's time-out.
pub const TIMEOUTS: [(u32, u32); 7] = [(30, 20), (60, 45), (120, 100), (180, 150), (300, 270), (600, 560), (900, 860)];

/// The template's own FunctionTimeoutSeconds, which is kept where it is enough.
const DEFAULT_TIMEOUT: u32 = 180;

/// The template's own ModelId, which the parameters leave out.
pub const DEFAULT_MODEL: &str = "us.amazon.nova-2-lite-v1:0";

/// What stands before a foundation model's id in that of an inference profile.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
const PROFILES: [&str; 8] = ["apac", "au", "ca", "eu", "global", "jp", "us", "us-gov"];

/// How much longer than usual a call may take before its time-out ends it.
const TIMEOUT_FACTOR: f64 = 2.0;

/// The way by which documents come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intake {
    /// `POST /jobs`.
    Api,
    /// Messages of any producer, with the text in them.
    Queue,
    /// Objects in the stack's bucket, named by messages.
    Bucket,
}

/// The work: equal documents, which is what averages make of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workload {
    /// How many.
    pub documents: f64,
    /// Seconds that the model takes for one.
    pub seconds: f64,
    /// Seconds of a batch beside the model: claim, fetch, store, next batch.
    pub overhead_seconds: f64,
    /// Input tokens of a call: the document and what is asked of it.
    pub tokens_in: f64,
    /// Output tokens of a call.
    pub tokens_out: f64,
    /// The call's maxTokens.
    pub max_tokens: f64,
    /// How many tokens of the quota an output token counts.
    pub output_token_factor: f64,
    /// The way in.
    pub intake: Intake,
}

impl Workload {
    /// How long a batch takes, whatever its size: its documents wait side by side.
    fn batch_seconds(&self) -> f64 {
        self.seconds + self.overhead_seconds
    }
}

/// What may be used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limits {
    /// The model's quota of tokens a minute.
    pub tokens_per_minute: f64,
    /// The model's quota of requests a minute, where it has one.
    pub requests_per_minute: Option<f64>,
    /// Functions that the account lets run at the same time.
    pub function_concurrency: u32,
    /// Memory of the function, in MB.
    pub memory_mb: u32,
    /// When the documents must be done, in seconds from the first message.
    pub deadline_seconds: f64,
    /// BatchSize, where it is not for the plan to choose.
    pub batch_size: Option<u32>,
    /// MaximumConcurrency, where it is not for the plan to choose.
    pub maximum_concurrency: Option<u32>,
    /// How the poller ramps up.
    #[serde(skip)]
    pub ramp: Ramp,
}

/// What to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `MaximumConcurrency`.
    pub maximum_concurrency: u32,
    /// `BatchSize`.
    pub batch_size: u32,
}

impl Settings {
    /// Calls of the model at the same time.
    pub fn in_flight(self) -> u32 {
        self.maximum_concurrency * self.batch_size
    }

    /// Batches that so many documents come in: one more than they fill, for the
    /// poller begins with what is there when it looks.
    fn batches(self, documents: f64) -> f64 {
        let filled = (documents / f64::from(self.batch_size)).ceil();
        if self.batch_size == 1 { filled } else { filled + 1.0 }
    }
}

/// What bounds the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The model's tokens a minute.
    TokensPerMinute,
    /// The model's requests a minute.
    RequestsPerMinute,
    /// Functions at the same time, full batches in each.
    FunctionConcurrency,
    /// The poller, which begins with few batches.
    Ramp,
    /// One call of the model.
    Model,
}

/// What the work takes at least if one bound were the only one.
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
    /// Whether the documents are done by the deadline.
    pub meets_deadline: bool,
    /// Seconds that the work takes with these settings.
    pub seconds: f64,
    /// What bounds the speed: the slowest of `bounds`.
    pub binds: Bound,
    /// Each bound by itself.
    pub bounds: Vec<BoundTime>,
    /// What to set.
    pub settings: Settings,
    /// Calls of the model at the same time.
    pub calls_in_flight: u32,
    /// Tokens of the quota that one call a minute takes.
    pub tokens_counted_per_call: f64,
    /// Calls a minute that the quotas feed.
    pub calls_per_minute_by_quota: f64,
    /// The parameters, as `STACK_PARAMETERS` and samconfig.toml take them.
    pub stack_parameters: String,
    /// This plan's cost, and that of the other ways.
    pub ways: Vec<Way>,
    /// What would meet a deadline that is not met.
    pub remedy: Option<Remedy>,
    /// The work as it was given.
    pub work: Workload,
    /// The limits as they were given.
    pub limits: Limits,
    /// The model whose prices these are.
    pub model: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// No time-out of the template leaves a call twice its usual time.
    #[error("no function waits for a call of {0:.0} s: it must end within 430 s, half of the longest time-out")]
    CallTooLong(f64),
}

/// Makes the plan. The numbers must be in the ranges that the command line
/// keeps: positive, and finite.
///
/// # Errors
/// [`Impossible`] when no setting of the template runs such calls.
pub fn plan(work: Workload, limits: Limits, model: &str, prices: &Prices) -> Result<Plan, Impossible> {
    let timeout = timeout(&work).ok_or(Impossible::CallTooLong(work.seconds))?;
    let chosen = choice::choose(&work, &limits);
    let meets_deadline = chosen.seconds <= limits.deadline_seconds;
    let bounds = choice::bounds(&work, &limits);
    let slowest = bounds.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(Plan {
        meets_deadline,
        seconds: chosen.seconds,
        binds: slowest.map_or(Bound::Model, |slowest| slowest.bound),
        settings: chosen.settings,
        calls_in_flight: chosen.settings.in_flight(),
        tokens_counted_per_call: quota::counted_tokens(&work),
        calls_per_minute_by_quota: quota::calls_per_second(&work, &limits).0 * 60.0,
        stack_parameters: parameters(&work, &limits, chosen.settings, timeout, model),
        ways: cost::ways(&work, &limits, chosen, model, prices),
        remedy: (!meets_deadline).then(|| remedy::remedy(&work, &limits)),
        bounds,
        work,
        limits,
        model: model.to_owned(),
    })
}

/// The FunctionTimeoutSeconds that leaves a call twice its usual time.
fn timeout(work: &Workload) -> Option<u32> {
    let wanted = work.seconds * TIMEOUT_FACTOR;
    let enough = TIMEOUTS.iter().filter(|(function, _)| *function >= DEFAULT_TIMEOUT);
    enough.clone().find(|(_, model)| f64::from(*model) >= wanted).map(|(function, _)| *function)
}

fn parameters(work: &Workload, limits: &Limits, settings: Settings, timeout: u32, model: &str) -> String {
    let Settings { maximum_concurrency, batch_size } = settings;
    let mut parameters = format!("MaximumConcurrency={maximum_concurrency} BatchSize={batch_size}");
    if model != DEFAULT_MODEL {
        parameters += &format!(" ModelId={model} FoundationModelId={}", foundation(model));
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

/// The model behind an inference profile; any other id is the model's own.
fn foundation(model: &str) -> &str {
    match model.split_once('.') {
        Some((profile, foundation)) if PROFILES.contains(&profile) => foundation,
        _ => model,
    }
}

#[cfg(test)]
mod tests;
