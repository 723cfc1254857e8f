//! The delay before a message is retried: exponential backoff with full jitter.
//!
//! <https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>

use std::time::Duration;

use crate::domain::limits::{BACKOFF_BASE, BACKOFF_CAP};

/// The delay after the `round`-th failure, counted from 1.
///
/// The delay is a random part of `BACKOFF_BASE × 2^(round-1)`, or of `BACKOFF_CAP`
/// if that is less. `random` is uniform in `[0, 1)`; other values are clamped.
pub fn full_jitter(round: u32, random: f64) -> Duration {
    let doublings = round.saturating_sub(1).min(31);
    let ceiling = BACKOFF_BASE.saturating_mul(1 << doublings).min(BACKOFF_CAP);
    ceiling.mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceiling_doubles_up_to_cap() {
        let ceilings: Vec<u64> = (1..=10).map(|round| full_jitter(round, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(full_jitter(u32::MAX, 1.0), BACKOFF_CAP);
    }

    #[test]
    fn jitter_spans_zero_to_ceiling() {
        assert_eq!(full_jitter(5, 0.0), Duration::ZERO);
        assert_eq!(full_jitter(5, 0.5), Duration::from_secs(16));
        assert_eq!(full_jitter(0, 0.5), Duration::from_secs(1));
    }
}
