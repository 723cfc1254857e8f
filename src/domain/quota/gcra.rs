//! The rate limit that keeps calls within a model's quota.
//!
//! A quota per minute is a rate, so Docket measures every call in *quota time*. Under
//! 600,000 tokens a minute, a call of 3,000 tokens uses 0.3 s. The quotas table stores
//! one timestamp a model, `used_until`: the time until which the quota is reserved. A
//! reservation moves `used_until` forward by the quota time of its calls. This is the
//! generic cell rate algorithm (GCRA).
//!
//! ```text
//! now ─────────────── used_until ──────────────▶ time
//!        start = used_until − burst              a reservation moves used_until right
//! ```
//!
//! A reservation expires when the clock passes it, so a crashed execution environment
//! leaks no quota. An unused reservation delays other calls by its quota time at most.
//!
//! Bedrock deducts the input tokens and `maxTokens` of a call when the call begins.
//! When the call ends, Bedrock corrects the deduction to the tokens that were used.
//! Bedrock can count one output token as several tokens of the quota.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::job::stored::Usage;
use crate::domain::limits::{QUOTA_BURST, QUOTA_UNUSED_WINDOW};

/// An estimate of English text: bytes per token.
const BYTES_PER_TOKEN: u64 = 4;

/// The largest quota time of one call: at most one minute of quota is ever available.
const CALL_MAX: SignedDuration = SignedDuration::from_mins(1);

/// Docket attempts no call that is estimated at more than this many minutes of the
/// quota. The estimate is rough, so a call just above one minute is still attempted.
const ATTEMPTED_UP_TO_MINUTES: u64 = 2;

/// How the estimated tokens of a call compare with one minute of the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// One minute of the quota is enough.
    Within,
    /// More than one minute is needed, up to two. The call can succeed only if Bedrock
    /// deducts fewer tokens than estimated.
    Marginal,
    /// More than two minutes are needed. Docket does not attempt the call.
    Never,
}

/// A model's quota. At least one of the two rates is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Tokens per minute; 0 for no limit.
    pub tokens_per_minute: u64,
    /// Requests per minute; 0 for no limit.
    pub requests_per_minute: u64,
    /// The tokens that Bedrock counts against the quota for one output token.
    pub output_token_factor: u64,
}

impl Quota {
    /// The quota time that Bedrock deducts when a call begins.
    pub fn deducted(&self, input_tokens: u64, max_tokens: u64) -> SignedDuration {
        self.quota_time(input_tokens.saturating_add(max_tokens))
    }

    /// Compares a call's estimated tokens with one minute of the quota.
    pub fn fit(&self, input_tokens: u64, max_tokens: u64) -> Fit {
        let tokens = input_tokens.saturating_add(max_tokens);
        match self.tokens_per_minute {
            0 => Fit::Within,
            minute if tokens > minute.saturating_mul(ATTEMPTED_UP_TO_MINUTES) => Fit::Never,
            minute if tokens > minute => Fit::Marginal,
            _ => Fit::Within,
        }
    }

    /// The quota time that Docket counts for a call that has ended.
    ///
    /// Docket counts at least the quota time that the call used. While a call runs,
    /// Bedrock also withholds the deducted tokens that the call will not use: `unused`.
    /// At the full rate, about `elapsed` ÷ `counted` calls run at once, and each
    /// withholds `unused`. Docket keeps the product at most [`QUOTA_UNUSED_WINDOW`].
    /// The result is at most `deducted`, unless the call used more.
    pub fn counted(&self, deducted: SignedDuration, usage: Usage, elapsed: Duration) -> SignedDuration {
        let used = self.used(usage);
        let unused = (deducted - used).max(SignedDuration::ZERO);
        let withheld = unused.as_secs_f64() * elapsed.as_secs_f64() / QUOTA_UNUSED_WINDOW.as_secs_f64();
        used.max(SignedDuration::from_micros((withheld * 1e6) as i64).min(deducted))
    }

    /// The quota time that a call used, by the tokens that Bedrock reported.
    pub fn used(&self, usage: Usage) -> SignedDuration {
        let output = usage.output_tokens.saturating_mul(self.output_token_factor);
        self.quota_time(usage.input_tokens.saturating_add(output))
    }

    /// A call uses both quotas; the longer quota time decides.
    fn quota_time(&self, tokens: u64) -> SignedDuration {
        let time = |amount: u64, per_minute: u64| match per_minute {
            0 => SignedDuration::ZERO,
            // Microseconds of a minute, rounded up so that no call is free.
            per_minute => {
                let micros = (u128::from(amount) * 60_000_000).div_ceil(u128::from(per_minute));
                SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
            }
        };
        time(tokens, self.tokens_per_minute).max(time(1, self.requests_per_minute)).min(CALL_MAX)
    }
}

/// Estimates the tokens of a text from its bytes.
pub fn estimate_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// The answer to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The reservation fits.
    Admit {
        /// When the calls of the reservation may begin.
        at: Timestamp,
    },
    /// The calls could not begin by the latest start.
    Reject {
        /// When the same reservation would fit, without further reservations.
        retry_at: Timestamp,
    },
}

