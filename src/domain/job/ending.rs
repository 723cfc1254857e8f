//! How an attempt ends: which write follows from what happened, and what
//! becomes of the message.

use std::time::Duration;

use crate::domain::backoff::full_jitter;
use crate::domain::failure::Failure;
use crate::domain::job::outcome::RetryReason;
use crate::domain::limits::NO_TIME_DELAY;

/// Why an attempt did not give a result. Each service's errors are translated
/// to this where they arise; what is not named permanent may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptError {
    /// The model has no room: the document is not charged.
    Throttled(Failure),
    /// The table, a queue or the bucket did not answer: not charged.
    StoreUnavailable(Failure),
    /// It may pass: charged, and tried again while charged_attempts are left.
    Transient(Failure),
    /// The same document would fail again.
    Permanent(Failure),
    /// The invocation had no time left to begin: not charged.
    NoTime,
    /// The model's quota is used up and no call was made: not charged, and tried
    /// again after this.
    OverQuota(Duration),
    /// The job's batch was cancelled: no call was made.
    Cancelled,
}

/// What an attempt without a result writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Back to `pending`, and the message again after a wait.
    Release {
        /// Whether the attempt stays charged to the job.
        charged: bool,
        /// How long the message waits.
        after: Duration,
        /// Why.
        reason: RetryReason,
    },
    /// To the dead-letter queue, and `failed`.
    Fail(Failure),
    /// `cancelled`, and nothing more.
    Cancel,
}

/// What is known when an attempt ends without a result.
#[derive(Debug, Clone, Copy)]
pub struct AttemptContext {
    /// How many attempts are charged, this one included.
    pub charged_attempts: u32,
    /// How many may be.
    pub max_attempts: u32,
    /// How often the queue gave this message, from 1.
    pub receive_count: u32,
    /// Uniform in `[0, 1)`.
    pub random: f64,
}

/// Decides the ending of an attempt that gave no result.
pub fn decide_ending(error: AttemptError, at: AttemptContext) -> Ending {
    match error {
        // Throttling is not counted on the job, so the queue's count of
        // deliveries tells how often it was.
        AttemptError::Throttled(_) => Ending::Release {
            charged: false,
            after: full_jitter(at.receive_count, at.random),
            reason: RetryReason::Throttled,
        },
        AttemptError::StoreUnavailable(_) => Ending::Release {
            charged: false,
            after: full_jitter(at.receive_count, at.random),
            reason: RetryReason::StoreUnavailable,
        },
        AttemptError::Transient(failure) if at.charged_attempts >= at.max_attempts => {
            Ending::Fail(Failure::attempts_exhausted(at.charged_attempts, Some(&failure)))
        }
        AttemptError::Transient(_) => Ending::Release {
            charged: true,
            after: full_jitter(at.charged_attempts, at.random),
            reason: RetryReason::Transient,
        },
        AttemptError::Permanent(failure) => Ending::Fail(failure),
        AttemptError::Cancelled => Ending::Cancel,
        AttemptError::OverQuota(after) => Ending::Release { charged: false, after, reason: RetryReason::OverQuota },
        AttemptError::NoTime => Ending::Release {
            charged: false,
            after: NO_TIME_DELAY.mul_f64(at.random.clamp(0.0, 1.0)),
            reason: RetryReason::NoTime,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::codes;

    const AT: AttemptContext = AttemptContext { charged_attempts: 1, max_attempts: 3, receive_count: 4, random: 0.5 };

    fn failure() -> Failure {
        Failure::new("throttling_exception", "slow down")
    }

    #[test]
    fn throttling_is_never_charged_to_a_document() {
        for charged_attempts in 1..10 {
            let ending = decide_ending(AttemptError::Throttled(failure()), AttemptContext { charged_attempts, ..AT });
            let Ending::Release { charged, after, reason } = ending else { panic!("{ending:?}") };
            assert!(!charged);
            assert_eq!(after, Duration::from_secs(8), "half of 2 s × 2³: the fourth delivery");
            assert_eq!(reason, RetryReason::Throttled);
        }
    }

    #[test]
    fn what_may_pass_is_charged_and_tried_again_while_tries_are_left() {
        for (charged_attempts, released) in [(1, true), (2, true), (3, false), (4, false)] {
            match decide_ending(AttemptError::Transient(failure()), AttemptContext { charged_attempts, ..AT }) {
                Ending::Release { charged, .. } => assert!(charged && released),
                Ending::Cancel => panic!("nobody cancelled"),
                Ending::Fail(error) => {
                    assert!(!released);
                    assert_eq!(error.code, codes::ATTEMPTS_EXHAUSTED);
                    assert!(error.message.contains("throttling_exception: slow down"), "{}", error.message);
                }
            }
        }
    }

    #[test]
    fn what_cannot_pass_fails_at_once() {
        assert_eq!(decide_ending(AttemptError::Permanent(failure()), AT), Ending::Fail(failure()));
    }

    #[test]
    fn what_was_not_begun_is_not_charged() {
        let ending = decide_ending(AttemptError::NoTime, AttemptContext { charged_attempts: 3, ..AT });
        assert!(matches!(ending, Ending::Release { charged: false, reason: RetryReason::NoTime, .. }));
        let after = Duration::from_secs(7);
        let ending = decide_ending(AttemptError::OverQuota(after), AttemptContext { charged_attempts: 3, ..AT });
        assert_eq!(ending, Ending::Release { charged: false, after, reason: RetryReason::OverQuota });
    }
}
