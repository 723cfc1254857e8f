//! The jobs of a batch as its index shows them, and what they add up to.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::ids::JobId;
use crate::domain::job::stored::{State, Status, StoredJob, Usage};
use crate::domain::limits::RATE_WINDOW;

/// One job, as far as the index tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The job.
    pub job_id: JobId,
    /// How it stood.
    pub status: Status,
    /// Tokens, once it is complete.
    pub usage: Usage,
    /// When its row was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Entry {
    /// What the index will tell of a row.
    pub fn of(row: &StoredJob) -> Self {
        let (usage, completed_at) = match &row.state {
            State::Pending | State::Processing { .. } => (Usage::default(), None),
            State::Complete(done) => (done.usage, Some(done.completed_at)),
            State::Failed { completed_at, .. } | State::Cancelled { completed_at } => {
                (Usage::default(), Some(*completed_at))
            }
        };
        let (job_id, status) = (row.job_id.clone(), row.state.status());
        Self { job_id, status, usage, created_at: row.created_at, completed_at }
    }
}

/// Each job once, as it stood last, of entries in the order in which they were
/// read: a job that moved on meanwhile stands there twice.
pub fn latest(entries: Vec<Entry>) -> HashMap<JobId, Entry> {
    entries.into_iter().map(|entry| (entry.job_id.clone(), entry)).collect()
}

/// Jobs by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub total: u64,
    pub pending: u64,
    pub processing: u64,
    pub complete: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl Counts {
    /// Jobs that have not ended.
    pub fn unfinished(&self) -> u64 {
        self.pending + self.processing
    }
}

/// How a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Jobs are to be done, or none has come yet.
    InProgress,
    /// Every job that it has is ended.
    Complete,
    /// Cancelled, and some jobs still run.
    Cancelling,
    /// Cancelled, and no job runs.
    Cancelled,
}

/// What the jobs of a batch add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Jobs by status; `total` is their sum.
    pub counts: Counts,
    /// Tokens of all complete jobs.
    pub usage: Usage,
    /// When the first job's row was made.
    pub first_created_at: Option<Timestamp>,
    /// When a job ended last.
    pub last_completed_at: Option<Timestamp>,
    /// Jobs that ended within [`RATE_WINDOW`] before the reading.
    ended_lately: u64,
}

impl Tally {
    /// Adds jobs, in the order in which they were read, each as it stood last.
    pub fn add(&mut self, entries: Vec<Entry>, now: Timestamp) {
        let lately = now - SignedDuration::try_from(RATE_WINDOW).unwrap_or(SignedDuration::MAX);
        for entry in latest(entries).into_values() {
            let counts = &mut self.counts;
            counts.total += 1;
            *match entry.status {
                Status::Pending => &mut counts.pending,
                Status::Processing => &mut counts.processing,
                Status::Complete => &mut counts.complete,
                Status::Failed => &mut counts.failed,
                Status::Cancelled => &mut counts.cancelled,
            } += 1;
            self.usage += entry.usage;
            let first = self.first_created_at.get_or_insert(entry.created_at);
            *first = entry.created_at.min(*first);
            self.last_completed_at = self.last_completed_at.max(entry.completed_at);
            self.ended_lately += u64::from(entry.completed_at.is_some_and(|at| at > lately));
        }
    }

    /// How the batch stands.
    pub fn status(&self, cancelled: bool) -> BatchStatus {
        match (cancelled, self.counts.unfinished()) {
            (true, 0) => BatchStatus::Cancelled,
            (true, _) => BatchStatus::Cancelling,
            (false, 0) if self.counts.total > 0 => BatchStatus::Complete,
            (false, _) => BatchStatus::InProgress,
        }
    }

    /// Jobs ended a minute, over [`RATE_WINDOW`] or the batch's life if that is
    /// shorter; `None` when none ended lately.
    pub fn rate_per_minute(&self, now: Timestamp) -> Option<f64> {
        let life = now.duration_since(self.first_created_at?).as_secs_f64();
        let window = life.clamp(1.0, RATE_WINDOW.as_secs_f64());
        (self.ended_lately > 0).then(|| self.ended_lately as f64 * 60.0 / window)
    }

    /// When the last job would end at this rate; `None` when nothing is left or
    /// nothing moves.
    pub fn estimated_completion(&self, now: Timestamp) -> Option<Timestamp> {
        let left = self.counts.unfinished();
        let minutes = left as f64 / self.rate_per_minute(now).filter(|_| left > 0)?;
        now.checked_add(SignedDuration::try_from_secs_f64(minutes * 60.0).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn entry(id: &str, status: Status, ended: Option<i64>) -> Entry {
        let usage = Usage { input_tokens: 10, output_tokens: 1 };
        let job_id = id.parse().unwrap();
        let usage = if status == Status::Complete { usage } else { Usage::default() };
        Entry { job_id, status, usage, created_at: at(0), completed_at: ended.map(at) }
    }

    #[test]
    fn a_job_that_moved_while_it_was_read_counts_once_as_it_stood_last() {
        let mut tally = Tally::default();
        let read = vec![entry("a", Status::Pending, None), entry("a", Status::Complete, Some(5))];
        tally.add(read, at(10));
        assert_eq!(tally.counts, Counts { total: 1, complete: 1, ..Default::default() });
        assert_eq!(tally.usage, Usage { input_tokens: 10, output_tokens: 1 });
    }

    #[test]
    fn a_batch_is_completed_when_no_job_of_it_is_unfinished() {
        let status = |statuses: &[Status], cancelled| {
            let mut tally = Tally::default();
            let ids = 0..statuses.len();
            tally.add(ids.map(|n| entry(&n.to_string(), statuses[n], None)).collect(), at(10));
            tally.status(cancelled)
        };
        assert_eq!(status(&[], false), BatchStatus::InProgress);
        assert_eq!(status(&[Status::Complete, Status::Processing], false), BatchStatus::InProgress);
        assert_eq!(status(&[Status::Complete, Status::Failed], false), BatchStatus::Complete);
        assert_eq!(status(&[Status::Cancelled, Status::Processing], true), BatchStatus::Cancelling);
        assert_eq!(status(&[Status::Cancelled], true), BatchStatus::Cancelled);
    }

    #[test]
    fn the_end_is_estimated_from_what_ended_lately() {
        let mut tally = Tally::default();
        let ended = (0..30).map(|n| entry(&n.to_string(), Status::Complete, Some(n)));
        tally.add(ended.chain((30..90).map(|n| entry(&n.to_string(), Status::Pending, None))).collect(), at(30));
        // 30 jobs in 30 s are 60 a minute, and 60 are left.
        assert_eq!(tally.rate_per_minute(at(30)), Some(60.0));
        assert_eq!(tally.estimated_completion(at(30)), Some(at(90)));
        assert_eq!(Tally::default().estimated_completion(at(30)), None);
    }
}
