//! What would meet a deadline that is not met.

use serde::Serialize;

use super::choice::choose;
use super::quota::counted_tokens;
use super::{Limits, MAXIMUM_CONCURRENCY_MAX, Workload};

/// What to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remedy {
    /// The deadline that can be met with what there is, in seconds: whole
    /// minutes.
    pub possible_deadline_seconds: f64,
    /// Tokens a minute to ask for, if more are needed and would do.
    pub tokens_per_minute: Option<f64>,
    /// Requests a minute to ask for, likewise.
    pub requests_per_minute: Option<f64>,
    /// Functions at the same time to ask for, likewise.
    pub function_concurrency: Option<u32>,
    /// Seconds that the work takes with any quota of the model's and as many
    /// functions as the poller starts: a deadline before it is met by nothing.
    pub earliest_seconds: f64,
}

/// Finds what would do: first a larger quota of the model's, then more functions
/// too.
pub(super) fn remedy(work: &Workload, limits: &Limits) -> Remedy {
    let more_functions = Limits { function_concurrency: MAXIMUM_CONCURRENCY_MAX, ..limits.clone() };
    let earliest = Limits { deadline_seconds: 0.0, ..at_rate(work, &more_functions, f64::INFINITY) };
    let mut remedy = Remedy {
        possible_deadline_seconds: (choose(work, limits).seconds / 60.0).ceil() * 60.0,
        earliest_seconds: choose(work, &earliest).seconds,
        tokens_per_minute: None,
        requests_per_minute: None,
        function_concurrency: None,
    };
    if remedy.earliest_seconds > limits.deadline_seconds {
        return remedy;
    }
    let mut limits = limits.clone();
    if !meets(work, &at_rate(work, &limits, f64::INFINITY)) {
        let functions = smallest_whole(f64::from(MAXIMUM_CONCURRENCY_MAX), |functions| {
            let more = Limits { function_concurrency: functions as u32, ..limits.clone() };
            meets(work, &at_rate(work, &more, f64::INFINITY))
        });
        limits.function_concurrency = functions as u32;
        remedy.function_concurrency = Some(functions as u32);
    }
    // In calls a minute; a thousand functions of a thousand records are no more.
    let calls = smallest_whole(60e6, |calls| meets(work, &at_rate(work, &limits, calls)));
    let tokens = (calls * counted_tokens(work)).ceil();
    remedy.tokens_per_minute = (tokens > limits.tokens_per_minute).then(|| round_up(tokens));
    remedy.requests_per_minute = limits.requests_per_minute.filter(|has| calls > *has).map(|_| calls);
    remedy
}

fn meets(work: &Workload, limits: &Limits) -> bool {
    choose(work, limits).seconds <= limits.deadline_seconds
}

/// The limits with quotas for so many calls a minute.
fn at_rate(work: &Workload, limits: &Limits, calls_per_minute: f64) -> Limits {
    let tokens_per_minute = (calls_per_minute * counted_tokens(work)).min(f64::MAX);
    Limits { tokens_per_minute, requests_per_minute: None, ..limits.clone() }
}

/// The smallest whole number from 1 of which it is true; `most` if of none below.
fn smallest_whole(most: f64, is_true: impl Fn(f64) -> bool) -> f64 {
    let (mut least, mut most) = (1.0, most);
    while least < most {
        let middle = f64::midpoint(least, most).floor();
        if is_true(middle) { most = middle } else { least = middle + 1.0 }
    }
    most
}

/// To three figures: what one asks for in a form.
fn round_up(tokens: f64) -> f64 {
    let step = 10f64.powf((tokens.log10().floor() - 2.0).max(0.0));
    (tokens / step).ceil() * step
}
