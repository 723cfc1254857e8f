//! The claim: one conditional write by which one worker takes a job.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::keys::mark_unfinished;
use super::table::{Jobs, UPDATE, Write, unreadable};
use super::waiting::INVOCATION;
use super::work::require_work;
use crate::aws::Unavailable;
use crate::aws::job_item::{attribute, decode};
use crate::aws::update::{number, text};
use crate::domain::batch::shard::Group;
use crate::domain::document::DocumentRecord;
use crate::domain::job::claim::{Claim, ClaimRejected, Claimant, Decision, decide_for_work};
use crate::domain::job::stored::{STORED_VERSION, Status};
use crate::domain::job::{DocumentSource, Job, Work};
use crate::domain::message::s3_event::uploaded_name;

/// The result of [`Jobs::claim`].
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimAnswer {
    /// The claimant holds the job until the lease expires.
    Claimed(Claim),
    /// The claimant does not hold the job.
    Rejected(ClaimRejected),
}

/// The form of the conditional write of a claim.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A new job, a `pending` one whose backoff has passed, or one that crashed its worker
    /// alone: charged.
    Usual,
    /// The redrive of this failed attempt: charged attempts restart.
    Redrive(u32),
    /// A job whose worker fell silent together with other jobs at this attempt: the earlier attempt
    /// is not charged.
    TakeOver(u32),
}

impl Jobs {
    /// Claims a job, or returns why the job cannot be claimed.
    ///
    /// The claim takes one round trip. It takes two for a job whose worker fell silent, and
    /// for a redrive that finds its job in another state than `failed`.
    ///
    /// # Errors
    /// [`Unavailable`]: the claim may have been stored or not. A stored claim expires
    /// with its lease.
    pub async fn claim(
        &self,
        job: &Job,
        claimant: &Claimant<'_>,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<ClaimAnswer, Unavailable> {
        let mut decision = Decision::Claim { charged_attempts: 1 };
        if let Some(attempt) = claimant.redrive_of {
            decision = self.try_claim(job, claimant, now, lease_until, Form::Redrive(attempt)).await?.0;
        }
        if !matches!(decision, Decision::Continue(_) | Decision::Reject(_)) {
            let attempt;
            (decision, attempt) = self.try_claim(job, claimant, now, lease_until, Form::Usual).await?;
            if let Decision::TakeOver { .. } = decision {
                decision = self.try_claim(job, claimant, now, lease_until, Form::TakeOver(attempt)).await?.0;
            }
        }
        match decision {
            Decision::Continue(claim) => Ok(ClaimAnswer::Claimed(claim)),
            Decision::Reject(rejected) => Ok(ClaimAnswer::Rejected(rejected)),
            // DynamoDB rejected a write that `decide` would allow. tests/claim.rs compares
            // the condition with `decide`. After a take-over by another worker, the message
            // finds that worker's claim at its next delivery.
            Decision::Claim { .. } | Decision::TakeOver { .. } => {
                Err(Unavailable { service: UPDATE, code: "ClaimConditionMismatch".to_owned() })
            }
        }
    }

    /// One conditional write. Returns `Continue` with the new claim, or the decision
    /// about the stored job that failed the condition, with its attempt.
    async fn try_claim(
        &self,
        job: &Job,
        claimant: &Claimant<'_>,
        now: Timestamp,
        lease_until: Timestamp,
        form: Form,
    ) -> Result<(Decision, u32), Unavailable> {
        let document = match &job.work {
            Work::Document(DocumentSource::S3(location)) => DocumentRecord::unread(location),
            Work::Document(DocumentSource::Inline(_)) | Work::AsyncInvocation(_) => DocumentRecord::default(),
        };
        let group = Group::from_batch(job.batch_id.as_ref());
        let mut update = mark_unfinished(self.start_update(now), group, &job.job_id)
            .set("status", attribute(&Status::Processing))
            .set("owner", attribute(claimant.owner))
            .set("lease_until", number(lease_until.as_millisecond()))
            .set("ran_alone", attribute(&claimant.is_alone))
            .set_from("claimed_from", "status", attribute(&Status::Pending))
            .step("attempt", 1)
            .set_if_absent("version", Some(number(STORED_VERSION)))
            .set_if_absent("created_at", Some(attribute(&now)))
            .set_if_absent("priority", Some(attribute(&job.priority)))
            .set_if_absent("document", Some(attribute(&document)))
            .set_if_absent("document_name", document.key().and_then(uploaded_name).map(text))
            .set_if_absent("batch_id", job.batch_id.as_ref().map(attribute))
            .set_if_absent("batch_shard", job.batch_id.as_ref().map(|_| text(group.partition_of(&job.job_id))))
            .set_if_absent("analysis", job.analysis.as_ref().map(attribute))
            .set_if_absent("model_id", job.model_id.as_ref().map(text))
            .set_if_absent("metadata", job.metadata.as_ref().map(attribute))
            .remove(&["error", "completed_at", "waiting", "waiting_for", "not_before"]);
        let fits = require_work(&mut update, &job.work);
        let (status, attempt_name) = (update.name("status"), update.name("attempt"));
        let condition = match form {
            Form::Redrive(attempt) => {
                // A redrive starts a new generation, which needs a new invocation.
                update =
                    update.set("charged_attempts", number(1)).set("generation", number(attempt)).remove(&INVOCATION);
                update = update.remove(&["unproven_errors", "suspect"]);
                let failed = update.value("failed", attribute(&Status::Failed));
                let attempt = update.value("redrive_of", number(attempt));
                format!("{status} = {failed} AND {attempt_name} = {attempt}")
            }
            Form::TakeOver(attempt) => {
                update = update.set("suspect", attribute(&true));
                let lease = update.name("lease_until");
                let attempt = update.value("silent", number(attempt));
                let now = update.value("now", number(now.as_millisecond()));
                format!("{status} = :status AND {attempt_name} = {attempt} AND {lease} <= {now}")
            }
            Form::Usual => {
                update = update.step("charged_attempts", 1);
                let [job_id, lease, charged_attempts, ran_alone, not_before] =
                    ["job_id", "lease_until", "charged_attempts", "ran_alone", "not_before"]
                        .map(|name| update.name(name));
                let pending = update.value("pending", attribute(&Status::Pending));
                let alone = update.value("alone", attribute(&true));
                let now = update.value("now", number(now.as_millisecond()));
                let max_attempts = update.value("max_attempts", number(claimant.max_attempts));
                // `:status` is `processing`: the status that this write sets.
                format!(
                    "attribute_not_exists({job_id}) \
                     OR ({status} = {pending} AND (attribute_not_exists({not_before}) OR {not_before} <= {now})) \
                     OR ({status} = :status AND {lease} <= {now} AND {ran_alone} = {alone} \
                     AND {charged_attempts} < {max_attempts})"
                )
            }
        };
        let condition = format!("({condition}) AND {fits}");
        match self.write(&job.job_id, update, condition, ReturnValue::AllNew).await? {
            Write::Done(output) => {
                let row = output.attributes.and_then(decode).ok_or_else(unreadable)?;
                Ok((Decision::Continue(Claim::from_stored(&row, claimant.owner, lease_until)), row.attempt))
            }
            // `Continue` here is this claim itself: its response was lost, and the SDK
            // repeated the write.
            Write::Refused(row) => {
                let attempt = row.as_ref().map_or(0, |row| row.attempt);
                Ok((decide_for_work(row.as_deref(), &job.work, now, claimant), attempt))
            }
        }
    }
}
