//! The cheapest settings that meet the deadline within the quota.

use super::bound::{Bound, BoundTime};
use super::quota::{LimitingQuota, calls_per_second};
use super::ramp::{Ramp, time_by_concurrency, time_by_quota};
use super::settings::{BATCH_SIZE_CHOSEN_MAX, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, Settings};
use super::workload::{Limits, Workload};

/// Memory of the function that is not available for documents, in MB.
const RUNTIME_MEMORY_MB: f64 = 128.0;
/// Memory that the analysis of a document needs, as a multiple of the document's size.
const MEMORY_FACTOR: f64 = 4.0;
/// Bytes per token, to estimate a document's size.
const BYTES_PER_TOKEN: f64 = 4.0;

/// Settings, and the seconds that the run takes with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub settings: Settings,
    pub seconds: f64,
}

/// Seconds that the run takes with these settings.
pub(super) fn run_seconds(work: &Workload, limits: &Limits, settings: Settings) -> f64 {
    let (rate, _) = calls_per_second(work, limits);
    let batch = work.batch_seconds();
    let by_concurrency = time_by_concurrency(work.documents, settings, limits.ramp, batch);
    by_concurrency.max(time_by_quota(work.documents, settings, limits.ramp, batch, rate))
}

/// Chooses the settings.
///
/// - The documents of a batch share the function's waiting time. The largest batch
///   that meets the deadline is therefore the cheapest.
/// - The smallest MaximumConcurrency that meets the deadline avoids throttling.
/// - If nothing meets the deadline: the fastest settings, and the cheapest of those.
pub(super) fn choose_settings(work: &Workload, limits: &Limits) -> Choice {
    let max_size = largest_batch(work, limits);
    let sizes = limits.batch_size.map_or(1..=max_size, |size| size..=size);
    let mut fastest: Option<Choice> = None;
    for batch_size in sizes.rev() {
        let (min, max) = concurrency_range(work, limits, batch_size);
        let at = |maximum_concurrency| {
            let settings = Settings { maximum_concurrency, batch_size };
            Choice { settings, seconds: run_seconds(work, limits, settings) }
        };
        let fast = at(max);
        if !fits(work, limits, fast.settings) {
            continue;
        }
        if fast.seconds <= limits.deadline_seconds {
            return at(smallest(min, max, |concurrency| at(concurrency).seconds <= limits.deadline_seconds));
        }
        if fastest.is_none_or(|best| fast.seconds < best.seconds) {
            fastest = Some(fast);
        }
    }
    // A smaller MaximumConcurrency may be as fast.
    let fastest = fastest.expect("a batch of one document always fits");
    let Settings { maximum_concurrency, batch_size } = fastest.settings;
    let (min, _) = concurrency_range(work, limits, batch_size);
    let enough = smallest(min, maximum_concurrency, |maximum_concurrency| {
        run_seconds(work, limits, Settings { maximum_concurrency, batch_size }) <= fastest.seconds
    });
    Choice { settings: Settings { maximum_concurrency: enough, batch_size }, ..fastest }
}

/// The smallest number of `min..=max` that satisfies `is_enough`, by binary search.
/// Every number above it must satisfy it too, and `max` is assumed to.
fn smallest(min: u32, max: u32, is_enough: impl Fn(u32) -> bool) -> u32 {
    let (mut min, mut max) = (min, max);
    while min < max {
        let middle = u32::midpoint(min, max);
        if is_enough(middle) { max = middle } else { min = middle + 1 }
    }
    max
}

/// Concurrent calls that the quota allows without throttling, rounded up.
fn calls_within_quota(work: &Workload, limits: &Limits) -> u32 {
    (calls_per_second(work, limits).0 * work.batch_seconds()).ceil().min(1e6) as u32
}

/// Minimum and maximum of MaximumConcurrency for a batch size.
fn concurrency_range(work: &Workload, limits: &Limits, batch_size: u32) -> (u32, u32) {
    if let Some(fixed) = limits.maximum_concurrency {
        return (fixed, fixed);
    }
    let by_functions = limits.function_concurrency.min(MAXIMUM_CONCURRENCY_MAX);
    let max = (calls_within_quota(work, limits) / batch_size).clamp(MAXIMUM_CONCURRENCY_MIN, by_functions);
    (MAXIMUM_CONCURRENCY_MIN, max)
}

/// Whether the quota allows the calls in flight. A batch size that the user fixed
/// is accepted as it is, and so is the smallest one.
fn fits(work: &Workload, limits: &Limits, settings: Settings) -> bool {
    limits.batch_size.is_some() || settings.batch_size == 1 || settings.in_flight() <= calls_within_quota(work, limits)
}

fn largest_batch(work: &Workload, limits: &Limits) -> u32 {
    let free = (f64::from(limits.memory_mb) - RUNTIME_MEMORY_MB).max(1.0) * 1e6;
    let by_memory = free / (work.tokens_in * BYTES_PER_TOKEN * MEMORY_FACTOR);
    (by_memory.min(work.documents) as u32).clamp(1, BATCH_SIZE_CHOSEN_MAX)
}

/// The duration by each bound alone, with the other bounds at their maximum.
pub(super) fn bound_times(work: &Workload, limits: &Limits) -> Vec<BoundTime> {
    let batch = work.batch_seconds();
    let batch_size = limits.batch_size.unwrap_or_else(|| largest_batch(work, limits));
    let by_functions = limits.function_concurrency.min(MAXIMUM_CONCURRENCY_MAX);
    let maximum_concurrency = limits.maximum_concurrency.unwrap_or(by_functions);
    let full = Settings { maximum_concurrency, batch_size };
    let no_ramp = Ramp { start: f64::from(MAXIMUM_CONCURRENCY_MAX), ..limits.ramp };
    let unlimited = Settings { maximum_concurrency: MAXIMUM_CONCURRENCY_MAX, ..full };
    let (rate, limiting) = calls_per_second(work, limits);
    let quota = match limiting {
        LimitingQuota::Tokens => Bound::TokensPerMinute,
        LimitingQuota::Requests => Bound::RequestsPerMinute,
    };
    vec![
        BoundTime { bound: quota, seconds: work.documents / rate },
        BoundTime {
            bound: Bound::FunctionConcurrency,
            seconds: time_by_concurrency(work.documents, full, no_ramp, batch),
        },
        BoundTime { bound: Bound::Ramp, seconds: time_by_concurrency(work.documents, unlimited, limits.ramp, batch) },
        BoundTime { bound: Bound::Model, seconds: batch },
    ]
}
