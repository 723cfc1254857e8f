//! The ramp of the event source mapping, and the duration of a run.
//!
//! On a standard queue, the mapping starts with five concurrent batches. It adds up
//! to 300 per minute, until MaximumConcurrency is reached.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>

use super::settings::Settings;

/// The number of concurrent batches over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// Concurrent batches at the start.
    pub start: f64,
    /// Concurrent batches added per minute.
    pub per_minute: f64,
}

impl Ramp {
    /// The ramp of AWS for standard queues.
    pub const AWS: Self = Self { start: 5.0, per_minute: 300.0 };

    /// Concurrent batches `seconds` after the start. The caller rounds down: a
    /// fraction of a batch does not run.
    fn batches_at(self, seconds: f64, settings: Settings) -> f64 {
        (self.start + self.per_minute * seconds / 60.0).min(f64::from(settings.maximum_concurrency))
    }

    /// Seconds until MaximumConcurrency is reached.
    pub fn seconds_until_full(self, settings: Settings) -> f64 {
        let missing = (f64::from(settings.maximum_concurrency) - self.start).max(0.0);
        if missing == 0.0 { 0.0 } else { missing * 60.0 / self.per_minute }
    }

    /// Documents that start in the first `seconds`, as a continuous flow: the integral
    /// of the concurrent batches, × BatchSize ÷ `batch_seconds`.
    pub fn documents_started_by(self, seconds: f64, settings: Settings, batch_seconds: f64) -> f64 {
        let full_at = self.seconds_until_full(settings);
        let ramp = seconds.min(full_at);
        let start = self.start.min(f64::from(settings.maximum_concurrency));
        let rising = start * ramp + self.per_minute / 60.0 * ramp * ramp / 2.0;
        let level = f64::from(settings.maximum_concurrency) * (seconds - ramp);
        (rising + level) * f64::from(settings.batch_size) / batch_seconds
    }
}

/// Seconds until all documents are finished, with the concurrency of batches as the
/// only limit.
///
/// A batch starts when the ramp allows one more, or when another batch ends. The
/// batches started by `t` are therefore the concurrency at `t`, plus that at
/// `t − batch_seconds`, and so on. The run ends `batch_seconds` after the last batch
/// has started.
pub fn time_by_concurrency(documents: f64, settings: Settings, ramp: Ramp, batch_seconds: f64) -> f64 {
    let batches = settings.batches(documents);
    let max = f64::from(settings.maximum_concurrency);
    let full_at = ramp.seconds_until_full(settings);
    let started = |at: f64| {
        // Every step back to a time after the ramp counts MaximumConcurrency.
        let full_steps = if at < full_at { 0.0 } else { ((at - full_at) / batch_seconds).floor() + 1.0 };
        let mut started = full_steps * max;
        let mut earlier = at - full_steps * batch_seconds;
        while earlier >= 0.0 {
            started += (ramp.batches_at(earlier, settings) + 1e-9).floor();
            earlier -= batch_seconds;
        }
        started
    };
    let waves = (batches / max).ceil() - 1.0;
    // Exact without a ramp; with a ramp this is a lower bound of the last start.
    if started(waves * batch_seconds) >= batches {
        return (waves + 1.0) * batch_seconds;
    }
    let (mut early, mut late) = (waves * batch_seconds, full_at + (waves + 1.0) * batch_seconds);
    while late - early > 1e-3 {
        let middle = f64::midpoint(early, late);
        if started(middle) >= batches { late = middle } else { early = middle }
    }
    late + batch_seconds
}

