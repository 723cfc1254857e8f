//! Whether a batch has finished, as the table has it.
//!
//! The index follows the table by moments. The job whose end brings somebody
//! here may still stand there as unfinished, and then nobody would find the
//! batch finished: it was the last to ask. So whatever the index shows as
//! unfinished is read from the table itself, which a consistent read shows as it
//! was last written. Two jobs that end last, told of by two invocations:
//!
//! ```text
//! job a      ends ──────────────── asks: b unfinished in the table → not yet
//! job b               ends (the last write) ──── asks: no job is → finished
//! ```
//!
//! Each asks after its own job's end, for the stream tells of it after the
//! write. Whose write is the last asks after all of them, and so finds none
//! unfinished; the other may find the same, and then the batch is told twice.
//!
//! What is not promised: a job that was just made and is not in the index yet is
//! missed. Its own end asks again.

use jiff::Timestamp;

use super::table::Jobs;
use crate::aws::Unavailable;
use crate::domain::batch::cursor::Select;
use crate::domain::batch::tally::{Entry, Tally, latest};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{INDEX_BEHIND_MAX, LOOKED_AT_FIRST};

impl Jobs {
    /// A batch's tally, once none of its jobs is unfinished; `None` until then.
    ///
    /// While jobs run, this costs one query and one read of [`LOOKED_AT_FIRST`]
    /// rows. All entries are read only when those rows have ended.
    ///
    /// # Errors
    /// [`Unavailable`], also when the index is more than [`INDEX_BEHIND_MAX`]
    /// jobs behind the table: ask again.
    pub async fn finished(&self, batch_id: &BatchId, now: Timestamp) -> Result<Option<Tally>, Unavailable> {
        let first = self.page(batch_id, Select::Unfinished, None, LOOKED_AT_FIRST).await?;
        let first: Vec<JobId> = first.entries.into_iter().map(|entry| entry.job_id).collect();
        if self.all_ended(&first).await?.is_none() {
            return Ok(None);
        }
        let (ended, open): (Vec<Entry>, Vec<Entry>) =
            latest(self.entries(batch_id).await?).into_values().partition(|entry| entry.status.has_ended());
        if open.len() > INDEX_BEHIND_MAX {
            return Err(Unavailable { service: "dynamodb:Query", code: "IndexBehind".to_owned() });
        }
        let open: Vec<JobId> = open.into_iter().map(|entry| entry.job_id).collect();
        let mut tally = Tally::default();
        tally.add(ended, now);
        for jobs in open.chunks(LOOKED_AT_FIRST) {
            match self.all_ended(jobs).await? {
                Some(entries) => tally.add(entries, now),
                None => return Ok(None),
            }
        }
        Ok(Some(tally))
    }

    /// Jobs as the table has them, if all of them have ended. One whose row is
    /// gone is left out.
    async fn all_ended(&self, job_ids: &[JobId]) -> Result<Option<Vec<Entry>>, Unavailable> {
        let entries: Vec<Entry> = self.get_many_without_results(job_ids).await?.iter().map(Entry::of).collect();
        Ok(entries.iter().all(|entry| entry.status.has_ended()).then_some(entries))
    }
}
