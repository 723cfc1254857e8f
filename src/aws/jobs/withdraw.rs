//! Changes that a caller makes to a job: cancel it, or retry a failed one.
//!
//! Each is one conditional write. A worker that runs the job meanwhile loses its next
//! fenced write.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::keys::mark_unfinished;
use super::table::{Jobs, Write, unreadable};
use super::waiting::INVOCATION;
use crate::aws::Unavailable;
use crate::aws::job_item::{attribute, decode};
use crate::aws::update::{Update, number};
use crate::domain::batch::shard::Group;
use crate::domain::ids::JobId;
use crate::domain::job::stored::{Status, StoredJob};

/// The result of a caller's change.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeOutcome {
    /// The job was changed; the stored job after the change.
    Changed(Box<StoredJob>),
    /// The job's state does not allow the change; the stored job, which did not change.
    InvalidState(Box<StoredJob>),
    /// No job with this id is stored.
    NotFound,
}

impl Jobs {
    /// Cancels a job that has not ended. If a worker runs the job, its result is dropped,
    /// because the fenced write of the result fails.
    pub async fn cancel(&self, job_id: &JobId, now: Timestamp) -> Result<ChangeOutcome, Unavailable> {
        let mut update = self.end_update(job_id, Status::Cancelled, now);
        let status = update.name("status");
        let pending = update.value("pending", attribute(&Status::Pending));
        let processing = update.value("processing", attribute(&Status::Processing));
        let condition = format!("{status} IN ({pending}, {processing})");
        self.change(job_id, update, condition).await
    }

    /// Returns a job that failed at `attempt` to `pending`, with no charged attempts. Its
    /// message must be in the queue first.
    pub async fn retry(&self, job_id: &JobId, attempt: u32, now: Timestamp) -> Result<ChangeOutcome, Unavailable> {
        let mut update = mark_unfinished(self.start_update(now), Group::OutsideBatches, job_id)
            .set("status", attribute(&Status::Pending))
            .set("charged_attempts", number(0))
            // A retry starts a new generation, which needs a new invocation.
            .set_from("generation", "attempt", number(0))
            .remove(&["error", "completed_at", "unproven_errors", "suspect", "not_before", "resends", "resent_at"])
            .remove(&INVOCATION);
        let (status, failed) = (update.name("status"), update.value("failed", attribute(&Status::Failed)));
        let (attempt_name, attempt) = (update.name("attempt"), update.value("redrive_of", number(attempt)));
        self.change(job_id, update, format!("{status} = {failed} AND {attempt_name} = {attempt}")).await
    }

    async fn change(&self, job_id: &JobId, update: Update, condition: String) -> Result<ChangeOutcome, Unavailable> {
        Ok(match self.write(job_id, update, condition, ReturnValue::AllNew).await? {
            Write::Done(output) => {
                ChangeOutcome::Changed(Box::new(output.attributes.and_then(decode).ok_or_else(unreadable)?))
            }
            Write::Refused(Some(row)) => ChangeOutcome::InvalidState(row),
            Write::Refused(None) => ChangeOutcome::NotFound,
        })
    }
}
