//! The claim: one conditional write by which one worker takes a job.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::waiting::INVOCATION;
use super::{Jobs, UPDATE, Write, unreadable};
use crate::aws::Unavailable;
use crate::aws::row_item::{attribute, decode};
use crate::aws::update::{number, text};
use crate::domain::batch::shard_of;
use crate::domain::claim::{Claim, Claimant, Decision, Refusal, decide};
use crate::domain::document::DocumentRecord;
use crate::domain::job::{DocumentSource, Job, Work};
use crate::domain::row::Status;

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimAnswer {
    /// The job is ours until the lease ends.
    Claimed(Claim),
    /// It is not, and why.
    Refused(Refusal),
}

impl Jobs {
    /// Claims a job, or says why not. One round trip; two for a redrive that
    /// finds its job not `failed`.
    ///
    /// # Errors
    /// [`Unavailable`]: whether the claim was made is not known. If it was, its
    /// lease ends by itself.
    pub async fn claim(
        &self,
        job: &Job,
        claimant: &Claimant<'_>,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<ClaimAnswer, Unavailable> {
        let mut decision = Decision::Claim { tries: 1 };
        if claimant.redrive_of.is_some() {
            decision = self.try_claim(job, claimant, now, lease_until, claimant.redrive_of).await?;
        }
        if matches!(decision, Decision::Claim { .. }) {
            decision = self.try_claim(job, claimant, now, lease_until, None).await?;
        }
        match decision {
            Decision::GoOn(claim) => Ok(ClaimAnswer::Claimed(claim)),
            Decision::Refuse(refusal) => Ok(ClaimAnswer::Refused(refusal)),
            // The write was refused where the decision would claim: the two
            // disagree, which a test keeps from happening.
            Decision::Claim { .. } => Err(Unavailable { service: UPDATE, code: "ClaimDisagrees".to_owned() }),
        }
    }

    /// One conditional write: `GoOn` with the claim it made, or the decision
    /// about the row that refused it.
    async fn try_claim(
        &self,
        job: &Job,
        claimant: &Claimant<'_>,
        now: Timestamp,
        lease_until: Timestamp,
        redrive_of: Option<u32>,
    ) -> Result<Decision, Unavailable> {
        let inline = DocumentRecord::default();
        let document = match &job.work {
            Work::Document(DocumentSource::Inline(_)) | Work::LongRunning(_) => inline,
            Work::Document(DocumentSource::S3(at)) => DocumentRecord {
                bucket: Some(at.bucket.clone()),
                key: Some(at.key.clone()),
                version_id: at.version_id.clone(),
                ..inline
            },
        };
        let mut update = self
            .changed(now)
            .set("status", attribute(&Status::Processing))
            .set("owner", attribute(claimant.owner))
            .set("lease_until", number(lease_until.as_millisecond()))
            .set_from("claimed_from", "status", attribute(&Status::Pending))
            .step("attempt", 1)
            .set_if_absent("created_at", Some(attribute(&now)))
            .set_if_absent("priority", Some(attribute(&job.priority)))
            .set_if_absent("document", Some(attribute(&document)))
            .set_if_absent("batch_id", job.batch_id.as_ref().map(attribute))
            .set_if_absent("batch_shard", job.batch_id.as_ref().map(|id| text(shard_of(id, &job.job_id))))
            .set_if_absent("analysis", job.analysis.as_ref().map(attribute))
            .set_if_absent("model_id", job.model_id.as_ref().map(text))
            .set_if_absent("metadata", job.metadata.as_ref().map(attribute))
            .remove(&["error", "completed_at", "waiting"]);
        let status = update.name("status");
        let condition = match redrive_of {
            Some(attempt) => {
                // Another life: an invocation is another.
                update = update.set("tries", number(1)).set("generation", number(attempt)).remove(&INVOCATION);
                let (attempt_name, failed) =
                    (update.name("attempt"), update.value("failed", attribute(&Status::Failed)));
                let attempt = update.value("redrive_of", number(attempt));
                format!("{status} = {failed} AND {attempt_name} = {attempt}")
            }
            None => {
                update = update.step("tries", 1);
                let (job_id, lease, tries) = (update.name("job_id"), update.name("lease_until"), update.name("tries"));
                let pending = update.value("pending", attribute(&Status::Pending));
                let now = update.value("now", number(now.as_millisecond()));
                let max_tries = update.value("max_tries", number(claimant.max_tries));
                // `:status` is `processing`: the status that this write sets.
                format!(
                    "attribute_not_exists({job_id}) OR {status} = {pending} OR \
                     ({status} = :status AND {lease} <= {now} AND {tries} < {max_tries})"
                )
            }
        };
        match self.write(&job.job_id, update, condition, ReturnValue::AllNew).await? {
            Write::Done(output) => {
                let row = output.attributes.and_then(decode).ok_or_else(unreadable)?;
                Ok(Decision::GoOn(Claim::of(&row, claimant.owner, lease_until)))
            }
            // `GoOn` here is our own claim: its answer was lost, and the SDK
            // wrote again.
            Write::Refused(row) => Ok(decide(row.as_deref(), now, claimant)),
        }
    }
}
