//! The plan itself: settings, duration, cost and remedy together.

use serde::Serialize;

use super::bound::{Bound, BoundTime};
use super::cost::{self, Way};
use super::prices::Prices;
use super::remedy::{self, Remedy};
use super::settings::Settings;
use super::workload::{Limits, Workload};
use super::{choice, quota};

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
    /// Quota tokens that the plan counts for a call.
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
