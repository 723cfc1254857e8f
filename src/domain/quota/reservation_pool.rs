//! The reserved quota that one execution environment holds.
//!
//! An environment reserves quota time for several calls with one write, and its calls
//! draw from this pool. Answers are usually shorter than `maxTokens`, so a call uses
//! less than Bedrock deducts when the call begins. The pool learns the *counted
//! fraction* from answered calls: the counted quota time ÷ the deducted quota time.
//! Later calls draw only this fraction of their deduction. An environment adopts the
//! fraction in the quotas table until it has made ten calls.
//!
//! Quota that a call drew and did not use goes back into the pool for later calls.
//! The pool keeps its balance until [`RESERVATION_POOL_TTL`] after the last
//! reservation. Bedrock counts by the minute, so quota that was reserved a minute ago
//! is no longer free.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::limits::{
    INPUT_TOKENS_ASSUMED, QUOTA_RETRY_MAX, RESERVATION_CALLS, RESERVATION_MAX, RESERVATION_POOL_TTL,
};

/// The weight of the newest call in an exponentially weighted moving average.
const EWMA_ALPHA: f64 = 0.1;

/// The answered calls after which an environment stores its counted fraction in the
/// quotas table, and no longer adopts the stored one.
const CALLS_BEFORE_SHARING: u32 = 10;

/// The fraction of the backlog's quota time over which waiting messages are spread.
/// A value below 1 lets messages return slightly early, so that the quota is rarely idle.
const RETRY_SPREAD: f64 = 0.75;

/// Documents that are rejected within this time get the same retry time, so that
/// one reservation serves all of them.
const RETRY_GROUP_WINDOW: SignedDuration = SignedDuration::from_secs(1);

/// The reserved quota of one execution environment, in quota time.
#[derive(Debug, Clone)]
pub struct ReservationPool {
    /// Negative after calls that used more than they drew.
    balance: SignedDuration,
    expires_at: Timestamp,
    waiting: SignedDuration,
    exhausted_until: Timestamp,
    mean_input_tokens: f64,
    mean_counted: Option<SignedDuration>,
    counted_fraction: Option<f64>,
    calls: u32,
    retry_group: Option<RetryGroup>,
}

/// Rejected documents that return at the same time.
#[derive(Debug, Clone, Copy)]
struct RetryGroup {
    decided_at: Timestamp,
    retry_at: Timestamp,
    /// The quota time of further documents that this group can take.
    capacity: SignedDuration,
}

impl Default for ReservationPool {
    fn default() -> Self {
        Self {
            balance: SignedDuration::ZERO,
            expires_at: Timestamp::MIN,
            waiting: SignedDuration::ZERO,
            exhausted_until: Timestamp::MIN,
            mean_input_tokens: INPUT_TOKENS_ASSUMED as f64,
            mean_counted: None,
            counted_fraction: None,
            calls: 0,
            retry_group: None,
        }
    }
}

impl ReservationPool {
    /// Draws `amount` for a call; `false` when the pool holds less.
    pub fn try_draw(&mut self, amount: SignedDuration, now: Timestamp) -> bool {
        if now >= self.expires_at {
            // Unused quota expires; a debt does not.
            self.balance = self.balance.min(SignedDuration::ZERO);
        }
        let is_enough = self.balance >= amount;
        if is_enough {
            self.balance -= amount;
        }
        is_enough
    }

    /// Corrects the balance after a call. The difference is the quota that the call
    /// drew, minus the quota that Docket counted for the call.
    pub fn return_unused(&mut self, difference: SignedDuration) {
        self.balance += difference;
    }

    /// Adds the part of a reservation that its first call does not need. The expiry of
    /// the entire balance restarts.
    pub fn deposit(&mut self, rest: SignedDuration, now: Timestamp) {
        self.balance += rest;
        self.expires_at = now + RESERVATION_POOL_TTL;
    }

    /// Changes the quota time of the calls that wait for the next reservation:
    /// positive when a call begins to wait, negative when it stops.
    pub fn add_waiting(&mut self, amount: SignedDuration) {
        self.waiting += amount;
    }

