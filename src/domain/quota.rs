//! Keeping to a model's quota.
//!
//! A quota of so much a minute is a rate, and what a call takes of it is time:
//! of 600,000 tokens a minute, 3,000 tokens are 0.3 s. All functions share one
//! time in the table, until which the quota is used up; a reservation puts it
//! off by what it takes (the generic cell-rate algorithm). As the time passes by
//! itself, nothing has to be given back, and a function that ends with what it
//! had reserved holds up nobody for longer than that.
//!
//! Bedrock takes a call's input tokens and its maxTokens from the quota when it
//! begins, and corrects that to what was used when it has ended; an output token
//! may count as several.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::limits::{QUOTA_BURST, QUOTA_HELD_BACK};
use super::row::Usage;

/// Bytes of text that are about a token.
const BYTES_PER_TOKEN: u64 = 4;

/// Most of the quota's time that a call is taken to need: a quota holds no more.
const LONGEST: SignedDuration = SignedDuration::from_mins(1);

/// A call that is estimated at more than so many minutes' worth of the quota can
/// never be made. What tokens a text has is known from its bytes only about.
const NEVER: u64 = 2;

/// Whether a minute's tokens are enough for a call, by an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// They are.
    Well,
    /// Only if it takes less than estimated.
    Hardly,
    /// Bedrock would refuse it however long it waited.
    Never,
}

/// A model's quota. At least one of the two is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Tokens a minute; 0 where they are not limited.
    pub tokens_per_minute: u64,
    /// Requests a minute; 0 where they are not limited.
    pub requests_per_minute: u64,
    /// How many tokens of the quota a token of an answer counts.
    pub output_token_factor: u64,
}

impl Quota {
    /// The quota's time that Bedrock takes when a call begins.
    pub fn reserved(&self, input_tokens: u64, max_tokens: u64) -> SignedDuration {
        self.time_of(input_tokens.saturating_add(max_tokens))
    }

    /// Whether a minute's tokens are enough for such a call.
    pub fn fit(&self, input_tokens: u64, max_tokens: u64) -> Fit {
        let tokens = input_tokens.saturating_add(max_tokens);
        match self.tokens_per_minute {
            0 => Fit::Well,
            minute if tokens > minute.saturating_mul(NEVER) => Fit::Never,
            minute if tokens > minute => Fit::Hardly,
            _ => Fit::Well,
        }
    }

    /// What a call counts in the end: the quota's time that it used, and at least
    /// so much that calls in flight hold back no more than [`QUOTA_HELD_BACK`] of
    /// the quota together, which they reserved and will not use.
    pub fn counted(&self, reserved: SignedDuration, usage: Usage, elapsed: Duration) -> SignedDuration {
        let settled = self.settled(usage);
        let unused = (reserved - settled).max(SignedDuration::ZERO);
        let held_back = unused.as_secs_f64() * elapsed.as_secs_f64() / QUOTA_HELD_BACK.as_secs_f64();
        settled.max(SignedDuration::from_micros((held_back * 1e6) as i64).min(reserved))
    }

    /// The quota's time that a call has taken when it has ended.
    pub fn settled(&self, usage: Usage) -> SignedDuration {
        let output = usage.output_tokens.saturating_mul(self.output_token_factor);
        self.time_of(usage.input_tokens.saturating_add(output))
    }

    /// A call of so many tokens takes part of both quotas; the scarcer one counts.
    fn time_of(&self, tokens: u64) -> SignedDuration {
        let part = |taken: u64, per_minute: u64| match per_minute {
            0 => SignedDuration::ZERO,
            // A minute in microseconds; less than one is counted as one.
            per_minute => {
                let micros = (u128::from(taken) * 60_000_000).div_ceil(u128::from(per_minute));
                SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
            }
        };
        part(tokens, self.tokens_per_minute).max(part(1, self.requests_per_minute)).min(LONGEST)
    }
}

/// About how many tokens so many bytes of text are.
pub fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// What the table's time says to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// It may be made, and its calls may begin then.
    From(Timestamp),
    /// It would begin too late; it may be asked for again then.
    Full(Timestamp),
}

/// Whether a reservation may be made, and when its calls may begin, if the quota
/// is used up until `used_until` and they must begin by `latest_start`.
///
/// Unused time of up to [`QUOTA_BURST`] is made up for.
pub fn slot(used_until: Option<Timestamp>, now: Timestamp, latest_start: Timestamp) -> Slot {
    let start = used_until.map_or(now, |used_until| used_until - QUOTA_BURST).max(now);
    if start <= latest_start { Slot::From(start) } else { Slot::Full(now + start.duration_since(latest_start)) }
}

