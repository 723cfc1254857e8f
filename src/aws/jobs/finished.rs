//! Decides whether a batch is complete, by consistent reads of the jobs table.
//!
//! The notifier checks the batch after each end of a job. The index is eventually
//! consistent and may still show this job as unfinished. If the job was the batch's
//! last, no later check would find the batch complete. Jobs that the index shows as
//! unfinished are therefore read from the table itself.
//!
//! Two jobs end last, and two invocations of the notifier handle their stream records:
//!
//! ```text
//! job a   ends ───────────────── reads the table: job b is unfinished → not complete
//! job b           ends (the last write) ───────── reads the table: all have ended → complete
//! ```
//!
//! - A stream record follows its write, so each invocation reads after its own job's end.
//! - The invocation of the last write reads after all ends and finds no unfinished job.
//! - The other invocation may read as late. The batch's event is then published twice.
//! - A new job that the index does not show yet is missed. The end of this job
//!   starts another check.

use jiff::Timestamp;

use super::table::Jobs;
use crate::aws::Unavailable;
use crate::domain::batch::shard::Group;
use crate::domain::batch::tally::{Entry, Tally};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{FINISH_CHECK_JOBS, INDEX_BEHIND_MAX};

impl Jobs {
    /// Counts a batch's jobs if all have ended; `None` if one has not.
    ///
    /// While many jobs are unfinished, the check costs one query and one read of
    /// [`FINISH_CHECK_JOBS`] stored jobs. While few are unfinished, it costs a query of
    /// each index partition, in four rounds. It reads all entries only if these jobs have
    /// ended.
    ///
    /// # Errors
    /// [`Unavailable`], also if the index shows more than [`INDEX_BEHIND_MAX`] ended jobs
    /// as unfinished. The caller retries.
    pub async fn tally_if_complete(&self, batch_id: &BatchId, now: Timestamp) -> Result<Option<Tally>, Unavailable> {
        let first = self.get_unfinished(Group::Batch(batch_id), None, FINISH_CHECK_JOBS).await?;
        if self.all_ended(&first.job_ids).await?.is_none() {
            return Ok(None);
        }
        let (ended, unfinished): (Vec<Entry>, Vec<Entry>) =
            self.entries(batch_id).await?.into_iter().partition(|entry| entry.status.has_ended());
        if unfinished.len() > INDEX_BEHIND_MAX {
            return Err(Unavailable { service: "dynamodb:Query", code: "IndexBehind".to_owned() });
        }
        let unfinished: Vec<JobId> = unfinished.into_iter().map(|entry| entry.job_id).collect();
        let mut tally = Tally::default();
        tally.add(ended, now);
        for jobs in unfinished.chunks(FINISH_CHECK_JOBS) {
            match self.all_ended(jobs).await? {
                Some(entries) => tally.add(entries, now),
                None => return Ok(None),
            }
        }
        Ok(Some(tally))
    }

    /// Reads jobs consistently and returns their entries if all have ended. An expired
    /// job is left out.
    async fn all_ended(&self, job_ids: &[JobId]) -> Result<Option<Vec<Entry>>, Unavailable> {
        let entries: Vec<Entry> =
            self.get_many_without_results(job_ids).await?.iter().map(Entry::from_stored).collect();
        Ok(entries.iter().all(|entry| entry.status.has_ended()).then_some(entries))
    }
}