    /// The quota time to reserve for a call that draws `amount`, after
    /// [`try_draw`](Self::try_draw) has failed for the same amount.
    ///
    /// - The reservation covers the waiting calls, and at least [`RESERVATION_CALLS`]
    ///   calls. The size of such a call is the larger of `amount` and the recent mean.
    /// - The covered time is at most [`RESERVATION_MAX`], unless `amount` alone is more.
    /// - The balance is subtracted, so a debt is added.
    ///
    /// The result is positive, because the balance is less than `amount`.
    pub fn amount_to_reserve(&self, amount: SignedDuration) -> SignedDuration {
        let call = amount.max(self.mean_counted.unwrap_or(amount));
        let several = self.waiting.max(call * RESERVATION_CALLS);
        amount.max(several.min(largest_reservation())) - self.balance
    }

    /// Records until when the quota admits no reservation.
    pub fn mark_exhausted(&mut self, until: Timestamp) {
        self.exhausted_until = until;
    }

    /// Whether the quota is known to be exhausted.
    pub fn is_exhausted(&self, now: Timestamp) -> bool {
        now < self.exhausted_until
    }

    /// How long a rejected document waits in the queue.
    ///
    /// The delay has two parts:
    ///
    /// - the time until the rejected reservation would fit,
    /// - a random part of the quota time that the queue's `backlog` needs.
    ///
    /// Messages thus return about as fast as the quota admits them. If the backlog is
    /// unknown, `otherwise` is the second part. `amount` is the document's quota time;
    /// `random` is uniform in `[0, 1)`.
    pub fn retry_after(
        &mut self,
        amount: SignedDuration,
        now: Timestamp,
        backlog: Option<u64>,
        otherwise: Duration,
        random: f64,
    ) -> Duration {
        let mean = self.mean_counted.unwrap_or(amount);
        let group = self.retry_group.filter(|group| {
            now.duration_since(group.decided_at) < RETRY_GROUP_WINDOW && group.capacity > SignedDuration::ZERO
        });
        let group = group.unwrap_or_else(|| {
            let spread = backlog.map_or(otherwise, |messages| {
                let spread = messages as f64 * mean.as_secs_f64() * RETRY_SPREAD;
                Duration::from_secs_f64(spread.min(QUOTA_RETRY_MAX.as_secs_f64()) * random.clamp(0.0, 1.0))
            });
            let retry_at = self.exhausted_until.max(now) + spread;
            RetryGroup { decided_at: now, retry_at, capacity: largest_reservation() }
        });
        self.retry_group = Some(RetryGroup { capacity: group.capacity - mean, ..group });
        Duration::try_from(group.retry_at.duration_since(now)).unwrap_or_default().min(QUOTA_RETRY_MAX)
    }

    /// Learns from an answered call.
    ///
    /// `deducted` is the quota time that Bedrock deducted when the call began, and
    /// `counted` the quota time that Docket counted at its end.
    pub fn record_call(&mut self, input_tokens: u64, deducted: SignedDuration, counted: SignedDuration) {
        // The first call replaces the assumed value.
        let weight = if self.calls == 0 { 1.0 } else { EWMA_ALPHA };
        self.mean_input_tokens += weight * (input_tokens as f64 - self.mean_input_tokens);
        let mean = self.mean_counted.unwrap_or(counted).as_secs_f64();
        let mean = mean + EWMA_ALPHA * (counted.as_secs_f64() - mean);
        self.mean_counted = Some(SignedDuration::from_micros((mean * 1e6) as i64));
        let fraction = counted.as_secs_f64() / deducted.as_secs_f64().max(1e-6);
        let before = self.counted_fraction.unwrap_or(fraction);
        self.counted_fraction = Some(before + EWMA_ALPHA * (fraction - before));
        self.calls = self.calls.saturating_add(1);
    }

    /// Adopts the stored counted fraction until this environment has made ten calls.
    pub fn adopt_fraction(&mut self, fraction: f64) {
        if self.calls < CALLS_BEFORE_SHARING {
            self.counted_fraction = Some(fraction);
        }
    }

    /// The fraction of the deducted quota time that Docket counts for a call. `None`
    /// until a call of this environment was answered, or a value was adopted.
    pub fn counted_fraction(&self) -> Option<f64> {
        self.counted_fraction
    }