/// Until when the quota is used up after a reservation.
pub fn used_until_after(used_until: Option<Timestamp>, now: Timestamp, taken: SignedDuration) -> Timestamp {
    used_until.map_or(now, |used_until| used_until.max(now)) + taken
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
    fn a_call_takes_what_bedrock_takes_in_the_quotas_time() {
        assert_eq!(QUOTA.reserved(2_000, 1_000), ms(300));
        let usage = Usage { input_tokens: 2_000, output_tokens: 300 };
        assert_eq!(QUOTA.settled(usage), ms(230));
        assert_eq!(Quota { output_token_factor: 5, ..QUOTA }.settled(usage), ms(350));
        assert_eq!(Quota { output_token_factor: 5, ..QUOTA }.reserved(2_000, 1_000), ms(300), "not before the answer");
    }

    #[test]
    fn a_call_counts_what_it_used_unless_what_it_holds_back_is_more() {
        let usage = Usage { input_tokens: 2_000, output_tokens: 300 };
        let counted = |reserved, seconds| QUOTA.counted(reserved, usage, Duration::from_secs(seconds));
        assert_eq!(counted(ms(300), 8), ms(230));
        // 6.4 s of the quota are reserved, 0.23 s used: for 8 s of 30 they are held back.
        assert_eq!(counted(ms(6_430), 8), SignedDuration::from_micros(1_653_333));
        assert_eq!(counted(ms(6_430), 150), ms(6_430), "no more than was reserved");
        assert_eq!(counted(ms(100), 8), ms(230), "more was used than reserved");
    }

    #[test]
    fn of_two_quotas_the_scarcer_counts() {
        let both = Quota { requests_per_minute: 600, ..QUOTA };
        assert_eq!((both.reserved(500, 100), both.reserved(2_000, 1_000)), (ms(100), ms(300)));
        let requests = Quota { tokens_per_minute: 0, ..both };
        assert_eq!(requests.reserved(1_000_000, 1_000), ms(100));
        assert_eq!(requests.settled(Usage::default()), ms(100));
    }

    #[test]
    fn what_a_minute_never_holds_is_known_before_it_waits() {
        let fits = [(599_000, 1_000), (600_000, 1), (1_000_000, 200_000), (1_200_000, 1)];
        let fits = fits.map(|(input_tokens, max_tokens)| QUOTA.fit(input_tokens, max_tokens));
        assert_eq!(fits, [Fit::Well, Fit::Hardly, Fit::Hardly, Fit::Never]);
        assert_eq!(Quota { tokens_per_minute: 0, requests_per_minute: 1, ..QUOTA }.fit(u64::MAX, 1), Fit::Well);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        assert_eq!(Quota { tokens_per_minute: 1, ..QUOTA }.reserved(u64::MAX, u64::MAX), LONGEST);
        assert_eq!(Quota { tokens_per_minute: u64::MAX, ..QUOTA }.reserved(1, 1), SignedDuration::from_micros(1));
    }

    #[test]
    fn a_reservation_begins_when_the_quota_is_free_again_or_comes_back_later() {
        let burst = QUOTA_BURST.as_millis() as i64;
        assert_eq!(slot(None, at(0), at(0)), Slot::From(at(0)));
        assert_eq!(slot(Some(at(-9_000)), at(0), at(0)), Slot::From(at(0)));
        assert_eq!(slot(Some(at(burst)), at(0), at(0)), Slot::From(at(0)));
        assert_eq!(slot(Some(at(burst + 500)), at(0), at(1_000)), Slot::From(at(500)));
        assert_eq!(slot(Some(at(burst + 1_000)), at(0), at(1_000)), Slot::From(at(1_000)));
        assert_eq!(slot(Some(at(burst + 1_300)), at(0), at(1_000)), Slot::Full(at(300)));
    }

    /// Whoever asks, and whenever: in any span of time no more begins than the
    /// span, a burst, and the one reservation that begins last.
    #[test]
    fn no_span_of_time_gets_more_than_its_share() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let (mut now, mut used_until, mut begun) = (0, None, Vec::new());
            for _ in 0..200 {
                now += random.i64(0..400);
                let taken = random.i64(1..600);
                if let Slot::From(start) = slot(used_until, at(now), at(now + 4_000)) {
                    used_until = Some(used_until_after(used_until, at(now), ms(taken)));
                    begun.push((start, taken));
                }
            }
            for (first, (from, _)) in begun.iter().enumerate() {
                let mut sum = 0;
                for (start, taken) in &begun[first..] {
                    let span = start.duration_since(*from).as_millis() as i64;
                    assert!(sum <= span + QUOTA_BURST.as_millis() as i64, "{sum} ms of quota in {span} ms");
                    sum += taken;
                }
            }
        }
    }
}
