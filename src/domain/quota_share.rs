//! What one function holds of a quota.
//!
//! A function reserves for several calls at once, so that the table is written
//! to once for all of them. A call counts less than Bedrock takes when it begins,
//! for answers are shorter than maxTokens: what part of it, the last calls have
//! told, and the table tells it to functions that have made none. The difference
//! to what a call then did use is kept for the next; what is kept for too long is
//! forgotten, for the quota's time has passed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::limits::{INPUT_TOKENS_ASSUMED, QUOTA_CHUNK, QUOTA_CHUNK_CALLS, QUOTA_KEPT, QUOTA_RETURN_CAP};

/// How much of what is new counts in a mean.
const NEWS: f64 = 0.1;

/// From how many calls on a function tells the others what part it has seen.
const CALLS_TO_TELL: u32 = 10;

/// The part of the backlog's time over which documents come back: a little
/// early, so that the quota is never short of them.
const RETURN_SPREAD: f64 = 0.75;

/// For how long documents that are given back are told the same time, so that
/// they come again together and one reservation serves them.
const RETURN_TOGETHER: SignedDuration = SignedDuration::from_secs(1);

/// What a function holds of a quota, in the quota's time.
#[derive(Debug, Clone)]
pub struct Share {
    /// Less than nothing when calls used more than they had reserved.
    held: SignedDuration,
    kept_until: Timestamp,
    waiting: SignedDuration,
    full_until: Timestamp,
    mean_input_tokens: f64,
    mean_taken: Option<SignedDuration>,
    part: Option<f64>,
    calls: u32,
    together: Option<Together>,
}

/// Documents that come back together.
#[derive(Debug, Clone, Copy)]
struct Together {
    decided_at: Timestamp,
    return_at: Timestamp,
    room: SignedDuration,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            held: SignedDuration::ZERO,
            kept_until: Timestamp::MIN,
            waiting: SignedDuration::ZERO,
            full_until: Timestamp::MIN,
            mean_input_tokens: INPUT_TOKENS_ASSUMED as f64,
            mean_taken: None,
            part: None,
            calls: 0,
            together: None,
        }
    }
}

impl Share {
    /// Takes it for a call, if it is there.
    pub fn take(&mut self, taken: SignedDuration, now: Timestamp) -> bool {
        if now >= self.kept_until {
            // What is owed stays.
            self.held = self.held.min(SignedDuration::ZERO);
        }
        let enough = self.held >= taken;
        if enough {
            self.held -= taken;
        }
        enough
    }

    /// Puts back what was taken and not used, or used and not taken.
    pub fn put_back(&mut self, difference: SignedDuration) {
        self.held += difference;
    }

    /// Adds a reservation.
    pub fn add(&mut self, reserved: SignedDuration, now: Timestamp) {
        self.held += reserved;
        self.kept_until = now + QUOTA_KEPT;
    }

    /// A call begins or ends to wait for a reservation.
    pub fn wait(&mut self, taken: SignedDuration) {
        self.waiting += taken;
    }

    /// What to reserve when a call that takes so much has its turn: enough for
    /// those that wait and for the next few, and what is owed.
    pub fn to_reserve(&self, taken: SignedDuration) -> SignedDuration {
        let call = taken.max(self.mean_taken.unwrap_or(taken));
        let several = self.waiting.max(call * QUOTA_CHUNK_CALLS);
        taken.max(several.min(chunk())) - self.held
    }

    /// The quota is used up: nobody here asks again before.
    pub fn full(&mut self, until: Timestamp) {
        self.full_until = until;
    }

    /// Whether it is known to be used up.
    pub fn is_full(&self, now: Timestamp) -> bool {
        now < self.full_until
    }

    /// How long a document waits in the queue that is given back: until the quota
    /// is free, and longer by chance, over the time that the `backlog` before it
    /// takes, so that documents come back as fast as the quota feeds them. Where
    /// the backlog is not known, `otherwise` longer.
    ///
    /// `taken` is what the document takes; `random` is uniform in `[0, 1)`.
    pub fn return_after(
        &mut self,
        taken: SignedDuration,
        now: Timestamp,
        backlog: Option<u64>,
        otherwise: Duration,
        random: f64,
    ) -> Duration {
        let mean = self.mean_taken.unwrap_or(taken);
        let together = self.together.filter(|together| {
            now.duration_since(together.decided_at) < RETURN_TOGETHER && together.room > SignedDuration::ZERO
        });
        let together = together.unwrap_or_else(|| {
            let spread = backlog.map_or(otherwise, |messages| {
                let spread = messages as f64 * mean.as_secs_f64() * RETURN_SPREAD;
                Duration::from_secs_f64(spread.min(QUOTA_RETURN_CAP.as_secs_f64()) * random.clamp(0.0, 1.0))
            });
            Together { decided_at: now, return_at: self.full_until.max(now) + spread, room: chunk() }
        });
        self.together = Some(Together { room: together.room - mean, ..together });
        Duration::try_from(together.return_at.duration_since(now)).unwrap_or_default().min(QUOTA_RETURN_CAP)
    }

