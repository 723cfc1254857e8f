//! Stored jobs that wait for a poll of their long invocation.
//!
//! A waiting job is `processing`, but no worker holds it until SQS delivers the message
//! of the poll. The module `domain::async_invocation::poll` explains the order of the
//! writes and the messages.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::endings::Fenced;
use super::table::{Jobs, Write, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{attribute, decode};
use crate::aws::update::number;
use crate::domain::async_invocation::request::StartedInvocation;
use crate::domain::ids::{JobId, Owner};
use crate::domain::job::claim::Claim;
use crate::domain::job::stored::{State, Status};

/// The attributes that name a job's invocation. A new generation removes them.
pub(super) const INVOCATION: [&str; 3] = ["invocation_arn", "invocation_started_at", "poll"];

impl Jobs {
    /// Ends a claim, and lets the stored job wait for the poll `started.poll`.
    ///
    /// The message of this poll must be in the queue first. After `lease_until` the poll
    /// counts as lost, and any copy of the job's message may resume the job.
    pub async fn wait(
        &self,
        job_id: &JobId,
        claim: &Claim,
        started: &StartedInvocation,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let update = self
            .start_update(now)
            .set("invocation_arn", attribute(&started.arn))
            .set("invocation_started_at", attribute(&started.started_at))
            .set("poll", number(started.poll))
            .set("waiting", attribute(&true))
            .set("lease_until", number(lease_until.as_millisecond()));
        self.write_fenced(job_id, claim, Status::Processing, update).await
    }

    /// Resumes a job that waits at `attempt`: the attempt is counted up, and none is
    /// charged. `None` if the job does not wait at this attempt any more.
    pub async fn resume(
        &self,
        job_id: &JobId,
        attempt: u32,
        owner: &Owner,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Claim>, Unavailable> {
        let mut update = self
            .start_update(now)
            .set("owner", attribute(owner))
            .set("lease_until", number(lease_until.as_millisecond()))
            // The wait ended the earlier claim, so no earlier call is in doubt.
            .set("claimed_from", attribute(&Status::Pending))
            .step("attempt", 1)
            .remove(&["waiting"]);
        let (status, attempt_name) = (update.name("status"), update.name("attempt"));
        let processing = update.value("processing", attribute(&Status::Processing));
        let fence = update.value("fence", number(attempt));
        // Every write that ends the wait counts the attempt up or changes the status.
        let condition = format!("{status} = {processing} AND {attempt_name} = {fence}");
        let row = match self.write(job_id, update, condition, ReturnValue::AllNew).await? {
            Write::Done(output) => output.attributes.and_then(decode).ok_or_else(unreadable)?,
            // This write itself: its response was lost, and the SDK repeated it.
            Write::Refused(Some(row))
                if row.owner.as_ref() == Some(owner) && matches!(row.state, State::Processing { .. }) =>
            {
                *row
            }
            Write::Refused(_) => return Ok(None),
        };
        Ok(Some(Claim::from_stored(&row, owner, lease_until)))
    }
}
