//! A batch: jobs that belong together, and how they stand.
//!
//! Counts come from the jobs themselves, by an index over batch and status; no
//! counter is kept that a crash could leave wrong. The index's partition is a
//! part of the batch, so that a large batch is spread over several.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::analysis::AnalysisRequest;
use super::document::sha256_hex;
use super::ids::{BatchId, JobId};
use super::limits::{BATCH_SHARDS, RATE_WINDOW};
use super::row::{Row, State, Status, Usage};

/// What was said about a batch before its jobs. A batch whose jobs came by
/// uploads alone has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Names the batch for ever.
    pub batch_id: BatchId,
    /// What to ask of the model, for jobs that do not say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisRequest>,
    /// The caller's own words about the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Whether a document that was analysed the same way before takes that
    /// result; as the function has it when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<bool>,
    /// What was asked, as a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was cancelled: no job of it starts after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
}

/// The index's partition of a job: one of [`BATCH_SHARDS`] of its batch.
pub fn shard_of(batch_id: &BatchId, job_id: &JobId) -> String {
    shard_name(batch_id, shard_number(job_id))
}

fn shard_number(job_id: &JobId) -> u32 {
    let hash = sha256_hex(job_id.as_str().as_bytes());
    let byte = u8::from_str_radix(&hash[..2], 16).unwrap_or_default();
    u32::from(byte) % BATCH_SHARDS
}

/// The name of a batch's partition: from 0 to [`BATCH_SHARDS`] − 1. An id has no
/// `/`, so that no batch's partition is another's.
pub fn shard_name(batch_id: &BatchId, shard: u32) -> String {
    format!("{batch_id}/{shard}")
}

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
    pub fn of(row: &Row) -> Self {
        let (usage, completed_at) = match &row.state {
            State::Pending | State::Processing { .. } => (Usage::default(), None),
            State::Complete(done) => (done.usage, Some(done.completed_at)),
            State::Failed { completed_at, .. } => (Usage::default(), Some(*completed_at)),
            State::Cancelled => (Usage::default(), Some(row.updated_at)),
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

/// Which jobs of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// All of them.
    All,
    /// Those of one status.
    Only(Status),
    /// `pending` and `processing`.
    Unfinished,
    /// `complete`, `failed` and `cancelled`.
    Ended,
}

impl Select {
    /// Whether jobs of this status are among them.
    pub fn has(self, status: Status) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => status == only,
            Self::Unfinished => !status.has_ended(),
            Self::Ended => status.has_ended(),
        }
    }
}

/// Where a page of a batch's jobs begins. As text, `2.failed.job-1`: partition,
/// and after which job; `2` is the partition's beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// From 0.
    pub shard: u32,
    /// The last job before the page.
    pub after: Option<(Status, JobId)>,
}

impl Cursor {
    /// Right behind a job.
    pub fn behind(entry: &Entry) -> Self {
        Self { shard: shard_number(&entry.job_id), after: Some((entry.status, entry.job_id.clone())) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.after {
            Some((status, job_id)) => write!(f, "{}.{}.{job_id}", self.shard, status.as_str()),
            None => write!(f, "{}", self.shard),
        }
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let shard = parts.next().and_then(|shard| shard.parse().ok()).filter(|shard| *shard < BATCH_SHARDS).ok_or(())?;
        let after = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(status), Some(id)) => Some((status.parse()?, id.parse().map_err(|_| ())?)),
            (Some(_), None) => return Err(()),
        };
        let cursor = Self { shard, after };
        // As it was written, and no other way: not `+2`, not `02`.
        if cursor.to_string() == text { Ok(cursor) } else { Err(()) }
    }
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
    Completed,
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
    pub last_ended_at: Option<Timestamp>,
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
            self.last_ended_at = self.last_ended_at.max(entry.completed_at);
            self.ended_lately += u64::from(entry.completed_at.is_some_and(|at| at > lately));
        }
    }

    /// How the batch stands.
    pub fn status(&self, cancelled: bool) -> BatchStatus {
        match (cancelled, self.counts.unfinished()) {
            (true, 0) => BatchStatus::Cancelled,
            (true, _) => BatchStatus::Cancelling,
            (false, 0) if self.counts.total > 0 => BatchStatus::Completed,
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
    pub fn estimated_end(&self, now: Timestamp) -> Option<Timestamp> {
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
        assert_eq!(status(&[Status::Complete, Status::Failed], false), BatchStatus::Completed);
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
        assert_eq!(tally.estimated_end(at(30)), Some(at(90)));
        assert_eq!(Tally::default().estimated_end(at(30)), None);
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for text in ["0", "7", "3.failed.a.b-c:d"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for wrong in ["", "8", "-1", "+2", "02", "1.failed", "1.lost.a", "1.failed.a b", "1.failed."] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_batchs_jobs_are_spread_over_all_its_partitions() {
        let batch: BatchId = "b".parse().unwrap();
        let shards: std::collections::BTreeSet<String> =
            (0..1_000).map(|n| shard_of(&batch, &n.to_string().parse().unwrap())).collect();
        let names: std::collections::BTreeSet<String> = (0..BATCH_SHARDS).map(|n| shard_name(&batch, n)).collect();
        assert_eq!(shards, names);
    }
}
