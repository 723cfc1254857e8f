//! How the event source mapping takes up its work, and when the work is done.
//!
//! On a standard queue it starts with five batches and reads with up to 300
//! more each minute, until MaximumConcurrency is reached.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>

use super::Settings;

/// How the poller ramps up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// Batches at the same time when it starts.
    pub start: f64,
    /// Batches more, each minute.
    pub per_minute: f64,
}

impl Ramp {
    /// As AWS has it.
    pub const AWS: Self = Self { start: 5.0, per_minute: 300.0 };

    /// Batches at the same time, so long after the start. Fractions count, but
    /// one that is not whole yet runs nothing.
    fn batches_at(self, seconds: f64, settings: Settings) -> f64 {
        (self.start + self.per_minute * seconds / 60.0).min(f64::from(settings.maximum_concurrency))
    }

    /// Seconds until MaximumConcurrency is reached.
    pub fn seconds_until_full(self, settings: Settings) -> f64 {
        let missing = (f64::from(settings.maximum_concurrency) - self.start).max(0.0);
        if missing == 0.0 { 0.0 } else { missing * 60.0 / self.per_minute }
    }

    /// Documents that are begun in the first seconds, as a flow: the integral of
    /// the batches at the same time, times BatchSize, by `batch_seconds` each.
    pub fn documents_by(self, seconds: f64, settings: Settings, batch_seconds: f64) -> f64 {
        let full_at = self.seconds_until_full(settings);
        let ramp = seconds.min(full_at);
        let start = self.start.min(f64::from(settings.maximum_concurrency));
        let rising = start * ramp + self.per_minute / 60.0 * ramp * ramp / 2.0;
        let level = f64::from(settings.maximum_concurrency) * (seconds - ramp);
        (rising + level) * f64::from(settings.batch_size) / batch_seconds
    }
}

/// Seconds until so many documents are done, with the places for batches as the
/// only limit.
///
/// A batch begins when a place opens, and each time a batch ends. So the batches
/// begun by `t` are the places at `t`, and at `t − batch_seconds`, and so on;
/// the last one begins when these are enough, and takes its time.
pub fn places_time(documents: f64, settings: Settings, ramp: Ramp, batch_seconds: f64) -> f64 {
    let batches = settings.batches(documents);
    let most = f64::from(settings.maximum_concurrency);
    let full_at = ramp.seconds_until_full(settings);
    let begun = |at: f64| {
        // Where all places were open already, each step back counts them all.
        let at_level = if at < full_at { 0.0 } else { ((at - full_at) / batch_seconds).floor() + 1.0 };
        let mut begun = at_level * most;
        let mut earlier = at - at_level * batch_seconds;
        while earlier >= 0.0 {
            begun += (ramp.batches_at(earlier, settings) + 1e-9).floor();
            earlier -= batch_seconds;
        }
        begun
    };
    let waves = (batches / most).ceil() - 1.0;
    // Exact when there is no ramp, and else close below the end.
    if begun(waves * batch_seconds) >= batches {
        return (waves + 1.0) * batch_seconds;
    }
    let (mut early, mut late) = (waves * batch_seconds, full_at + (waves + 1.0) * batch_seconds);
    while late - early > 1e-3 {
        let middle = f64::midpoint(early, late);
        if begun(middle) >= batches { late = middle } else { early = middle }
    }
    late + batch_seconds
}