/// Seconds until all documents are finished, if the quota allows `rate` calls per
/// second. The ramp limits the calls until they reach that rate, and the quota limits
/// them afterwards. 0 if the concurrency never reaches the rate.
pub fn time_by_quota(documents: f64, settings: Settings, ramp: Ramp, batch_seconds: f64, rate: f64) -> f64 {
    let rate_per_batch = f64::from(settings.batch_size) / batch_seconds;
    let needed = rate / rate_per_batch;
    if needed >= f64::from(settings.maximum_concurrency) {
        return 0.0;
    }
    let ramp_end = if needed <= ramp.start { 0.0 } else { (needed - ramp.start) * 60.0 / ramp.per_minute };
    let before = ramp.documents_started_by(ramp_end, settings, batch_seconds);
    if before >= documents { 0.0 } else { ramp_end + (documents - before) / rate }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    const NO_RAMP: Ramp = Ramp { start: 1_000.0, per_minute: 0.0 };

    fn settings(maximum_concurrency: u32, batch_size: u32) -> Settings {
        Settings { maximum_concurrency, batch_size }
    }

    /// Simulates every batch, in milliseconds: each takes the slot that is free first.
    fn simulate(documents: f64, settings: Settings, ramp: Ramp, batch_seconds: f64) -> f64 {
        let opens_at = |slot: u32| {
            let after = (f64::from(slot) + 1.0 - ramp.start).max(0.0);
            if after == 0.0 { 0 } else { (after * 60_000.0 / ramp.per_minute).round() as u64 }
        };
        let mut free: BinaryHeap<_> = (0..settings.maximum_concurrency).map(|slot| Reverse(opens_at(slot))).collect();
        let mut end = 0;
        for _ in 0..settings.batches(documents) as u64 {
            let Reverse(at) = free.pop().expect("MaximumConcurrency is at least 2");
            end = end.max(at + (batch_seconds * 1e3) as u64);
            free.push(Reverse(at + (batch_seconds * 1e3) as u64));
        }
        end as f64 / 1e3
    }

    #[test]
    fn run_without_a_ramp_takes_whole_waves() {
        // 600 documents make 61 batches, the first not full: 13 waves of five, 4 s
        // each. 590 documents make 60 batches: 12 waves.
        assert_eq!(time_by_concurrency(600.0, settings(5, 10), NO_RAMP, 4.0), 52.0);
        assert_eq!(time_by_concurrency(590.0, settings(5, 10), NO_RAMP, 4.0), 48.0);
        assert_eq!(time_by_concurrency(1.0, settings(5, 10), NO_RAMP, 4.0), 4.0);
        // Batches of one are always full.
        assert_eq!(time_by_concurrency(60.0, settings(5, 1), NO_RAMP, 4.0), 48.0);
    }

    #[test]
    fn ramp_adds_300_batches_per_minute() {
        // From 5 to 305 is 300 batches: one minute; to 1,000, 995 / 300 of one.
        assert_eq!(Ramp::AWS.seconds_until_full(settings(305, 1)), 60.0);
        assert_eq!(Ramp::AWS.seconds_until_full(settings(1_000, 1)), 199.0);
        assert_eq!(Ramp::AWS.seconds_until_full(settings(3, 1)), 0.0);
        // The mean of 5 and 305 batches is 155. For 60 s, with 8 s and 10 documents per
        // batch: 155 × 60 / 8 × 10 = 11,625. Afterwards 305 / 8 × 10 per second.
        assert_eq!(Ramp::AWS.documents_started_by(60.0, settings(305, 10), 8.0), 11_625.0);
        assert_eq!(Ramp::AWS.documents_started_by(68.0, settings(305, 10), 8.0), 11_625.0 + 3_050.0);
    }

    #[test]
    fn formula_agrees_with_simulation_of_every_batch() {
        for documents in [1.0, 37.0, 1_000.0, 10_000.0] {
            for (concurrency, size) in [(2, 1), (5, 10), (37, 3), (1_000, 1), (1_000, 100)] {
                for (ramp, seconds) in [(NO_RAMP, 8.0), (Ramp::AWS, 8.0), (Ramp::AWS, 0.5), (Ramp::AWS, 90.0)] {
                    let setting = settings(concurrency, size);
                    let (formula, simulated) = (
                        time_by_concurrency(documents, setting, ramp, seconds),
                        simulate(documents, setting, ramp, seconds),
                    );
                    assert!(
                        (formula - simulated).abs() < 0.01,
                        "{documents} {setting:?} {seconds}: {formula} {simulated}"
                    );
                }
            }
        }
    }

    #[test]
    fn quota_limits_the_run_once_concurrency_reaches_it() {
        // 600 documents at 2 per second, five concurrent batches of 10: 300 s.
        assert_eq!(time_by_quota(600.0, settings(5, 10), NO_RAMP, 4.0, 2.0), 300.0);
        // 5 batches of 10 in 4 s are 12.5 per second: a quota of 12.5 is no limit.
        assert_eq!(time_by_quota(600.0, settings(5, 10), NO_RAMP, 4.0, 12.5), 0.0);
        // With a ramp, 10 documents per second of 8 s need 80 batches of one: reached
        // after (80 − 5) / 5 = 15 s. By then (5 + 80) / 2 × 15 / 8 = 79.69 documents
        // have started. The other 920.31 take 92.03 s.
        let time = time_by_quota(1_000.0, settings(100, 1), Ramp::AWS, 8.0, 10.0);
        assert!((time - (15.0 + 92.03)).abs() < 0.01, "{time}");
    }
}
