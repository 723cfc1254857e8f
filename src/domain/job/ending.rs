//! The ending of an attempt without a result: the write to the stored job, and the
//! retry of the message.

use std::time::Duration;

use crate::domain::backoff::full_jitter;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::{HoldTarget, message_delay};
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
    /// Every document would meet this error of Bedrock: not charged. See
    /// [`account_fault`](crate::domain::hold::account_fault).
    AccountFault(Failure),
    /// Bedrock refused the request for a reason that no table names. It is the fault of the
    /// document only if the model answers other requests.
    Refused(Failure),
    /// Bedrock failed, did not answer in time or could not be reached. It is the fault of
    /// the document only if the model answers other requests.
    NoAnswer(Failure),
    /// An error of one of the two kinds above, and no evidence whether the model answers
    /// other requests: not charged, until the job has as many such errors as `MaxAttempts`.
    Unproven {
        /// The error.
        error: Failure,
        /// Whether it is of the kind [`AttemptError::Refused`].
        is_refusal: bool,
    },
    /// The job waits for the end of a hold or a pause: not charged.
    OnHold(OnHold),
    /// The model answered, and the bucket did not store the answer: charged, because the
    /// call is paid for.
    NotStored(Failure),
    /// The function's invocation had too little time left for a call: not charged.
    NoTime,
    /// The job is a suspect, and other jobs run at the same time: not charged.
    NotAlone,
    /// The model's quota is exhausted and no call was made: not charged, and retried
    /// after this delay.
    OverQuota(Duration),
    /// The job's batch was cancelled, and no call was made.
    Cancelled,
}

impl AttemptError {
    /// The rank of an error: the most severe of several errors ends the attempt.
    pub fn severity(&self) -> u8 {
        match self {
            Self::NoTime | Self::NotAlone => 0,
            Self::OverQuota(_) => 1,
            Self::Throttled(_) => 2,
            Self::StoreUnavailable(_) => 3,
            Self::Unproven { .. } => 4,
            Self::NotStored(_) => 5,
            Self::Transient(_) | Self::NoAnswer(_) => 6,
            Self::Permanent(_) | Self::Refused(_) => 7,
            // No call succeeds until the fault is mended, so other errors say nothing.
            Self::AccountFault(_) | Self::OnHold(_) => 8,
            Self::Cancelled => 9,
        }
    }
}

/// The wait of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnHold {
    /// The model, the store or the paused batch.
    pub target: HoldTarget,
    /// The fault behind the hold, or the reason of the pause.
    pub reason: Failure,
    /// Whether the attempt counts against `MaxAttempts`, because it made a paid call.
    pub charged: bool,
}

/// The release of a claimed job: it returns to `pending`, and its message is retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Whether the attempt counts against `MaxAttempts`.
    pub charged: bool,
    /// The delay of the message.
    pub after: Duration,
    /// The reason of the retry.
    pub reason: RetryReason,
    /// The error that ended the attempt; `None` if it met none.
    pub error: Option<Failure>,
    /// The target that the job waits for, if any.
    pub waiting_for: Option<HoldTarget>,
    /// Whether the error counts as one without evidence.
    pub unproven: bool,
}

impl Release {
    /// A release whose job waits for nothing but its message.
    pub fn new(charged: bool, after: Duration, reason: RetryReason, error: Option<Failure>) -> Self {
        Self { charged, after, reason, error, waiting_for: None, unproven: false }
    }

    /// The error behind the release, for the log and the metrics. The error of a store has
    /// its operation and code in its message.
    pub fn cause(&self) -> Option<String> {
        self.error.as_ref().map(|error| match error.code.as_str() {
            codes::STORE_UNAVAILABLE => error.message.clone(),
            code => code.to_owned(),
        })
    }
}

/// The write at the end of an attempt without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The job returns to `pending`, and its message is retried.
    Release(Release),
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
    /// The errors without evidence of earlier attempts.
    pub unproven_errors: u32,
    /// How often SQS delivered the message, from 1.
    pub receive_count: u32,
    /// A random number for the delay, uniform in `[0, 1)`.
    pub random: f64,
}