/// Decides whether a reservation fits, and when its calls may begin.
///
/// The quota is reserved until `used_until`. Calls may begin up to [`QUOTA_BURST`]
/// before `used_until`, and must begin by `latest_start`.
pub fn find_slot(used_until: Option<Timestamp>, now: Timestamp, latest_start: Timestamp) -> Slot {
    let start = used_until.map_or(now, |used_until| used_until - QUOTA_BURST).max(now);
    if start <= latest_start {
        Slot::Admit { at: start }
    } else {
        Slot::Reject { retry_at: now + start.duration_since(latest_start) }
    }
}

/// The new `used_until` after a reservation of `reserved` quota time.
pub fn used_until_after(used_until: Option<Timestamp>, now: Timestamp, reserved: SignedDuration) -> Timestamp {
    used_until.map_or(now, |used_until| used_until.max(now)) + reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { tokens_per_minute: 600_000, requests_per_minute: 0, output_token_factor: 1 };

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    fn ms(milliseconds: i64) -> SignedDuration {
        SignedDuration::from_millis(milliseconds)
    }

    #[test]
    fn call_tokens_become_quota_time() {
        assert_eq!(QUOTA.deducted(2_000, 1_000), ms(300));
        let usage = Usage { input_tokens: 2_000, output_tokens: 300 };
        assert_eq!(QUOTA.used(usage), ms(230));
        assert_eq!(Quota { output_token_factor: 5, ..QUOTA }.used(usage), ms(350));
        assert_eq!(
            Quota { output_token_factor: 5, ..QUOTA }.deducted(2_000, 1_000),
            ms(300),
            "the factor applies after the answer"
        );
    }

    #[test]
    fn ended_call_counts_usage_or_withheld_tokens() {
        let usage = Usage { input_tokens: 2_000, output_tokens: 300 };
        let counted = |deducted, seconds| QUOTA.counted(deducted, usage, Duration::from_secs(seconds));
        assert_eq!(counted(ms(300), 8), ms(230));
        // 6.43 s are deducted and 0.23 s used; a call of 8 s withholds 8/30 of the rest.
        assert_eq!(counted(ms(6_430), 8), SignedDuration::from_micros(1_653_333));
        assert_eq!(counted(ms(6_430), 150), ms(6_430), "no more than was deducted");
        assert_eq!(counted(ms(100), 8), ms(230), "more was used than deducted");
    }

    #[test]
    fn scarcer_of_two_quotas_decides() {
        let both = Quota { requests_per_minute: 600, ..QUOTA };
        assert_eq!((both.deducted(500, 100), both.deducted(2_000, 1_000)), (ms(100), ms(300)));
        let requests = Quota { tokens_per_minute: 0, ..both };
        assert_eq!(requests.deducted(1_000_000, 1_000), ms(100));
        assert_eq!(requests.used(Usage::default()), ms(100));
    }

    #[test]
    fn call_above_two_minutes_of_quota_never_fits() {
        let fits = [(599_000, 1_000), (600_000, 1), (1_000_000, 200_000), (1_200_000, 1)];
        let fits = fits.map(|(input_tokens, max_tokens)| QUOTA.fit(input_tokens, max_tokens));
        assert_eq!(fits, [Fit::Within, Fit::Marginal, Fit::Marginal, Fit::Never]);
        assert_eq!(Quota { tokens_per_minute: 0, requests_per_minute: 1, ..QUOTA }.fit(u64::MAX, 1), Fit::Within);
    }

    #[test]
    fn largest_numbers_do_not_overflow() {
        assert_eq!(Quota { tokens_per_minute: 1, ..QUOTA }.deducted(u64::MAX, u64::MAX), CALL_MAX);
        assert_eq!(Quota { tokens_per_minute: u64::MAX, ..QUOTA }.deducted(1, 1), SignedDuration::from_micros(1));
    }

    #[test]
    fn reservation_starts_at_free_quota_or_is_rejected() {
        let burst = QUOTA_BURST.as_millis() as i64;
        assert_eq!(find_slot(None, at(0), at(0)), Slot::Admit { at: at(0) });
        assert_eq!(find_slot(Some(at(-9_000)), at(0), at(0)), Slot::Admit { at: at(0) });
        assert_eq!(find_slot(Some(at(burst)), at(0), at(0)), Slot::Admit { at: at(0) });
        assert_eq!(find_slot(Some(at(burst + 500)), at(0), at(1_000)), Slot::Admit { at: at(500) });
        assert_eq!(find_slot(Some(at(burst + 1_000)), at(0), at(1_000)), Slot::Admit { at: at(1_000) });
        assert_eq!(find_slot(Some(at(burst + 1_300)), at(0), at(1_000)), Slot::Reject { retry_at: at(300) });
    }

    /// In any span of time, the admitted quota time is at most the span, one burst,
    /// and the reservation that starts last.
    #[test]
    fn no_time_span_admits_more_than_quota_and_burst() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let (mut now, mut used_until, mut begun) = (0, None, Vec::new());
            for _ in 0..200 {
                now += random.i64(0..400);
                let reserved = random.i64(1..600);
                if let Slot::Admit { at: start } = find_slot(used_until, at(now), at(now + 4_000)) {
                    used_until = Some(used_until_after(used_until, at(now), ms(reserved)));
                    begun.push((start, reserved));
                }
            }
            for (first, (from, _)) in begun.iter().enumerate() {
                let mut sum = 0;
                for (start, reserved) in &begun[first..] {
                    let span = start.duration_since(*from).as_millis() as i64;
                    assert!(sum <= span + QUOTA_BURST.as_millis() as i64, "{sum} ms of quota in {span} ms");
                    sum += reserved;
                }
            }
        }
    }
}
