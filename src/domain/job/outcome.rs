//! How the handling of one message ended.

use std::time::Duration;

/// What becomes of a message. There is no third way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its end is durable: the queue may delete it.
    Acknowledge(Acknowledged),
    /// It is wanted again.
    Retry(Retry),
}

/// Why a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// This attempt stored the result.
    Completed,
    /// The job had ended before this message came.
    AlreadyFinished,
    /// The message lies in the dead-letter queue and the row, if there is one,
    /// says `failed`.
    DeadLettered,
    /// The job's batch was cancelled, and the row says so.
    Cancelled,
    /// The job's invocation runs, and the message of its next check is in the
    /// queue.
    Waiting,
    /// The job's invocation runs, and another message is its next check.
    Superseded,
    /// Several jobs were told of in it, and each has a message of its own now.
    Split,
    /// It asked for nothing: a bucket's test, a folder, a deletion.
    NothingToDo,
}

/// Why a message is wanted again, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// From now; `None` leaves the message to the queue's visibility time-out.
    pub after: Option<Duration>,
    /// For the log.
    pub reason: RetryReason,
}

/// Why a message is wanted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// Another worker holds the lease.
    Busy,
    /// The model throttled; not charged.
    Throttled,
    /// The attempt failed in a way that may pass; charged.
    Transient,
    /// Not enough time was left before the deadline; not charged.
    NoTime,
    /// The model's quota is used up; not charged.
    OverQuota,
    /// A fenced write found another attempt.
    LeaseLost,
    /// The table or a queue did not answer.
    StoreUnavailable,
    /// The handling panicked.
    Panicked,
    /// The invocation's time ended while the record was being handled.
    DeadlineReached,
}

impl Retry {
    /// Wanted again after a wait.
    pub fn after(after: Duration, reason: RetryReason) -> Outcome {
        Outcome::Retry(Self { after: Some(after), reason })
    }

    /// Wanted again when the queue gives it again by itself.
    pub fn at_visibility_timeout(reason: RetryReason) -> Outcome {
        Outcome::Retry(Self { after: None, reason })
    }
}

impl Outcome {
    /// A short name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acknowledge(Acknowledged::Completed) => "completed",
            Self::Acknowledge(Acknowledged::AlreadyFinished) => "already_finished",
            Self::Acknowledge(Acknowledged::DeadLettered) => "dead_lettered",
            Self::Acknowledge(Acknowledged::Cancelled) => "cancelled",
            Self::Acknowledge(Acknowledged::Waiting) => "waiting",
            Self::Acknowledge(Acknowledged::Superseded) => "superseded",
            Self::Acknowledge(Acknowledged::Split) => "split",
            Self::Acknowledge(Acknowledged::NothingToDo) => "nothing_to_do",
            Self::Retry(again) => match again.reason {
                RetryReason::Busy => "busy",
                RetryReason::Throttled => "throttled",
                RetryReason::Transient => "transient",
                RetryReason::NoTime => "no_time",
                RetryReason::OverQuota => "over_quota",
                RetryReason::LeaseLost => "lease_lost",
                RetryReason::StoreUnavailable => "store_unavailable",
                RetryReason::Panicked => "panicked",
                RetryReason::DeadlineReached => "deadline_reached",
            },
        }
    }
}
