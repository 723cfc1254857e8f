//! The endings: writes that name their attempt, so that a worker that lost its
//! lease changes nothing.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::table::{Jobs, Write};
use crate::aws::Unavailable;
use crate::aws::job_item::attribute;
use crate::aws::update::{Update, number, text};
use crate::domain::document::DocumentRecord;
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::JobId;
use crate::domain::job::claim::Claim;
use crate::domain::job::stored::{Completed, State, Status, StoredJob, StoredResult};

/// What a fenced write found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// The row was ours, and is written.
    Written,
    /// The row is at another attempt or has ended otherwise: nothing was
    /// changed.
    Lost,
}

/// Why a result was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteError {
    /// The table will never hold this result.
    Rejected(Failure),
    /// The table did not answer.
    Unavailable(Unavailable),
}

impl Jobs {
    /// Stores the result: `complete`.
    ///
    /// # Errors
    /// [`CompleteError::Rejected`] when the table cannot hold it.
    pub async fn complete(
        &self,
        job_id: &JobId,
        claim: &Claim,
        completed: &Completed,
        document: &DocumentRecord,
    ) -> Result<Fenced, CompleteError> {
        let (result, other, stored) = match &completed.result {
            StoredResult::Inline(result) => ("result", "result_s3", attribute(result)),
            StoredResult::Bucket(at) => ("result_s3", "result", attribute(at)),
        };
        let mut update = self
            .changed(completed.completed_at)
            .set("status", attribute(&Status::Complete))
            .set("completed_at", attribute(&completed.completed_at))
            .set(result, stored)
            .set("model_id", text(&completed.model_id))
            .set("usage", attribute(&completed.usage))
            .set("stop_reason", text(&completed.stop_reason))
            .set("model_latency_ms", number(completed.model_latency_ms))
            .set("document", attribute(document))
            .remove(&["lease_until", "error", other]);
        if let Some(job_id) = &completed.deduplicated_from {
            update = update.set("deduplicated_from", attribute(job_id));
        }
        if let Some(fingerprint) = &completed.fingerprint {
            update = update.set("fingerprint", text(fingerprint));
        }
        if let Some(chunks) = completed.chunks {
            update = update.set("chunks", number(chunks));
        }
        match self.fenced(job_id, claim, Status::Complete, update).await {
            Ok(fenced) => Ok(fenced),
            Err(error) if error.code == "ValidationException" => Err(CompleteError::Rejected(Failure::new(
                codes::ANSWER_TOO_LARGE,
                "the table refused the model's answer as it is: an item holds 400 KB",
            ))),
            Err(error) => Err(CompleteError::Unavailable(error)),
        }
    }

    /// Gives a job back to `pending`, charged or not.
    pub async fn release(
        &self,
        job_id: &JobId,
        claim: &Claim,
        charged: bool,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let mut update = self.changed(now).set("status", attribute(&Status::Pending)).remove(&["lease_until"]);
        if !charged {
            update = update.step("charged_attempts", -1);
        }
        self.fenced(job_id, claim, Status::Pending, update).await
    }

    /// Marks a job `cancelled` whose batch was cancelled before it began.
    pub async fn mark_cancelled(&self, job_id: &JobId, claim: &Claim, now: Timestamp) -> Result<Fenced, Unavailable> {
        let update = self
            .changed(now)
            .set("status", attribute(&Status::Cancelled))
            .set("completed_at", attribute(&now))
            .remove(&["lease_until"]);
        self.fenced(job_id, claim, Status::Cancelled, update).await
    }

    /// Marks a job `failed`. Its message must lie in the dead-letter queue
    /// before: a crash between the two duplicates, and never loses.
    pub async fn fail(
        &self,
        job_id: &JobId,
        claim: &Claim,
        error: &Failure,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        self.fenced(job_id, claim, Status::Failed, self.failed(error, now)).await
    }

    /// Marks a job `failed` that fell silent at `attempt` and has no charged_attempts
    /// left. Refused if anybody has taken it since.
    pub async fn fail_expired_lease(
        &self,
        job_id: &JobId,
        attempt: u32,
        error: &Failure,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let mut update = self.failed(error, now);
        let (status, attempt_name, lease) = (update.name("status"), update.name("attempt"), update.name("lease_until"));
        let processing = update.value("processing", attribute(&Status::Processing));
        let fence = update.value("fence", number(attempt));
        let now = update.value("now", number(now.as_millisecond()));
        let condition = format!("{status} = {processing} AND {attempt_name} = {fence} AND {lease} <= {now}");
        Ok(match self.write(job_id, update, condition, ReturnValue::None).await? {
            Write::Done(_) => Fenced::Written,
            // Another delivery of the same message came to the same end first.
            Write::Refused(Some(row)) if row.attempt == attempt && matches!(row.state, State::Failed { .. }) => {
                Fenced::Written
            }
            Write::Refused(_) => Fenced::Lost,
        })
    }

    /// A write that names its attempt: it changes the row only while the claim
    /// holds.
    pub(super) async fn fenced(
        &self,
        job_id: &JobId,
        claim: &Claim,
        target: Status,
        mut update: Update,
    ) -> Result<Fenced, Unavailable> {
        if claim.took_over {
            update = update.set("possible_duplicate_call", attribute(&true));
        }
        let (status, attempt) = (update.name("status"), update.name("attempt"));
        let processing = update.value("processing", attribute(&Status::Processing));
        let fence = update.value("fence", number(claim.attempt));
        let condition = format!("{status} = {processing} AND {attempt} = {fence}");
        Ok(match self.write(job_id, update, condition, ReturnValue::None).await? {
            Write::Done(_) => Fenced::Written,
            Write::Refused(Some(row)) if is_own_write(&row, claim, target) => Fenced::Written,
            Write::Refused(_) => Fenced::Lost,
        })
    }

    fn failed(&self, error: &Failure, now: Timestamp) -> Update {
        self.changed(now)
            .set("status", attribute(&Status::Failed))
            .set("error", attribute(error))
            .set("completed_at", attribute(&now))
            .remove(&["lease_until"])
    }
}

/// A refused write may be the second of two, when the first took effect and its
/// answer was lost: then the row bears our claim and stands where we put it.
fn is_own_write(row: &StoredJob, claim: &Claim, target: Status) -> bool {
    row.state.status() == target && row.attempt == claim.attempt && row.owner.as_ref() == Some(&claim.owner)
}
