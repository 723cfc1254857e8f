//! The fenced writes that end a claim. Each is conditioned on the claim's attempt, so
//! that a worker that lost its lease changes nothing.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::table::{Jobs, Write};
use crate::aws::Unavailable;
use crate::aws::job_item::attribute;
use crate::aws::packed_result::pack;
use crate::aws::update::{Update, number, text};
use crate::domain::document::DocumentRecord;
use crate::domain::evidence::Evidence;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::waiting::waiting_shard;
use crate::domain::ids::JobId;
use crate::domain::job::claim::Claim;
use crate::domain::job::ending::Release;
use crate::domain::job::stored::{Completed, EndedAttempt, State, Status, StoredJob, StoredResult};
use crate::domain::json::table_bytes;
use crate::domain::limits::{ATTEMPTS_LISTED_MAX, INLINE_RESULT_MAX_BYTES};

/// The result of a fenced write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// The claim held, and the write is stored.
    Written,
    /// The claim no longer held: the job is at another attempt or has ended. Nothing
    /// changed.
    Lost,
}

/// Why a result was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteError {
    /// DynamoDB cannot store this result; a repeated write would fail too.
    Rejected(Failure),
    /// DynamoDB did not answer.
    Unavailable(Unavailable),
}

impl Jobs {
    /// Stores a job's result and marks the job `complete`.
    ///
    /// # Errors
    /// [`CompleteError::Rejected`] if DynamoDB cannot store the result, such as an item of
    /// [more than 400 KB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
    pub async fn complete(
        &self,
        job_id: &JobId,
        claim: &Claim,
        completed: &Completed,
        document: &DocumentRecord,
    ) -> Result<Fenced, CompleteError> {
        let (used, value) = match &completed.result {
            StoredResult::Inline(result) if table_bytes(result) <= INLINE_RESULT_MAX_BYTES => {
                ("result", attribute(result))
            }
            StoredResult::Inline(result) => match pack(result) {
                Some(packed) => ("result_packed", text(packed)),
                // DynamoDB refuses an item that is too large.
                None => ("result", attribute(result)),
            },
            StoredResult::Bucket(at) => ("result_s3", attribute(at)),
        };
        let unused: Vec<&str> =
            ["result", "result_packed", "result_s3"].into_iter().filter(|name| *name != used).collect();
        let mut update = self
            .end_update(job_id, Status::Complete, completed.completed_at)
            .set(used, value)
            .set("model_id", text(&completed.model_id))
            .set("usage", attribute(&completed.usage))
            .set("stop_reason", text(&completed.stop_reason))
            .set("model_latency_ms", number(completed.model_latency_ms))
            .set("document", attribute(document))
            .remove(&["error"])
            .remove(&unused);
        if let Some(label) = &completed.label {
            update = update.set("label", text(label));
        }
        if let Some(evidence) = &completed.evidence {
            let counts = Evidence { leaves: Vec::new(), ..evidence.clone() };
            update = update
                .set("evidence", attribute(&counts))
                .set("evidence_leaves", attribute(&evidence.leaves))
                .set("evidence_status", attribute(&evidence.status()));
        }
        if let Some(job_id) = &completed.deduplicated_from {
            update = update.set("deduplicated_from", attribute(job_id));
        }
        if let Some(fingerprint) = &completed.fingerprint {
            update = update.set("fingerprint", text(fingerprint));
        }
        if completed.repaired {
            update = update.set("repaired", attribute(&true));
        }
        if let Some(chunks) = completed.chunks {
            update = update.set("chunks", number(chunks));
        }
        // The list of a job that completes at its first attempt would say nothing new.
        if !claim.attempts.is_empty() {
            update = list_attempt(update, claim, "complete", None, completed.completed_at);
        }
        match self.write_fenced(job_id, claim, Status::Complete, update).await {
            Ok(fenced) => Ok(fenced),
            Err(error) if error.code == "ValidationException" => Err(CompleteError::Rejected(Failure::new(
                codes::ANSWER_TOO_LARGE,
                "DynamoDB cannot store the model's answer: an item holds at most 400 KB; ask for a shorter answer",
            ))),
            Err(error) => Err(CompleteError::Unavailable(error)),
        }
    }

