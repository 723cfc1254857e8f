//! Stranded jobs: unfinished ones whose message may be lost, as a pure function of the
//! stored job and the time.
//!
//! A purge of a queue, the end of a message's retention, or a program that deletes a message
//! leaves a stored job without one. The sweep finds such jobs:
//!
//! - The queues explain as many jobs as they have messages. Only the other jobs may be
//!   stranded, and the sweep sends at most as many messages (`lost_messages`).
//! - A queue delivers old messages first, so the sweep begins with the jobs that changed
//!   longest ago. A job that much younger ones have overtaken is stranded, too.
//! - A job that changed lately is not stranded: `is_due`.
//!
//! A copy too many does nothing: it finds its job ended, held by another worker, or before
//! the end of its backoff.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::JobId;
use crate::domain::job::stored::{State, StoredJob};
use crate::domain::limits::{
    MESSAGE_RECENT, QUEUE_RETENTION, SWEEP_FIRST, SWEEP_GROWTH, SWEEP_JOBS_MAX, SWEEP_OVERTAKEN_MAX, SWEEP_STEPS_MAX,
    UPLOAD_MARGIN, UPLOAD_TIME,
};

/// The position of a walk over all unfinished jobs: the last job before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedPosition {
    /// The index partition.
    pub partition: String,
    /// The job.
    pub job_id: JobId,
}

/// The findings of a sweep: the jobs whose messages may be lost, and how many messages the
/// queues should have.
#[derive(Debug, Default)]
pub struct Found {
    /// The jobs that should have a message in a queue.
    pub expected: u64,
    candidates: Vec<Candidate>,
    /// For each priority, the creation of the youngest job that a worker claimed for the
    /// first time and holds now.
    fronts: BTreeMap<&'static str, Timestamp>,
}

/// A job whose message may be lost. The order is that of the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    idle_since: Timestamp,
    job_id: JobId,
    priority: &'static str,
}

impl Found {
    /// Begins with the `expected` jobs of earlier parts of the same sweep.
    pub fn new(expected: u64) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Adds a job that should have a message.
    pub fn add(&mut self, row: &StoredJob, now: Timestamp) {
        self.expected += 1;
        let priority = row.priority.as_str();
        match judge(row, now) {
            Strand::Candidate { idle_since } => {
                self.candidates.push(Candidate { idle_since, job_id: row.job_id.clone(), priority });
                if self.candidates.len() >= 2 * SWEEP_JOBS_MAX {
                    self.candidates.sort_unstable();
                    self.candidates.truncate(SWEEP_JOBS_MAX);
                }
            }
            Strand::Waits if matches!(row.state, State::Processing { .. }) && row.attempt == 1 => {
                let front = self.fronts.entry(priority).or_insert(row.created_at);
                *front = row.created_at.max(*front);
            }
            Strand::Waits | Strand::Lost | Strand::AwaitsUpload { .. } | Strand::Ended => {}
        }
    }

    /// The jobs whose messages are sent, oldest first, while the queues lack `lost` messages
    /// of jobs.
    pub fn stranded(mut self, lost: usize) -> Vec<JobId> {
        self.candidates.sort_unstable();
        let is_overtaken = |candidate: &&Candidate| {
            self.fronts.get(candidate.priority).is_some_and(|front| candidate.idle_since + SWEEP_FIRST <= *front)
        };
        let overtaken = self.candidates.iter().filter(is_overtaken).count().min(SWEEP_OVERTAKEN_MAX);
        let count = lost.max(overtaken).min(SWEEP_JOBS_MAX);
        self.candidates.into_iter().take(count).map(|candidate| candidate.job_id).collect()
    }
}

/// The sweep's judgement of an unfinished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strand {
    /// The job changed lately, or the end of a hold or a pause sends its message. A message of
    /// the job is in a queue.
    Waits,
    /// The job's message is lost if the queues have fewer messages than there are jobs.
    Candidate {
        /// The time of the last change of the job or of its message.
        idle_since: Timestamp,
    },
    /// The job's message is lost: no message is that old.
    Lost,
    /// The job waits for the upload of its document.
    AwaitsUpload {
        /// Whether the time of the upload's URL and a margin have passed.
        is_over: bool,
    },
    /// The job has ended; the index shows an older state.
    Ended,
}