/// Seconds until so many documents are done when the quota feeds no more than
/// `rate` a second: by places until these take up the whole rate, by the quota
/// from then on.
pub fn quota_time(documents: f64, settings: Settings, ramp: Ramp, batch_seconds: f64, rate: f64) -> f64 {
    let per_place = f64::from(settings.batch_size) / batch_seconds;
    let places = rate / per_place;
    if places >= f64::from(settings.maximum_concurrency) {
        return 0.0;
    }
    let by_quota_from = if places <= ramp.start { 0.0 } else { (places - ramp.start) * 60.0 / ramp.per_minute };
    let before = ramp.documents_by(by_quota_from, settings, batch_seconds);
    if before >= documents { 0.0 } else { by_quota_from + (documents - before) / rate }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    const NONE: Ramp = Ramp { start: 1_000.0, per_minute: 0.0 };

    fn settings(maximum_concurrency: u32, batch_size: u32) -> Settings {
        Settings { maximum_concurrency, batch_size }
    }

    /// Batch by batch, in milliseconds: each takes the place that is free first.
    fn simulated(documents: f64, settings: Settings, ramp: Ramp, batch_seconds: f64) -> f64 {
        let opens = |place: u32| {
            let after = (f64::from(place) + 1.0 - ramp.start).max(0.0);
            if after == 0.0 { 0 } else { (after * 60_000.0 / ramp.per_minute).round() as u64 }
        };
        let mut free: BinaryHeap<_> = (0..settings.maximum_concurrency).map(|place| Reverse(opens(place))).collect();
        let mut end = 0;
        for _ in 0..settings.batches(documents) as u64 {
            let Reverse(at) = free.pop().expect("a place");
            end = end.max(at + (batch_seconds * 1e3) as u64);
            free.push(Reverse(at + (batch_seconds * 1e3) as u64));
        }
        end as f64 / 1e3
    }

    #[test]
    fn without_a_ramp_the_documents_go_in_waves() {
        // 600 documents fill 60 batches and come in 61, five at a time: 13 waves
        // of 4 s; 59 batches and one are 12 waves.
        assert_eq!(places_time(600.0, settings(5, 10), NONE, 4.0), 52.0);
        assert_eq!(places_time(590.0, settings(5, 10), NONE, 4.0), 48.0);
        assert_eq!(places_time(1.0, settings(5, 10), NONE, 4.0), 4.0);
        // Batches of one are always full.
        assert_eq!(places_time(60.0, settings(5, 1), NONE, 4.0), 48.0);
    }

    #[test]
    fn the_ramp_takes_a_minute_for_each_three_hundred_batches() {
        // From 5 to 305 is 300 batches: one minute; to 1,000, 995 / 300 of one.
        assert_eq!(Ramp::AWS.seconds_until_full(settings(305, 1)), 60.0);
        assert_eq!(Ramp::AWS.seconds_until_full(settings(1_000, 1)), 199.0);
        assert_eq!(Ramp::AWS.seconds_until_full(settings(3, 1)), 0.0);
        // The mean of 5 and 305 batches is 155, for 60 s at 8 s each, of 10
        // documents: 155 × 60 / 8 × 10 = 11,625; then 305 / 8 × 10 a second.
        assert_eq!(Ramp::AWS.documents_by(60.0, settings(305, 10), 8.0), 11_625.0);
        assert_eq!(Ramp::AWS.documents_by(68.0, settings(305, 10), 8.0), 11_625.0 + 3_050.0);
    }

    #[test]
    fn the_formula_agrees_with_a_simulation_batch_by_batch() {
        for documents in [1.0, 37.0, 1_000.0, 10_000.0] {
            for (most, size) in [(2, 1), (5, 10), (37, 3), (1_000, 1), (1_000, 100)] {
                for (ramp, seconds) in [(NONE, 8.0), (Ramp::AWS, 8.0), (Ramp::AWS, 0.5), (Ramp::AWS, 90.0)] {
                    let setting = settings(most, size);
                    let (formula, one_by_one) =
                        (places_time(documents, setting, ramp, seconds), simulated(documents, setting, ramp, seconds));
                    assert!(
                        (formula - one_by_one).abs() < 0.01,
                        "{documents} {setting:?} {seconds}: {formula} {one_by_one}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_quota_counts_from_when_the_places_take_it_all() {
        // 2 a second for 600 documents, five batches of 10 at once: 300 s.
        assert_eq!(quota_time(600.0, settings(5, 10), NONE, 4.0, 2.0), 300.0);
        // 5 batches of 10 in 4 s are 12.5 a second: a quota of 12.5 does not bind.
        assert_eq!(quota_time(600.0, settings(5, 10), NONE, 4.0, 12.5), 0.0);
        // With a ramp, 10 documents a second of 8 s want 80 places: (80 − 5) / 5
        // = 15 s, in which (5 + 80) / 2 × 15 / 8 = 79.69 are begun; the other
        // 920.31 take 92.03 s.
        let time = quota_time(1_000.0, settings(100, 1), Ramp::AWS, 8.0, 10.0);
        assert!((time - (15.0 + 92.03)).abs() < 0.01, "{time}");
    }
}
