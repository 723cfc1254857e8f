//! The outcome of handling one message: acknowledge or retry.

use std::time::Duration;

/// The outcome of handling a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// SQS may delete the message: its effect is stored durably.
    Acknowledge(Acknowledged),
    /// SQS delivers the message again.
    Retry(Retry),
}

/// Why a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// This attempt stored the result.
    Completed,
    /// The job had ended before this delivery.
    AlreadyFinished,
    /// The message is in the dead-letter queue, and the stored job, if any, is
    /// `failed`.
    DeadLettered,
    /// The job's batch was cancelled, and the stored job is `cancelled`.
    Cancelled,
    /// The job's async invocation runs, and the message of its next poll is in the
    /// queue.
    Waiting,
    /// The job's async invocation runs, and another message is its next poll.
    Superseded,
    /// The message was an S3 event with several records, and was split into one
    /// message per record.
    Split,
    /// The message was an S3 event without a new document: a test event, a folder or
    /// a deletion.
    NothingToDo,
}

/// The delay and the reason of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The delay from now; `None` leaves the queue's visibility time-out unchanged.
    pub after: Option<Duration>,
    /// The reason, for the log and the metrics.
    pub reason: RetryReason,
}

/// The reason of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// Another worker holds the lease.
    Busy,
    /// The model throttled; not charged.
    Throttled,
    /// The attempt ended with a transient error; charged.
    Transient,
    /// The time before the deadline was too short; not charged.
    NoTime,
    /// The model's quota is exhausted; not charged.
    OverQuota,
    /// A fenced write found another attempt.
    LeaseLost,
    /// DynamoDB, SQS or S3 did not answer; not charged.
    StoreUnavailable,
    /// The handling of the message panicked.
    Panicked,
    /// The deadline came while the message was handled.
    DeadlineReached,
}

impl Retry {
    /// Retries the message after a delay.
    pub fn after(after: Duration, reason: RetryReason) -> Outcome {
        Outcome::Retry(Self { after: Some(after), reason })
    }

    /// Retries the message when its visibility time-out expires.
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
            Self::Retry(retry) => match retry.reason {
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
