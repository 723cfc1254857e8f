//! The outcome of handling one message: acknowledge or retry.

use std::time::Duration;

/// The outcome of handling a message.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The message names a submitted document that was uploaded again: the job exists
    /// already, for the same bytes.
    UploadedAgain,
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
    /// The message was a probe of a hold that failed. The message of the next probe is in
    /// the queue.
    Probed,
    /// The message was a probe of a hold that succeeded. The hold has ended, and the message
    /// of a resend is in the queue.
    HoldEnded,
    /// The message was a resend or the retry of a batch: the messages of jobs are in the queue.
    Resent,
    /// The message was a sweep, which has ended.
    Swept,
}

/// The delay and the reason of a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The delay from now; `None` leaves the queue's visibility time-out unchanged.
    pub after: Option<Duration>,
    /// The reason, for the log and the metrics.
    pub reason: RetryReason,
    /// The error behind the reason, for the log and the metrics: a failure's code, or a
    /// service's operation and code such as `s3:PutObject/AccessDenied`.
    pub cause: Option<String>,
    /// Whether the attempt counts against `MaxAttempts`.
    pub charged: bool,
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
    /// The job waits for the end of a hold or a pause; not charged, unless it made a paid
    /// call before.
    OnHold,
    /// The model did not answer, and nothing shows whether it answers other requests; not
    /// charged.
    Unproven,
    /// The model answered, and the bucket did not store the answer; charged.
    NotStored,
    /// A copy of the message came before the backoff of its job had passed.
    TooEarly,
    /// A suspect of the same batch must run alone; not charged.
    SuspectFirst,
    /// The messages of the batch have too many JSON values together; not charged.
    BatchTooLarge,
    /// The message has a newer version than this function reads; not charged.
    NewerVersion,
    /// Another worker probes the hold of this message.
    ProbeBusy,
    /// The handling of the message panicked.
    Panicked,
    /// The deadline came while the message was handled.
    DeadlineReached,
}

impl RetryReason {
    /// A short name for logs, metrics and the stored list of attempts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::NoTime => "no_time",
            Self::OverQuota => "over_quota",
            Self::LeaseLost => "lease_lost",
            Self::StoreUnavailable => "store_unavailable",
            Self::OnHold => "on_hold",
            Self::Unproven => "unproven",
            Self::NotStored => "not_stored",
            Self::BatchTooLarge => "batch_too_large",
            Self::NewerVersion => "newer_version",
            Self::ProbeBusy => "probe_busy",
            Self::TooEarly => "too_early",
            Self::SuspectFirst => "suspect_first",
            Self::Panicked => "panicked",
            Self::DeadlineReached => "deadline_reached",
        }
    }
}

impl RetryReason {
    /// Whether the retry waits neither for a hold nor for another worker: nothing but the
    /// retry itself moves its job on.
    pub fn is_stalled(self) -> bool {
        match self {
            Self::OnHold | Self::Busy | Self::ProbeBusy | Self::TooEarly | Self::SuspectFirst => false,
            Self::Throttled
            | Self::Transient
            | Self::NoTime
            | Self::OverQuota
            | Self::LeaseLost
            | Self::StoreUnavailable
            | Self::Unproven
            | Self::NotStored
            | Self::BatchTooLarge
            | Self::NewerVersion
            | Self::Panicked
            | Self::DeadlineReached => true,
        }
    }
}

impl Retry {
    /// Retries the message after a delay.
    pub fn after(after: Duration, reason: RetryReason) -> Outcome {
        Outcome::Retry(Self { after: Some(after), reason, cause: None, charged: false })
    }

    /// Retries the message when its visibility time-out expires.
    pub fn at_visibility_timeout(reason: RetryReason) -> Outcome {
        Outcome::Retry(Self { after: None, reason, cause: None, charged: false })
    }
}

impl Outcome {
    /// Adds the cause of a retry. An acknowledged message has none.
    pub fn with_cause(mut self, cause: Option<String>) -> Self {
        if let Self::Retry(retry) = &mut self {
            retry.cause = cause;
        }
        self
    }

    /// Marks whether the attempt of a retry is charged. An acknowledged message has no retry.
    pub fn with_charge(mut self, charged: bool) -> Self {
        if let Self::Retry(retry) = &mut self {
            retry.charged = charged;
        }
        self
    }

    /// Whether the job of the message has ended.
    pub fn has_ended_job(&self) -> bool {
        match self {
            Self::Acknowledge(
                Acknowledged::Completed
                | Acknowledged::AlreadyFinished
                | Acknowledged::UploadedAgain
                | Acknowledged::DeadLettered
                | Acknowledged::Cancelled,
            ) => true,
            Self::Acknowledge(
                Acknowledged::Waiting
                | Acknowledged::Superseded
                | Acknowledged::Split
                | Acknowledged::NothingToDo
                | Acknowledged::Probed
                | Acknowledged::HoldEnded
                | Acknowledged::Resent
                | Acknowledged::Swept,
            )
            | Self::Retry(_) => false,
        }
    }

    /// The cause of a retry, if it has one.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Retry(retry) => retry.cause.as_deref(),
            Self::Acknowledge(_) => None,
        }
    }

    /// A short name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acknowledge(Acknowledged::Completed) => "completed",
            Self::Acknowledge(Acknowledged::AlreadyFinished) => "already_finished",
            Self::Acknowledge(Acknowledged::UploadedAgain) => "uploaded_again",
            Self::Acknowledge(Acknowledged::DeadLettered) => "dead_lettered",
            Self::Acknowledge(Acknowledged::Cancelled) => "cancelled",
            Self::Acknowledge(Acknowledged::Waiting) => "waiting",
            Self::Acknowledge(Acknowledged::Superseded) => "superseded",
            Self::Acknowledge(Acknowledged::Split) => "split",
            Self::Acknowledge(Acknowledged::NothingToDo) => "nothing_to_do",
            Self::Acknowledge(Acknowledged::Probed) => "probed",
            Self::Acknowledge(Acknowledged::HoldEnded) => "hold_ended",
            Self::Acknowledge(Acknowledged::Resent) => "resent",
            Self::Acknowledge(Acknowledged::Swept) => "swept",
            Self::Retry(retry) => retry.reason.as_str(),
        }
    }
}
