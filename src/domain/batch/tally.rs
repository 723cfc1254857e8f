//! The jobs of a batch as the index shows them, and their totals.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::evidence::{Evidence, EvidenceStatus};
use crate::domain::ids::JobId;
use crate::domain::job::stored::{State, Status, StoredJob, Usage};
use crate::domain::limits::RATE_WINDOW;

/// A job with the attributes that the index has.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The job's identifier.
    pub job_id: JobId,
    /// The status at the time of the read.
    pub status: Status,
    /// The tokens of a complete job; zero for other jobs.
    pub usage: Usage,
    /// The time at which the job was stored.
    pub created_at: Timestamp,
    /// The time of the end; `None` for unfinished jobs.
    pub completed_at: Option<Timestamp>,
    /// The state of the evidence of a complete job; `None` if it has none.
    pub evidence: Option<EvidenceStatus>,
}

impl Entry {
    /// The entry that the index has for a stored job.
    pub fn from_stored(row: &StoredJob) -> Self {
        let (usage, completed_at) = match &row.state {
            State::Pending | State::Processing { .. } => (Usage::default(), None),
            State::Complete(done) => (done.usage, Some(done.completed_at)),
            State::Failed { completed_at, .. } | State::Cancelled { completed_at } => {
                (Usage::default(), Some(*completed_at))
            }
        };
        let evidence = match &row.state {
            State::Complete(done) => done.evidence.as_ref().map(Evidence::status),
            _ => None,
        };
        let (job_id, status) = (row.job_id.clone(), row.state.status());
        Self { job_id, status, usage, created_at: row.created_at, completed_at, evidence }
    }
}

/// The number of jobs by status.
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
    /// The number of jobs that have not ended.
    pub fn unfinished(&self) -> u64 {
        self.pending + self.processing
    }
}

/// The number of complete jobs by the state of their evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct EvidenceCounts {
    pub verified: u64,
    pub unverified: u64,
    pub unverifiable: u64,
}

/// The status of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// A job is unfinished, or the batch has no jobs yet.
    InProgress,
    /// Every job of the batch has ended.
    Complete,
    /// The batch was cancelled, and some jobs are unfinished.
    Cancelling,
    /// The batch was cancelled, and every job has ended.
    Cancelled,
}

/// The totals of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// The number of jobs by status; `total` is their sum.
    pub counts: Counts,
    /// The tokens of all complete jobs.
    pub usage: Usage,
    /// The complete jobs with evidence, by its state.
    pub evidence: EvidenceCounts,
    /// The time at which the first job was stored.
    pub first_created_at: Option<Timestamp>,
    /// The time at which the last job ended.
    pub last_completed_at: Option<Timestamp>,
    /// The number of jobs that ended within [`RATE_WINDOW`] before the read.
    recently_ended: u64,
}

impl Tally {
    /// Adds entries of different jobs. `now` is the time of the read.
    pub fn add(&mut self, entries: impl IntoIterator<Item = Entry>, now: Timestamp) {
        let window_start = now - SignedDuration::try_from(RATE_WINDOW).unwrap_or(SignedDuration::MAX);
        for entry in entries {
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
            match entry.evidence {
                None => {}
                Some(EvidenceStatus::Verified) => self.evidence.verified += 1,
                Some(EvidenceStatus::Unverified) => self.evidence.unverified += 1,
                Some(EvidenceStatus::Unverifiable) => self.evidence.unverifiable += 1,
            }
            let first = self.first_created_at.get_or_insert(entry.created_at);
            *first = entry.created_at.min(*first);
            self.last_completed_at = self.last_completed_at.max(entry.completed_at);
            self.recently_ended += u64::from(entry.completed_at.is_some_and(|at| at > window_start));
        }
    }

    /// The status of the batch. `is_cancelled` is whether the batch was cancelled.
    pub fn status(&self, is_cancelled: bool) -> BatchStatus {
        match (is_cancelled, self.counts.unfinished()) {
            (true, 0) => BatchStatus::Cancelled,
            (true, _) => BatchStatus::Cancelling,
            (false, 0) if self.counts.total > 0 => BatchStatus::Complete,
            (false, _) => BatchStatus::InProgress,
        }
    }

    /// The number of jobs that end per minute, measured over [`RATE_WINDOW`] or over the
    /// age of the batch if that is shorter. `None` if no job ended in that time.
    pub fn rate_per_minute(&self, now: Timestamp) -> Option<f64> {
        let life = now.duration_since(self.first_created_at?).as_secs_f64();
        let window = life.clamp(1.0, RATE_WINDOW.as_secs_f64());
        (self.recently_ended > 0).then(|| self.recently_ended as f64 * 60.0 / window)
    }

    /// The time at which the last job would end at this rate. `None` if no job is
    /// unfinished or no job ended recently.
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
        Entry { job_id, status, usage, created_at: at(0), completed_at: ended.map(at), evidence: None }
    }

    #[test]
    fn batch_is_complete_when_every_job_has_ended() {
        let status = |statuses: &[Status], is_cancelled| {
            let mut tally = Tally::default();
            let ids = 0..statuses.len();
            tally.add(ids.map(|n| entry(&n.to_string(), statuses[n], None)), at(10));
            tally.status(is_cancelled)
        };
        assert_eq!(status(&[], false), BatchStatus::InProgress);
        assert_eq!(status(&[Status::Complete, Status::Processing], false), BatchStatus::InProgress);
        assert_eq!(status(&[Status::Complete, Status::Failed], false), BatchStatus::Complete);
        assert_eq!(status(&[Status::Cancelled, Status::Processing], true), BatchStatus::Cancelling);
        assert_eq!(status(&[Status::Cancelled], true), BatchStatus::Cancelled);
    }

    #[test]
    fn completion_is_estimated_from_recent_rate() {
        let mut tally = Tally::default();
        let ended = (0..30).map(|n| entry(&n.to_string(), Status::Complete, Some(n)));
        tally.add(ended.chain((30..90).map(|n| entry(&n.to_string(), Status::Pending, None))), at(30));
        assert_eq!(tally.usage, Usage { input_tokens: 300, output_tokens: 30 });
        // 30 jobs in 30 s are 60 per minute, and 60 jobs are unfinished.
        assert_eq!(tally.rate_per_minute(at(30)), Some(60.0));
        assert_eq!(tally.estimated_completion(at(30)), Some(at(90)));
        assert_eq!(Tally::default().estimated_completion(at(30)), None);
    }
}