impl AttemptContext {
    /// Whether the errors without evidence, this one included, and the charged attempts of
    /// the job are as many as its attempts. The claim charged this attempt.
    fn has_many_unproven(self) -> bool {
        self.unproven_errors + self.charged_attempts >= self.max_attempts
    }

    fn release(self, charged: bool, after: Duration, reason: RetryReason, error: Option<Failure>) -> Ending {
        Ending::Release(Release::new(charged, after, reason, error))
    }

    /// The stored job does not count uncharged attempts, so their backoff follows the number
    /// of deliveries.
    fn release_uncharged(self, reason: RetryReason, error: Failure) -> Ending {
        self.release(false, full_jitter(self.receive_count, self.random), reason, Some(error))
    }

    /// Charges the attempt, and fails the job if no attempts are left.
    fn charge(self, reason: RetryReason, error: Failure) -> Ending {
        if self.charged_attempts >= self.max_attempts {
            return Ending::Fail(Failure::attempts_exhausted(self.charged_attempts, Some(&error)));
        }
        self.release(true, full_jitter(self.charged_attempts, self.random), reason, Some(error))
    }
}

/// Decides the ending of an attempt without a result.
pub fn decide_ending(error: AttemptError, at: AttemptContext) -> Ending {
    match error {
        AttemptError::Throttled(error) => at.release_uncharged(RetryReason::Throttled, error),
        AttemptError::StoreUnavailable(error) => at.release_uncharged(RetryReason::StoreUnavailable, error),
        AttemptError::Unproven { error, is_refusal: true } if at.has_many_unproven() => Ending::Fail(error),
        AttemptError::Unproven { error, .. } if at.has_many_unproven() => {
            Ending::Fail(Failure::attempts_exhausted(at.charged_attempts + at.unproven_errors, Some(&error)))
        }
        AttemptError::Unproven { error, .. } => {
            let after = full_jitter(at.receive_count, at.random);
            let release = Release::new(false, after, RetryReason::Unproven, Some(error));
            Ending::Release(Release { unproven: true, ..release })
        }
        AttemptError::AccountFault(error) => {
            at.release(false, message_delay(at.receive_count), RetryReason::OnHold, Some(error))
        }
        AttemptError::OnHold(OnHold { target, reason, charged }) => Ending::Release(Release {
            charged,
            after: message_delay(at.receive_count),
            reason: RetryReason::OnHold,
            error: Some(reason),
            waiting_for: Some(target),
            unproven: false,
        }),
        AttemptError::Transient(error) | AttemptError::NoAnswer(error) => at.charge(RetryReason::Transient, error),
        AttemptError::NotStored(error) => at.charge(RetryReason::NotStored, error),
        AttemptError::Permanent(failure) | AttemptError::Refused(failure) => Ending::Fail(failure),
        AttemptError::Cancelled => Ending::Cancel,
        AttemptError::OverQuota(after) => at.release(false, after, RetryReason::OverQuota, None),
        AttemptError::NotAlone => {
            let after = NO_TIME_DELAY.mul_f64(at.random.clamp(0.0, 1.0));
            at.release(false, after, RetryReason::SuspectFirst, None)
        }
        AttemptError::NoTime => {
            let after = NO_TIME_DELAY.mul_f64(at.random.clamp(0.0, 1.0));
            at.release(false, after, RetryReason::NoTime, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: AttemptContext =
        AttemptContext { charged_attempts: 1, max_attempts: 3, unproven_errors: 0, receive_count: 4, random: 0.5 };

    fn failure() -> Failure {
        Failure::new("throttling_exception", "slow down")
    }

    fn released(ending: Ending) -> Release {
        match ending {
            Ending::Release(release) => release,
            Ending::Fail(_) | Ending::Cancel => panic!("{ending:?}"),
        }
    }

    #[test]
    fn fault_of_the_account_never_fails_or_charges_a_job() {
        let target = HoldTarget::Model("a-model".into());
        let on_hold = OnHold { target: target.clone(), reason: failure(), charged: false };
        for charged_attempts in 1..10 {
            let at = AttemptContext { charged_attempts, ..AT };
            let release = released(decide_ending(AttemptError::OnHold(on_hold.clone()), at));
            assert_eq!((release.charged, release.reason), (false, RetryReason::OnHold));
            assert_eq!((release.waiting_for, release.error), (Some(target.clone()), Some(failure())));
            assert_eq!(release.after, Duration::from_secs(240), "30 s × 2³: the fourth delivery");
            assert!(!released(decide_ending(AttemptError::AccountFault(failure()), at)).charged);
            let unproven = AttemptError::Unproven { error: failure(), is_refusal: true };
            let release = released(decide_ending(unproven, AT));
            assert!(!release.charged && release.unproven);
        }
    }

    #[test]
    fn job_with_many_unproven_errors_still_ends() {
        let at = AttemptContext { unproven_errors: 2, ..AT };
        let unproven = |is_refusal| AttemptError::Unproven { error: failure(), is_refusal };
        assert_eq!(decide_ending(unproven(true), at), Ending::Fail(failure()));
        let Ending::Fail(error) = decide_ending(unproven(false), at) else { panic!("the job fails") };
        assert_eq!(error.code, codes::ATTEMPTS_EXHAUSTED);
        let at = AttemptContext { unproven_errors: 1, charged_attempts: 3, ..AT };
        assert!(matches!(decide_ending(unproven(false), at), Ending::Fail(_)), "both kinds count together");
    }

    #[test]
    fn paid_answer_that_is_not_stored_is_charged() {
        let release = released(decide_ending(AttemptError::NotStored(failure()), AT));
        assert_eq!((release.charged, release.reason), (true, RetryReason::NotStored));
        let at = AttemptContext { charged_attempts: 3, ..AT };
        assert!(matches!(decide_ending(AttemptError::NotStored(failure()), at), Ending::Fail(_)));
        let target = HoldTarget::Store;
        let on_hold = AttemptError::OnHold(OnHold { target, reason: failure(), charged: true });
        assert!(released(decide_ending(on_hold, at)).charged, "a job that waits for the store does not fail");
    }

    #[test]
    fn throttled_attempt_is_never_charged() {
        for charged_attempts in 1..10 {
            let ending = decide_ending(AttemptError::Throttled(failure()), AttemptContext { charged_attempts, ..AT });
            let release = released(ending);
            assert!(!release.charged);
            assert_eq!(release.after, Duration::from_secs(8), "half of 2 s × 2³: the fourth delivery");
            assert_eq!((release.reason, release.error), (RetryReason::Throttled, Some(failure())));
        }
    }

    #[test]
    fn store_outage_is_not_charged_and_not_named_throttling() {
        let error = AttemptError::StoreUnavailable(Failure::new(codes::STORE_UNAVAILABLE, "s3:PutObject: SlowDown"));
        for charged_attempts in 1..10 {
            let ending = decide_ending(error.clone(), AttemptContext { charged_attempts, ..AT });
            let release = released(ending);
            assert!(!release.charged);
            assert_eq!((release.after, release.reason), (Duration::from_secs(8), RetryReason::StoreUnavailable));
        }
    }

    #[test]
    fn transient_error_is_charged_and_retried_until_exhausted() {
        for (charged_attempts, released) in [(1, true), (2, true), (3, false), (4, false)] {
            match decide_ending(AttemptError::Transient(failure()), AttemptContext { charged_attempts, ..AT }) {
                Ending::Release(release) => assert!(release.charged && released),
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
        let at = AttemptContext { charged_attempts: 3, ..AT };
        let release = released(decide_ending(AttemptError::NoTime, at));
        assert_eq!((release.charged, release.reason), (false, RetryReason::NoTime));
        let after = Duration::from_secs(7);
        let release = released(decide_ending(AttemptError::OverQuota(after), at));
        assert_eq!((release.charged, release.after, release.reason), (false, after, RetryReason::OverQuota));
    }
}
