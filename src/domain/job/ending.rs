//! The ending of an attempt without a result: the write to the stored job, and the
//! retry of the message.

use std::time::Duration;

use crate::domain::backoff::full_jitter;
use crate::domain::failure::Failure;
use crate::domain::job::outcome::RetryReason;
use crate::domain::limits::NO_TIME_DELAY;

/// The reason why an attempt has no result.
///
/// Each client translates its service's errors to this type. An error is transient
/// unless the client names it permanent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptError {
    /// The model throttled the call: not charged.
    Throttled(Failure),
    /// DynamoDB, SQS or S3 did not answer: not charged.
    StoreUnavailable(Failure),
    /// The error may not recur: charged, and retried while attempts are left.
    Transient(Failure),
    /// The same document would fail again: the job fails.
    Permanent(Failure),
    /// The function's invocation had too little time left for a call: not charged.
    NoTime,
    /// The model's quota is exhausted and no call was made: not charged, and retried
    /// after this delay.
    OverQuota(Duration),
    /// The job's batch was cancelled, and no call was made.
    Cancelled,
}

/// The write at the end of an attempt without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The job returns to `pending`, and its message is retried.
    Release {
        /// Whether the attempt counts against `MaxAttempts`.
        charged: bool,
        /// The delay of the message.
        after: Duration,
        /// The reason of the retry.
        reason: RetryReason,
    },
    /// The message goes to the dead-letter queue, then the job becomes `failed`.
    Fail(Failure),
    /// The job becomes `cancelled`, and its message is acknowledged.
    Cancel,
}

/// The facts about an attempt that decide its ending.
#[derive(Debug, Clone, Copy)]
pub struct AttemptContext {
    /// The charged attempts, including this one.
    pub charged_attempts: u32,
    /// The most charged attempts of a job.
    pub max_attempts: u32,
    /// How often SQS delivered the message, from 1.
    pub receive_count: u32,
    /// A random number for the delay, uniform in `[0, 1)`.
    pub random: f64,
}

/// Decides the ending of an attempt without a result.
pub fn decide_ending(error: AttemptError, at: AttemptContext) -> Ending {
    match error {
        // The stored job does not count throttled attempts, so the backoff follows the
        // number of deliveries.
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
    fn throttled_attempt_is_never_charged() {
        for charged_attempts in 1..10 {
            let ending = decide_ending(AttemptError::Throttled(failure()), AttemptContext { charged_attempts, ..AT });
            let Ending::Release { charged, after, reason } = ending else { panic!("{ending:?}") };
            assert!(!charged);
            assert_eq!(after, Duration::from_secs(8), "half of 2 s × 2³: the fourth delivery");
            assert_eq!(reason, RetryReason::Throttled);
        }
    }

    #[test]
    fn store_outage_is_not_charged_and_not_named_throttling() {
        let error = AttemptError::StoreUnavailable(Failure::new(codes::STORE_UNAVAILABLE, "s3:PutObject: SlowDown"));
        for charged_attempts in 1..10 {
            let ending = decide_ending(error.clone(), AttemptContext { charged_attempts, ..AT });
            let after = Duration::from_secs(8);
            assert_eq!(ending, Ending::Release { charged: false, after, reason: RetryReason::StoreUnavailable });
        }
    }

    #[test]
    fn transient_error_is_charged_and_retried_until_exhausted() {
        for (charged_attempts, released) in [(1, true), (2, true), (3, false), (4, false)] {
            match decide_ending(AttemptError::Transient(failure()), AttemptContext { charged_attempts, ..AT }) {
                Ending::Release { charged, .. } => assert!(charged && released),
                Ending::Cancel => panic!("no caller cancelled the job"),
                Ending::Fail(error) => {
                    assert!(!released);
                    assert_eq!(error.code, codes::ATTEMPTS_EXHAUSTED);
                    assert!(error.message.contains("throttling_exception: slow down"), "{}", error.message);
                }
            }
        }
    }

    #[test]
    fn permanent_error_fails_job_at_once() {
        assert_eq!(decide_ending(AttemptError::Permanent(failure()), AT), Ending::Fail(failure()));
    }

    #[test]
    fn unstarted_attempt_is_not_charged() {
        let ending = decide_ending(AttemptError::NoTime, AttemptContext { charged_attempts: 3, ..AT });
        assert!(matches!(ending, Ending::Release { charged: false, reason: RetryReason::NoTime, .. }));
        let after = Duration::from_secs(7);
        let ending = decide_ending(AttemptError::OverQuota(after), AttemptContext { charged_attempts: 3, ..AT });
        assert_eq!(ending, Ending::Release { charged: false, after, reason: RetryReason::OverQuota });
    }
}
