//! The quotas that would meet a missed deadline.

use serde::Serialize;

use super::choice::choose_settings;
use super::quota::counted_tokens;
use super::settings::MAXIMUM_CONCURRENCY_MAX;
use super::workload::{Limits, Workload};

/// The changes that would meet the deadline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remedy {
    /// The earliest deadline that the present limits allow, in seconds, rounded up to
    /// whole minutes.
    pub possible_deadline_seconds: f64,
    /// The quota of tokens per minute to request, if a larger one is needed and enough.
    pub tokens_per_minute: Option<f64>,
    /// The quota of requests per minute to request, if a larger one is needed.
    pub requests_per_minute: Option<f64>,
    /// The quota of concurrent executions to request, if a larger one is needed.
    pub function_concurrency: Option<u32>,
    /// Seconds that the run takes with unlimited quotas of the model and maximum
    /// concurrency. No change meets an earlier deadline.
    pub earliest_seconds: f64,
}

/// Finds the quotas to request. More functions are requested only if a larger quota
/// of the model is not enough.
pub(super) fn find_remedy(work: &Workload, limits: &Limits) -> Remedy {
    let more_functions = Limits { function_concurrency: MAXIMUM_CONCURRENCY_MAX, ..limits.clone() };
    let earliest = Limits { deadline_seconds: 0.0, ..at_rate(work, &more_functions, f64::INFINITY) };
    let mut remedy = Remedy {
        possible_deadline_seconds: (choose_settings(work, limits).seconds / 60.0).ceil() * 60.0,
        earliest_seconds: choose_settings(work, &earliest).seconds,
        tokens_per_minute: None,
        requests_per_minute: None,
        function_concurrency: None,
    };
    if remedy.earliest_seconds > limits.deadline_seconds {
        return remedy;
    }
    let mut limits = limits.clone();
    if !meets_deadline(work, &at_rate(work, &limits, f64::INFINITY)) {
        let functions = smallest_whole(f64::from(MAXIMUM_CONCURRENCY_MAX), |functions| {
            let more = Limits { function_concurrency: functions as u32, ..limits.clone() };
            meets_deadline(work, &at_rate(work, &more, f64::INFINITY))
        });
        limits.function_concurrency = functions as u32;
        remedy.function_concurrency = Some(functions as u32);
    }
    // Calls per minute: a million concurrent calls of one second make 60 million.
    let calls = smallest_whole(60e6, |calls| meets_deadline(work, &at_rate(work, &limits, calls)));
    let tokens = (calls * counted_tokens(work)).ceil();
    remedy.tokens_per_minute = (tokens > limits.tokens_per_minute).then(|| round_up(tokens));
    remedy.requests_per_minute = limits.requests_per_minute.filter(|quota| calls > *quota).map(|_| calls);
    remedy
}

fn meets_deadline(work: &Workload, limits: &Limits) -> bool {
    choose_settings(work, limits).seconds <= limits.deadline_seconds
}

/// The limits with quotas that allow `calls_per_minute`.
fn at_rate(work: &Workload, limits: &Limits, calls_per_minute: f64) -> Limits {
    let tokens_per_minute = (calls_per_minute * counted_tokens(work)).min(f64::MAX);
    Limits { tokens_per_minute, requests_per_minute: None, ..limits.clone() }
}

/// The smallest whole number from 1 that satisfies `is_enough`, or `max` if none below does.
fn smallest_whole(max: f64, is_enough: impl Fn(f64) -> bool) -> f64 {
    let (mut min, mut max) = (1.0, max);
    while min < max {
        let middle = f64::midpoint(min, max).floor();
        if is_enough(middle) { max = middle } else { min = middle + 1.0 }
    }
    max
}

/// Rounds up to three significant digits.
fn round_up(tokens: f64) -> f64 {
    let step = 10f64.powf((tokens.log10().floor() - 2.0).max(0.0));
    (tokens / step).ceil() * step
}
