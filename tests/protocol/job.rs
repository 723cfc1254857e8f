//! A job of the model with its messages, the task of a worker, and the model's
//! row as the real one.

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

/// A job's row, its messages, and what has happened to it, for the properties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    pub status: Status,
    pub attempt: u8,
    pub charged_attempts: u8,
    /// Ticks until the lease ends, in true time.
    pub lease_left: u8,
    /// The message as it was sent.
    pub original: bool,
    /// A dead letter that was moved back, with its attempt.
    pub redriven: Option<u8>,
    /// Attempts whose dead letters lie in the queue (bits).
    pub letters: u8,
    /// Attempts whose dead letters were ever sent (bits), as far as it matters.
    pub letters_ever: u8,
    /// How many more attempts were charged than calls were made. A crash in the
    /// middle of a call counts as a call.
    pub uncalled: i8,
    pub called_after_complete: bool,
    pub stale_write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    Original,
    Redriven,
}

/// What a worker is about to do. `Write`s are under way: they may arrive after
/// the worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Call,
    Complete,
    Release { charged: bool },
    SendLetter { silent: bool },
    Fail { silent: bool },
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
    /// How far the worker's clock is ahead.
    pub ahead: u8,
    pub step: Step,
}

impl Job {
    /// Forgets what neither the decision nor a write looks at any more.
    pub fn forget(&mut self) {
        if self.status != Status::Processing {
            self.lease_left = 0;
        }
        if matches!(self.status, Status::Complete | Status::Failed) {
            self.charged_attempts = 0;
        }
        if self.redriven.is_some_and(|attempt| attempt < self.attempt || self.status == Status::Complete) {
            self.redriven = Some(0);
        }
        // Of letters that were sent: whether any was (bit 0), and this attempt's.
        self.letters_ever = u8::from(self.letters_ever != 0) | self.letters_ever & (1 << self.attempt);
    }
}

impl Task {
    /// Forgets what the steps that are left do not look at.
    pub fn forget(&mut self) {
        if self.step != Step::Call {
            self.charged_attempts = 0;
        }
        if self.step == Step::Acknowledge {
            self.attempt = 0;
        }
    }
}

/// Times are told from a now that stands still: what a state holds is how much is
/// left, so that there is no end of time to explore to.
pub const NOW: u8 = 10;

pub fn time(ticks: u8) -> Timestamp {
    Timestamp::from_second(ticks.into()).expect("a time")
}

/// The model's row as the real one, for the real decision.
pub fn row(job: &Job) -> Option<StoredJob> {
    let state = match job.status {
        Status::None => return None,
        Status::Pending => State::Pending,
        Status::Processing => State::Processing { lease_until: time(NOW + job.lease_left) },
        Status::Complete => State::Complete(Box::new(Completed {
            result: StoredResult::Inline(Default::default()),
            model_id: String::new(),
            usage: Usage::default(),
            stop_reason: String::new(),
            model_latency_ms: 0,
            chunks: None,
            completed_at: time(0),
            deduplicated_from: None,
            fingerprint: None,
        })),
        Status::Failed => State::Failed { error: Failure::new("c", "m"), completed_at: time(0) },
    };
    Some(StoredJob {
        state,
        attempt: job.attempt.into(),
        charged_attempts: job.charged_attempts.into(),
        owner: Some(Owner::new("another")),
        ..StoredJob::new("j".parse().expect("a job id"), time(0))
    })
}
