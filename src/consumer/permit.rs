//! A call's share of the quota, before and while the call runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::failure::Failure;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;
use crate::domain::quota::gcra::{Fit, Quota};
use crate::domain::quota::reservation_pool::ReservationPool;

/// A call's share of the quota.
///
/// A permit that is dropped before its call puts all drawn quota back into the pool.
/// A permit that is dropped during its call counts the entire deduction, because the
/// call has no known usage. A throttled call thus slows down its environment.
#[derive(Debug)]
pub(super) struct Permit {
    pool: Arc<Mutex<ReservationPool>>,
    quota: Quota,
    /// The quota time that Bedrock deducts when the call begins.
    pub deducted: SignedDuration,
    /// The quota time that the call drew from the pool: the amount it is expected to
    /// count.
    pub drawn: SignedDuration,
    /// Whether one minute of the quota is enough for the call.
    pub fit: Fit,
    has_begun: bool,
}

impl Permit {
    /// A permit that has drawn nothing yet.
    pub fn empty(pool: &Arc<Mutex<ReservationPool>>, quota: Quota) -> Self {
        let zero = SignedDuration::ZERO;
        Self { pool: pool.clone(), quota, deducted: zero, drawn: zero, fit: Fit::Within, has_begun: false }
    }

    /// Marks the call as begun.
    pub fn begin_call(&mut self) {
        self.has_begun = true;
    }

    /// The quota time that an answered call used, in milliseconds.
    pub fn used_ms(&self, usage: Usage) -> u64 {
        u64::try_from(self.quota.used(usage).as_millis()).unwrap_or_default()
    }

    /// Counts an answered call; unused quota goes back into the pool for later calls.
    pub fn settle(mut self, usage: Usage, elapsed: Duration) {
        let counted = self.quota.counted(self.deducted, usage, elapsed);
        {
            let mut pool = lock(&self.pool);
            pool.return_unused(self.drawn - counted);
            pool.record_call(usage.input_tokens, self.deducted, counted);
        }
        // Nothing remains for `drop` to correct.
        self.drawn = self.deducted;
    }

    /// Turns the throttling of a too large document into a charged error.
    ///
    /// Throttling is no fault of a document, unless its call is estimated at more than
    /// one minute of the quota. The retries of such a document would take the entire
    /// quota again and again, so its attempt is charged.
    pub fn charge_if_too_large(&self, error: AttemptError) -> AttemptError {
        match error {
            AttemptError::Throttled(failure) if self.fit == Fit::Marginal => AttemptError::Transient(Failure::new(
                &failure.code,
                format!(
                    "{}; the call was estimated at more than one minute of the model's tokens (parameter \
                     ModelTokensPerMinute): lower ChunkMaxBytes or MaxTokens",
                    failure.message
                ),
            )),
            other => other,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let counted = if self.has_begun { self.deducted } else { SignedDuration::ZERO };
        lock(&self.pool).return_unused(self.drawn - counted);
    }
}

/// Registers a call that waits for the next reservation, until it is dropped.
pub(super) struct WaitingCall<'a> {
    pool: &'a Mutex<ReservationPool>,
    amount: SignedDuration,
}

impl<'a> WaitingCall<'a> {
    pub fn new(pool: &'a Mutex<ReservationPool>, amount: SignedDuration) -> Self {
        lock(pool).add_waiting(amount);
        Self { pool, amount }
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        lock(self.pool).add_waiting(-self.amount);
    }
}

/// Locks the pool. No holder leaves it half changed, so a poisoned lock is usable.
pub(super) fn lock(pool: &Mutex<ReservationPool>) -> MutexGuard<'_, ReservationPool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}
