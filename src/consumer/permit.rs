//! What a call has of a quota, before and after it begins.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::ending::AttemptError;
use crate::domain::failure::Failure;
use crate::domain::quota::{Fit, Quota};
use crate::domain::quota_share::Share;
use crate::domain::row::Usage;

/// What a call has reserved. Dropped before the call, it serves another.
#[derive(Debug)]
pub(super) struct Permit {
    share: Arc<Mutex<Share>>,
    quota: Quota,
    /// What Bedrock takes when the call begins.
    pub reserved: SignedDuration,
    /// What it is expected to count in the end.
    pub taken: SignedDuration,
    /// Whether a minute's worth of the quota is enough for the call.
    pub fit: Fit,
}

/// What a call has reserved that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    share: Arc<Mutex<Share>>,
    quota: Quota,
    reserved: SignedDuration,
    taken: SignedDuration,
    fit: Fit,
}

impl Permit {
    pub fn of_nothing(share: &Arc<Mutex<Share>>, quota: Quota) -> Self {
        let nothing = SignedDuration::ZERO;
        Self { share: share.clone(), quota, reserved: nothing, taken: nothing, fit: Fit::Well }
    }

    /// The call begins: unless it is settled, what Bedrock takes counts as used. A
    /// throttled call slows all down by that much.
    pub fn begin(mut self) -> Begun {
        let taken = std::mem::take(&mut self.taken);
        Begun { share: self.share.clone(), quota: self.quota, reserved: self.reserved, taken, fit: self.fit }
    }
}

impl Begun {
    /// The call ended with an answer: what it did not use serves the next.
    pub fn settle(mut self, usage: Usage, elapsed: Duration) {
        let counted = self.quota.counted(self.reserved, usage, elapsed);
        {
            let mut share = locked(&self.share);
            share.put_back(self.taken - counted);
            share.learn(usage.input_tokens, self.reserved, counted);
        }
        self.taken = self.reserved;
    }

    /// Throttling has another cause than the document, unless a minute's worth of the
    /// quota is less than the document is estimated to take: that one is charged, so
    /// that it does not take the whole quota time and again.
    pub fn charge_if_too_large(&self, error: AttemptError) -> AttemptError {
        match error {
            AttemptError::Throttled(failure) if self.fit == Fit::Hardly => AttemptError::Transient(Failure::new(
                &failure.code,
                format!(
                    "{}; the call was estimated at more than the model's tokens of a minute (parameter \
                     ModelTokensPerMinute): lower PartMaxBytes or MaxTokens",
                    failure.message
                ),
            )),
            other => other,
        }
    }
}

impl Drop for Begun {
    /// Without an answer all that Bedrock took counts as used.
    fn drop(&mut self) {
        locked(&self.share).put_back(self.taken - self.reserved);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        locked(&self.share).put_back(self.taken);
    }
}

/// A call that waits for its turn.
pub(super) struct Waiting<'a> {
    share: &'a Mutex<Share>,
    taken: SignedDuration,
}

impl<'a> Waiting<'a> {
    pub fn new(share: &'a Mutex<Share>, taken: SignedDuration) -> Self {
        locked(share).wait(taken);
        Self { share, taken }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(self.share).wait(-self.taken);
    }
}

/// No holder leaves it half changed.
pub(super) fn locked(share: &Mutex<Share>) -> MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}
