//! A row that waits for a long-running model's invocation: nobody works on the
//! job until the check that it waits for comes. See `domain::check`.

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

/// What the row keeps of an invocation, but for `waiting`.
pub(super) const INVOCATION: [&str; 3] = ["invocation_arn", "invocation_started_at", "poll"];

impl Jobs {
    /// Ends a claim whose job waits for `started.poll`, the message of which
    /// must be in the queue before. Until `lease_until` that check is waited for.
    pub async fn wait(
        &self,
        job_id: &JobId,
        claim: &Claim,
        started: &StartedInvocation,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let update = self
            .changed(now)
            .set("invocation_arn", attribute(&started.arn))
            .set("invocation_started_at", attribute(&started.started_at))
            .set("poll", number(started.poll))
            .set("waiting", attribute(&true))
            .set("lease_until", number(lease_until.as_millisecond()));
        self.fenced(job_id, claim, Status::Processing, update).await
    }

    /// Takes a row that was seen to wait at `attempt`: attempt + 1, and no try is
    /// charged. `None` when it waits there no longer.
    pub async fn resume(
        &self,
        job_id: &JobId,
        attempt: u32,
        owner: &Owner,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Claim>, Unavailable> {
        let mut update = self
            .changed(now)
            .set("owner", attribute(owner))
            .set("lease_until", number(lease_until.as_millisecond()))
            // Nobody fell silent.
            .set("claimed_from", attribute(&Status::Pending))
            .step("attempt", 1)
            .remove(&["waiting"]);
        let (status, attempt_name) = (update.name("status"), update.name("attempt"));
        let processing = update.value("processing", attribute(&Status::Processing));
        let taken = update.value("taken", number(attempt));
        // What ends the wait counts the attempt up.
        let condition = format!("{status} = {processing} AND {attempt_name} = {taken}");
        let row = match self.write(job_id, update, condition, ReturnValue::AllNew).await? {
            Write::Done(output) => output.attributes.and_then(decode).ok_or_else(unreadable)?,
            // Our own write, whose answer was lost.
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