    /// Learns from a call that has ended: what Bedrock took when it began, and what
    /// it counted in the end.
    pub fn learn(&mut self, input_tokens: u64, reserved: SignedDuration, counted: SignedDuration) {
        // The first call's own tokens replace what was assumed.
        let news = if self.calls == 0 { 1.0 } else { NEWS };
        self.mean_input_tokens += news * (input_tokens as f64 - self.mean_input_tokens);
        let mean = self.mean_taken.unwrap_or(counted).as_secs_f64();
        let mean = mean + NEWS * (counted.as_secs_f64() - mean);
        self.mean_taken = Some(SignedDuration::from_micros((mean * 1e6) as i64));
        let part = counted.as_secs_f64() / reserved.as_secs_f64().max(1e-6);
        let before = self.part.unwrap_or(part);
        self.part = Some(before + NEWS * (part - before));
        self.calls = self.calls.saturating_add(1);
    }

    /// Learns from other functions' calls, until there are enough of its own.
    pub fn hear(&mut self, part: f64) {
        if self.calls < CALLS_TO_TELL {
            self.part = Some(part);
        }
    }

    /// What part a call counts of what Bedrock takes when it begins; `None` until
    /// a call or another function has told.
    pub fn part(&self) -> Option<f64> {
        self.part
    }

    /// What to tell other functions.
    pub fn part_to_tell(&self) -> Option<f64> {
        self.part.filter(|_| self.calls >= CALLS_TO_TELL)
    }

    /// Input tokens of a document whose size is not known: those of the last ones.
    pub fn input_tokens(&self) -> u64 {
        self.mean_input_tokens as u64
    }
}

fn chunk() -> SignedDuration {
    SignedDuration::from_micros(QUOTA_CHUNK.as_micros() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    fn ms(milliseconds: i64) -> SignedDuration {
        SignedDuration::from_millis(milliseconds)
    }

    #[test]
    fn a_reservation_serves_several_calls_and_what_they_did_not_use_serves_more() {
        let mut share = Share::default();
        assert!(!share.take(ms(100), at(0)));
        share.add(share.to_reserve(ms(100)), at(0));
        for _ in 0..QUOTA_CHUNK_CALLS {
            assert!(share.take(ms(100), at(0)));
        }
        assert!(!share.take(ms(100), at(0)));
        for _ in 0..4 {
            share.put_back(ms(25));
        }
        assert!(share.take(ms(100), at(0)));
    }

    #[test]
    fn what_is_kept_too_long_is_forgotten() {
        let mut share = Share::default();
        share.add(ms(500), at(0));
        let kept = QUOTA_KEPT.as_millis() as i64;
        assert!(share.take(ms(100), at(kept - 1)));
        assert!(!share.take(ms(100), at(kept)));
    }

    #[test]
    fn those_that_wait_are_reserved_for_together_within_a_chunk() {
        let chunk = QUOTA_CHUNK.as_millis() as i64;
        let mut share = Share::default();
        assert_eq!(share.to_reserve(ms(10)), ms(10) * QUOTA_CHUNK_CALLS);
        share.wait(ms(300));
        assert_eq!(share.to_reserve(ms(10)), ms(300));
        share.wait(ms(100_000));
        assert_eq!(share.to_reserve(ms(10)), ms(chunk));
        assert_eq!(share.to_reserve(ms(9_000)), ms(9_000), "a single call may take more");
    }

    #[test]
    fn what_calls_used_beyond_their_reservation_is_reserved_with_the_next() {
        let mut share = Share::default();
        share.add(ms(100), at(0));
        assert!(share.take(ms(100), at(0)));
        share.put_back(ms(-40));
        assert_eq!(share.to_reserve(ms(100)), ms(100) * QUOTA_CHUNK_CALLS + ms(40));
    }

    #[test]
    fn what_part_a_call_counts_is_heard_first_and_then_known() {
        let mut share = Share::default();
        assert_eq!(share.part(), None);
        share.hear(0.5);
        assert_eq!((share.part(), share.part_to_tell()), (Some(0.5), None));
        for _ in 0..100 {
            share.learn(700, ms(100), ms(25));
        }
        share.hear(0.9);
        assert!(share.part().is_some_and(|part| (0.25..0.26).contains(&part)), "{:?}", share.part());
        assert_eq!(share.part_to_tell(), share.part());
    }

    #[test]
    fn documents_come_back_over_the_time_that_the_backlog_takes() {
        let random = |random, backlog| {
            let mut share = Share::default();
            share.full(at(3_000));
            share.return_after(ms(100), at(0), backlog, Duration::from_secs(7), random).as_millis()
        };
        assert_eq!(random(0.0, Some(1_000)), 3_000);
        assert_eq!(random(0.5, Some(1_000)), 3_000 + 37_500);
        assert_eq!(random(0.5, None), 3_000 + 7_000);
        assert_eq!(random(1.0, Some(1_000_000)), QUOTA_RETURN_CAP.as_millis());
    }

    #[test]
    fn those_that_are_given_back_together_come_back_together_up_to_a_chunk() {
        let mut share = Share::default();
        let mut after = |random| share.return_after(ms(500), at(0), Some(1_000), Duration::ZERO, random);
        let first = after(0.5);
        assert_eq!([after(0.1), after(0.2), after(0.3)], [first; 3]);
        assert_ne!(after(0.1), first, "a chunk is four of these");
    }
}
