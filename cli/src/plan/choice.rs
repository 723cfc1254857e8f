//! The cheapest settings that meet the deadline within the quota.

use super::quota::{Narrowest, calls_per_second};
use super::ramp::{Ramp, places_time, quota_time};
use super::{
    BATCH_SIZE_CHOSEN_MAX, Bound, BoundTime, Limits, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, Settings,
    Workload,
};

/// What of the function's memory is free for documents, in MB.
const MEMORY_OF_THE_RUNTIME_MB: f64 = 128.0;
/// How many times its size a document takes while it is analysed.
const MEMORY_PER_DOCUMENT: f64 = 4.0;
/// Bytes of a token, for want of the document's size.
const BYTES_PER_TOKEN: f64 = 4.0;

/// Settings, and how long the work takes with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chosen {
    pub settings: Settings,
    pub seconds: f64,
}

/// Seconds that the work takes with these settings.
pub(super) fn time(work: &Workload, limits: &Limits, settings: Settings) -> f64 {
    let (rate, _) = calls_per_second(work, limits);
    let batch = work.batch_seconds();
    let by_places = places_time(work.documents, settings, limits.ramp, batch);
    by_places.max(quota_time(work.documents, settings, limits.ramp, batch, rate))
}

/// Larger batches share the function's waiting, so the largest that meets the
/// deadline is the cheapest; of MaximumConcurrency the smallest that does, for
/// calls that nobody needs only invite throttling. Where nothing meets it: the
/// fastest, and of these the cheapest.
pub(super) fn choose(work: &Workload, limits: &Limits) -> Chosen {
    let most = largest_batch(work, limits);
    let sizes = limits.batch_size.map_or(1..=most, |size| size..=size);
    let mut fastest: Option<Chosen> = None;
    for batch_size in sizes.rev() {
        let (least, most) = concurrencies(work, limits, batch_size);
        let with = |maximum_concurrency| {
            let settings = Settings { maximum_concurrency, batch_size };
            Chosen { settings, seconds: time(work, limits, settings) }
        };
        let fast = with(most);
        if !fits(work, limits, fast.settings) {
            continue;
        }
        if fast.seconds <= limits.deadline_seconds {
            return with(smallest(least, most, |concurrency| with(concurrency).seconds <= limits.deadline_seconds));
        }
        if fastest.is_none_or(|so_far| fast.seconds < so_far.seconds) {
            fastest = Some(fast);
        }
    }
    // As fast with fewer in flight.
    let fastest = fastest.expect("one document a batch always fits");
    let Settings { maximum_concurrency, batch_size } = fastest.settings;
    let (least, _) = concurrencies(work, limits, batch_size);
    let enough = smallest(least, maximum_concurrency, |maximum_concurrency| {
        time(work, limits, Settings { maximum_concurrency, batch_size }) <= fastest.seconds
    });
    Chosen { settings: Settings { maximum_concurrency: enough, batch_size }, ..fastest }
}

/// The smallest number from `least` to `most` of which it is true; it is true of
/// `most` and of everything above the smallest.
fn smallest(least: u32, most: u32, is_true: impl Fn(u32) -> bool) -> u32 {
    let (mut least, mut most) = (least, most);
    while least < most {
        let middle = u32::midpoint(least, most);
        if is_true(middle) { most = middle } else { least = middle + 1 }
    }
    most
}

/// Calls in flight that the quota feeds without throttling, rounded up.
fn fed(work: &Workload, limits: &Limits) -> u32 {
    (calls_per_second(work, limits).0 * work.batch_seconds()).ceil().min(1e6) as u32
}

/// The fewest and most batches at the same time that a batch size allows.
fn concurrencies(work: &Workload, limits: &Limits, batch_size: u32) -> (u32, u32) {
    if let Some(given) = limits.maximum_concurrency {
        return (given, given);
    }
    let by_functions = limits.function_concurrency.min(MAXIMUM_CONCURRENCY_MAX);
    let most = (fed(work, limits) / batch_size).clamp(MAXIMUM_CONCURRENCY_MIN, by_functions);
    (MAXIMUM_CONCURRENCY_MIN, most)
}

/// Whether the quota feeds the calls in flight. A batch size that was given is
/// not for the plan to refuse, and one document a batch is the least there is.
fn fits(work: &Workload, limits: &Limits, settings: Settings) -> bool {
    limits.batch_size.is_some() || settings.batch_size == 1 || settings.in_flight() <= fed(work, limits)
}

fn largest_batch(work: &Workload, limits: &Limits) -> u32 {
    let free = (f64::from(limits.memory_mb) - MEMORY_OF_THE_RUNTIME_MB).max(1.0) * 1e6;
    let by_memory = free / (work.tokens_in * BYTES_PER_TOKEN * MEMORY_PER_DOCUMENT);
    (by_memory.min(work.documents) as u32).clamp(1, BATCH_SIZE_CHOSEN_MAX)
}

/// What each bound alone would take, with all that the others allow.
pub(super) fn bounds(work: &Workload, limits: &Limits) -> Vec<BoundTime> {
    let batch = work.batch_seconds();
    let batch_size = limits.batch_size.unwrap_or_else(|| largest_batch(work, limits));
    let by_functions = limits.function_concurrency.min(MAXIMUM_CONCURRENCY_MAX);
    let maximum_concurrency = limits.maximum_concurrency.unwrap_or(by_functions);
    let all = Settings { maximum_concurrency, batch_size };
    let at_once = Ramp { start: f64::from(MAXIMUM_CONCURRENCY_MAX), ..limits.ramp };
    let unlimited = Settings { maximum_concurrency: MAXIMUM_CONCURRENCY_MAX, ..all };
    let (rate, narrowest) = calls_per_second(work, limits);
    let quota = match narrowest {
        Narrowest::Tokens => Bound::TokensPerMinute,
        Narrowest::Requests => Bound::RequestsPerMinute,
    };
    vec![
        BoundTime { bound: quota, seconds: work.documents / rate },
        BoundTime { bound: Bound::FunctionConcurrency, seconds: places_time(work.documents, all, at_once, batch) },
        BoundTime { bound: Bound::Ramp, seconds: places_time(work.documents, unlimited, limits.ramp, batch) },
        BoundTime { bound: Bound::Model, seconds: batch },
    ]
}