/// Judges a stored job that the index shows as unfinished.
pub fn judge(row: &StoredJob, now: Timestamp) -> Strand {
    if row.state.status().has_ended() {
        return Strand::Ended;
    }
    if awaits_upload(row) {
        return Strand::AwaitsUpload { is_over: now >= row.updated_at + UPLOAD_TIME + UPLOAD_MARGIN };
    }
    // The end of the hold or of the pause sends the message.
    if row.waiting_for.is_some() || !is_due(row, now) {
        return Strand::Waits;
    }
    let idle_since = idle_since(row);
    if now >= idle_since + QUEUE_RETENTION { Strand::Lost } else { Strand::Candidate { idle_since } }
}

/// Whether a job has waited for a hold or a pause for so long that the message which would
/// resend it may be lost.
pub fn waits_long(row: &StoredJob, now: Timestamp) -> bool {
    !row.state.status().has_ended() && row.waiting_for.is_some() && is_due(row, now)
}

/// The messages that the queues lack. `expected` jobs have a message; the queues have
/// `depth` messages of jobs.
pub fn lost_messages(expected: u64, depth: u64) -> usize {
    usize::try_from(expected.saturating_sub(depth)).unwrap_or(usize::MAX)
}

/// Whether a job waits for a document that its caller uploads to a presigned URL.
pub fn awaits_upload(row: &StoredJob) -> bool {
    matches!(row.state, State::Pending)
        && row.attempt == 0
        && row.request_hash.is_some()
        && row.async_request.is_none()
        && row.document.location().is_none()
}

/// Whether the job is idle long enough for a further message: an hour after its last change,
/// and four times as long after each message of the sweep.
fn is_due(row: &StoredJob, now: Timestamp) -> bool {
    now >= idle_since(row) + sweep_wait(row.resends)
}

/// Whether a message of an unfinished job is certainly recent, so that a caller's retry
/// sends none.
///
/// A worker's claim proves that a message was in the queue. The creation of the job proves
/// nothing: the producer may have crashed before it sent the message.
fn has_recent_message(row: &StoredJob, now: Timestamp) -> bool {
    let claimed = (row.attempt > 0).then(|| idle_since(row));
    let proof = claimed.max(row.resent_at);
    row.waiting_for.is_some() || proof.is_some_and(|at| now < at + MESSAGE_RECENT)
}

/// Whether a job waits for a worker, and no message of it is certainly recent. A job whose
/// lease has expired waits for one, too.
pub fn may_lack_message(row: &StoredJob, now: Timestamp) -> bool {
    let waits = match &row.state {
        State::Pending => true,
        State::Processing { lease_until } => *lease_until <= now,
        State::Complete(_) | State::Failed { .. } | State::Cancelled { .. } => false,
    };
    waits && !has_recent_message(row, now)
}

/// The latest of the job's last change, the end of its backoff, the end of its lease, and its
/// last further message.
fn idle_since(row: &StoredJob) -> Timestamp {
    let lease = match &row.state {
        State::Processing { lease_until } => Some(*lease_until),
        State::Pending | State::Complete(_) | State::Failed { .. } | State::Cancelled { .. } => None,
    };
    let times = [row.not_before, lease, row.resent_at];
    times.into_iter().flatten().fold(row.created_at.max(row.updated_at), Timestamp::max)
}

/// Whether a dead letter of a job is stale: the job ended otherwise, or was queued again
/// after `failed_attempt`.
///
/// The letter of an attempt is sent before its job is marked `failed`. Such a letter is not
/// stale: the job is still `processing` at this attempt.
pub fn is_stale_letter(row: &StoredJob, failed_attempt: Option<u32>) -> bool {
    match (&row.state, failed_attempt) {
        (State::Complete(_) | State::Cancelled { .. }, _) => true,
        (_, Some(failed)) => row.attempt > failed || (failed > 0 && row.generation >= failed),
        (_, None) => false,
    }
}

/// The time for which a job is idle before its `number`-th message of the sweep, from 0.
fn sweep_wait(number: u32) -> Duration {
    SWEEP_FIRST.saturating_mul(SWEEP_GROWTH.pow(number.min(SWEEP_STEPS_MAX)))
}

#[cfg(test)]
mod tests;