    /// The counted fraction to store in the quotas table; `None` before ten calls.
    pub fn fraction_to_share(&self) -> Option<f64> {
        self.counted_fraction.filter(|_| self.calls >= CALLS_BEFORE_SHARING)
    }

    /// The expected input tokens of a document of unknown size: the recent mean.
    pub fn expected_input_tokens(&self) -> u64 {
        self.mean_input_tokens as u64
    }
}

fn largest_reservation() -> SignedDuration {
    SignedDuration::from_micros(RESERVATION_MAX.as_micros() as i64)
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
    fn unused_reservation_serves_later_calls() {
        let mut pool = ReservationPool::default();
        assert!(!pool.try_draw(ms(100), at(0)));
        pool.deposit(pool.amount_to_reserve(ms(100)), at(0));
        for _ in 0..RESERVATION_CALLS {
            assert!(pool.try_draw(ms(100), at(0)));
        }
        assert!(!pool.try_draw(ms(100), at(0)));
        for _ in 0..4 {
            pool.return_unused(ms(25));
        }
        assert!(pool.try_draw(ms(100), at(0)));
    }

    #[test]
    fn unused_quota_expires() {
        let mut pool = ReservationPool::default();
        pool.deposit(ms(500), at(0));
        let ttl = RESERVATION_POOL_TTL.as_millis() as i64;
        assert!(pool.try_draw(ms(100), at(ttl - 1)));
        assert!(!pool.try_draw(ms(100), at(ttl)));
    }

    #[test]
    fn reservation_covers_waiting_calls_up_to_maximum() {
        let maximum = RESERVATION_MAX.as_millis() as i64;
        let mut pool = ReservationPool::default();
        assert_eq!(pool.amount_to_reserve(ms(10)), ms(10) * RESERVATION_CALLS);
        pool.add_waiting(ms(300));
        assert_eq!(pool.amount_to_reserve(ms(10)), ms(300));
        pool.add_waiting(ms(100_000));
        assert_eq!(pool.amount_to_reserve(ms(10)), ms(maximum));
        assert_eq!(pool.amount_to_reserve(ms(9_000)), ms(9_000), "a single call may take more");
    }

    #[test]
    fn overused_quota_is_added_to_next_reservation() {
        let mut pool = ReservationPool::default();
        pool.deposit(ms(100), at(0));
        assert!(pool.try_draw(ms(100), at(0)));
        pool.return_unused(ms(-40));
        assert_eq!(pool.amount_to_reserve(ms(100)), ms(100) * RESERVATION_CALLS + ms(40));
    }

    #[test]
    fn counted_fraction_is_adopted_then_learned() {
        let mut pool = ReservationPool::default();
        assert_eq!(pool.counted_fraction(), None);
        pool.adopt_fraction(0.5);
        assert_eq!((pool.counted_fraction(), pool.fraction_to_share()), (Some(0.5), None));
        for _ in 0..100 {
            pool.record_call(700, ms(100), ms(25));
        }
        pool.adopt_fraction(0.9);
        assert!(
            pool.counted_fraction().is_some_and(|fraction| (0.25..0.26).contains(&fraction)),
            "{:?}",
            pool.counted_fraction()
        );
        assert_eq!(pool.fraction_to_share(), pool.counted_fraction());
    }

    #[test]
    fn rejected_documents_spread_over_backlog_time() {
        let random = |random, backlog| {
            let mut pool = ReservationPool::default();
            pool.mark_exhausted(at(3_000));
            pool.retry_after(ms(100), at(0), backlog, Duration::from_secs(7), random).as_millis()
        };
        assert_eq!(random(0.0, Some(1_000)), 3_000);
        assert_eq!(random(0.5, Some(1_000)), 3_000 + 37_500);
        assert_eq!(random(0.5, None), 3_000 + 7_000);
        assert_eq!(random(1.0, Some(1_000_000)), QUOTA_RETRY_MAX.as_millis());
    }

    #[test]
    fn documents_rejected_together_retry_together() {
        let mut pool = ReservationPool::default();
        let mut after = |random| pool.retry_after(ms(500), at(0), Some(1_000), Duration::ZERO, random);
        let first = after(0.5);
        assert_eq!([after(0.1), after(0.2), after(0.3)], [first; 3]);
        assert_ne!(after(0.1), first, "a group holds four of these");
    }
}
