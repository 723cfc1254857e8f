//! A job of the model with its messages, a worker's task, and the conversion of the model's
//! job into the real stored job.

use docket::domain::failure::Failure;
use docket::domain::ids::Owner;
use docket::domain::job::stored::{Completed, State, StoredJob, StoredResult, Usage};
use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    None,
    Pending,
    Processing,
    Complete,
    Failed,
}

/// A stored job, its messages, and the history that the properties check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    pub status: Status,
    pub attempt: u8,
    pub charged_attempts: u8,
    /// Ticks until the lease expires, in true time.
    pub lease_left: u8,
    /// Whether the first message is still in the queue.
    pub has_original: bool,
    /// The attempt of a redriven dead letter that is in the queue.
    pub redriven: Option<u8>,
    /// The attempts with a dead letter in the dead-letter queue, one bit each.
    pub dead_letters: u8,
    /// The attempts whose dead letter was sent, one bit each; see [`Job::drop_irrelevant`].
    pub sent_dead_letters: u8,
    /// Charged attempts minus calls. A crash during a call counts as a call.
    pub charges_without_call: i8,
    pub was_called_after_complete: bool,
    pub had_stale_write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    Original,
    Redriven,
}

/// The next step of a worker. A `Complete`, `Release` or `Fail` is a write to the table: it
/// may arrive after the worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Call,
    Complete,
    Release { charged: bool },
    SendDeadLetter { lease_expired: bool },
    Fail { lease_expired: bool },
    Acknowledge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    pub job: u8,
    pub message: Message,
    pub attempt: u8,
    pub charged_attempts: u8,
    /// Ticks until Lambda ends the worker, in true time.
    pub time_left: u8,
    /// Ticks by which the worker's clock is ahead of true time.
    pub clock_ahead: u8,
    pub step: Step,
}

impl Job {
    /// Clears the state that no decision, write or property reads any more.
    pub fn drop_irrelevant(&mut self) {
        if self.status != Status::Processing {
            self.lease_left = 0;
        }
        if matches!(self.status, Status::Complete | Status::Failed) {
            self.charged_attempts = 0;
        }
        if self.redriven.is_some_and(|attempt| attempt < self.attempt || self.status == Status::Complete) {
            self.redriven = Some(0);
        }
        // Bit 0: whether any dead letter was sent. The bit of the current attempt is kept.
        self.sent_dead_letters = u8::from(self.sent_dead_letters != 0) | self.sent_dead_letters & (1 << self.attempt);
    }
}

impl Task {
    /// Clears the state that no later step reads.
    pub fn drop_irrelevant(&mut self) {
        if self.step != Step::Call {
            self.charged_attempts = 0;
        }
        if self.step == Step::Acknowledge {
            self.attempt = 0;
        }
    }
}

/// The constant current time. States store remaining durations, so the exploration needs
/// no time limit.
pub const NOW: u8 = 10;

pub fn timestamp(ticks: u8) -> Timestamp {
    Timestamp::from_second(ticks.into()).expect("a valid time")
}

/// The real stored job for the real decision; `None` if the job is not stored.
pub fn stored_job(job: &Job) -> Option<StoredJob> {
    let state = match job.status {
        Status::None => return None,
        Status::Pending => State::Pending,
        Status::Processing => State::Processing { lease_until: timestamp(NOW + job.lease_left) },
        Status::Complete => State::Complete(Box::new(Completed {
            result: StoredResult::Inline(Default::default()),
            model_id: String::new(),
            usage: Usage::default(),
            label: None,
            repaired: false,
            evidence: None,
            stop_reason: String::new(),
            model_latency_ms: 0,
            chunks: None,
            completed_at: timestamp(0),
            deduplicated_from: None,
            fingerprint: None,
        })),
        Status::Failed => State::Failed { error: Failure::new("c", "m"), completed_at: timestamp(0) },
    };
    Some(StoredJob {
        state,
        attempt: job.attempt.into(),
        charged_attempts: job.charged_attempts.into(),
        owner: Some(Owner::new("another")),
        ran_alone: true,
        ..StoredJob::new("j".parse().expect("a valid job id"), timestamp(0))
    })
}