    /// Releases a job to `pending`, as `release` says.
    ///
    /// `document` is the location of a document that came in the message and was stored
    /// since, so that a new message can name it.
    pub async fn release(
        &self,
        job_id: &JobId,
        claim: &Claim,
        release: &Release,
        document: Option<&DocumentRecord>,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let mut update = self.start_update(now).set("status", attribute(&Status::Pending)).remove(&["lease_until"]);
        if !release.charged {
            update = update.step("charged_attempts", -1);
        }
        if release.unproven {
            update = update.step("unproven_errors", 1);
        }
        if let Some(error) = &release.error {
            update = update.set("last_error", attribute(error));
        }
        update = match &release.waiting_for {
            Some(target) => update.set("waiting_for", text(waiting_shard(target, job_id))),
            None => update.set("not_before", number((now + release.after).as_millisecond())),
        };
        if let Some(document) = document {
            update = update.set("document", attribute(document));
        }
        let code = release.error.as_ref().map(|error| error.code.as_str());
        let update = list_attempt(update, claim, release.reason.as_str(), code, now);
        self.write_fenced(job_id, claim, Status::Pending, update).await
    }

    /// Marks a claimed job `cancelled`, because its batch was cancelled before the model
    /// call.
    pub async fn mark_cancelled(&self, job_id: &JobId, claim: &Claim, now: Timestamp) -> Result<Fenced, Unavailable> {
        let update = self.end_update(job_id, Status::Cancelled, now);
        let update = list_attempt(update, claim, "cancelled", Some(codes::BATCH_CANCELLED), now);
        self.write_fenced(job_id, claim, Status::Cancelled, update).await
    }

    /// Marks a job `failed`. The job's message must be in the dead-letter queue first: a
    /// crash between the two writes duplicates the message and never loses it.
    pub async fn fail(
        &self,
        job_id: &JobId,
        claim: &Claim,
        error: &Failure,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let update = list_attempt(self.failure_update(job_id, error, now), claim, "failed", Some(&error.code), now);
        self.write_fenced(job_id, claim, Status::Failed, update).await
    }

    /// Marks a job `failed` whose lease expired at `attempt` and whose charged attempts
    /// are exhausted. Changes nothing if another claim, or an end, came first.
    pub async fn fail_expired_lease(
        &self,
        job_id: &JobId,
        attempt: u32,
        error: &Failure,
        now: Timestamp,
    ) -> Result<Fenced, Unavailable> {
        let mut update = self.failure_update(job_id, error, now);
        let (status, attempt_name, lease) = (update.name("status"), update.name("attempt"), update.name("lease_until"));
        let processing = update.value("processing", attribute(&Status::Processing));
        let fence = update.value("fence", number(attempt));
        let now = update.value("now", number(now.as_millisecond()));
        let condition = format!("{status} = {processing} AND {attempt_name} = {fence} AND {lease} <= {now}");
        Ok(match self.write(job_id, update, condition, ReturnValue::None).await? {
            Write::Done(_) => Fenced::Written,
            // Another delivery of the same message failed the job first.
            Write::Refused(Some(row)) if row.attempt == attempt && matches!(row.state, State::Failed { .. }) => {
                Fenced::Written
            }
            Write::Refused(_) => Fenced::Lost,
        })
    }

    /// Writes an update that changes the stored job only while the claim holds.
    /// `target` is the status that the update sets.
    pub(super) async fn write_fenced(
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

    fn failure_update(&self, job_id: &JobId, error: &Failure, now: Timestamp) -> Update {
        self.end_update(job_id, Status::Failed, now).set("error", attribute(error)).set("error_code", text(&error.code))
    }
}

/// Adds the end of the claim's attempt to the stored list of attempts.
fn list_attempt(update: Update, claim: &Claim, end: &str, code: Option<&str>, now: Timestamp) -> Update {
    let ended =
        EndedAttempt { attempt: claim.attempt, ended_at: now, end: end.to_owned(), code: code.map(str::to_owned) };
    let kept = claim.attempts.len().saturating_sub(ATTEMPTS_LISTED_MAX - 1);
    let attempts: Vec<&EndedAttempt> = claim.attempts[kept..].iter().chain([&ended]).collect();
    update.set("attempts", attribute(&attempts))
}

/// Whether a rejected write is the SDK's repetition of a stored write whose response was
/// lost. The stored job then has this claim and the target status.
fn is_own_write(row: &StoredJob, claim: &Claim, target: Status) -> bool {
    row.state.status() == target && row.attempt == claim.attempt && row.owner.as_ref() == Some(&claim.owner)
}
