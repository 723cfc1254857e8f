//! What a caller may do to a job from outside: cancel it, or have a failed one
//! tried again. Each is one conditional write, and a running worker notices by
//! its fence.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::table::{Jobs, Write};
use super::waiting::INVOCATION;
use crate::aws::Unavailable;
use crate::aws::job_item::{attribute, decode};
use crate::aws::update::number;
use crate::domain::ids::JobId;
use crate::domain::job::stored::{Status, StoredJob};

/// What became of a change from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// The row is changed; as it is now.
    Done(Box<StoredJob>),
    /// The row stands where this change cannot begin; as it is.
    Otherwise(Box<StoredJob>),
    /// There is no such job.
    Unknown,
}

impl Jobs {
    /// Cancels a job that has not ended. One that runs is dropped when it ends:
    /// its result finds no claim to end.
    pub async fn cancel(&self, job_id: &JobId, now: Timestamp) -> Result<Changed, Unavailable> {
        let mut update = self
            .changed(now)
            .set("status", attribute(&Status::Cancelled))
            .set("completed_at", attribute(&now))
            .remove(&["lease_until"]);
        let status = update.name("status");
        let pending = update.value("pending", attribute(&Status::Pending));
        let processing = update.value("processing", attribute(&Status::Processing));
        let condition = format!("{status} IN ({pending}, {processing})");
        self.change(job_id, update, condition).await
    }

    /// Puts a job that failed at `attempt` back to `pending`, its charged_attempts begun
    /// again. Its message must be in the queue before.
    pub async fn retry(&self, job_id: &JobId, attempt: u32, now: Timestamp) -> Result<Changed, Unavailable> {
        let mut update = self
            .changed(now)
            .set("status", attribute(&Status::Pending))
            .set("charged_attempts", number(0))
            // Another life: an invocation is another.
            .set_from("generation", "attempt", number(0))
            .remove(&["error", "completed_at"])
            .remove(&INVOCATION);
        let (status, failed) = (update.name("status"), update.value("failed", attribute(&Status::Failed)));
        let (attempt_name, attempt) = (update.name("attempt"), update.value("redrive_of", number(attempt)));
        self.change(job_id, update, format!("{status} = {failed} AND {attempt_name} = {attempt}")).await
    }

    async fn change(
        &self,
        job_id: &JobId,
        update: crate::aws::update::Update,
        condition: String,
    ) -> Result<Changed, Unavailable> {
        Ok(match self.write(job_id, update, condition, ReturnValue::AllNew).await? {
            Write::Done(output) => {
                Changed::Done(Box::new(output.attributes.and_then(decode).ok_or_else(super::table::unreadable)?))
            }
            Write::Refused(Some(row)) => Changed::Otherwise(row),
            Write::Refused(None) => Changed::Unknown,
        })
    }
}
