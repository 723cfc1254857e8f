//! The jobs table: the claim, and the fenced writes that end it.
//!
//! Each is one conditional UpdateItem that gives back the row it was refused
//! by (`ReturnValuesOnConditionCheckFailure`), so that what was found is known
//! in the same round trip.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Unavailable;
use super::row_item::{RowItem, attribute, decode, encode};
use super::update::{Update, number, text};
use crate::domain::claim::{Claim, Claimant, Decision, Refusal, decide};
use crate::domain::document::DocumentRecord;
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::{DocumentSource, Job, Priority};
use crate::domain::row::{Completed, Row, State, Status};

const UPDATE: &str = "dynamodb:UpdateItem";

/// The table of jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    client: Client,
    table: String,
    retention: Duration,
}

/// What a fenced write found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// The row was ours, and is written.
    Written,
    /// The row is at another attempt or has ended otherwise: nothing was
    /// changed.
    Lost,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// The job is ours until the lease ends.
    Claimed(Claim),
    /// It is not, and why.
    Refused(Refusal),
}

/// Why a result was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteError {
    /// The table will never hold this result.
    Rejected(Failure),
    /// The table did not answer.
    Unavailable(Unavailable),
}

/// What became of a new job's row.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The row is new.
    New,
    /// A row stood there already.
    Existing(Box<Row>),
}

/// A `pending` row to be made.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Names the job for ever.
    pub job_id: JobId,
    /// The batch it belongs to.
    pub batch_id: Option<BatchId>,
    /// How urgent.
    pub priority: Priority,
    /// The caller's own words about the job.
    pub metadata: Option<Map<String, Value>>,
    /// Where the document lies, and what is known of it.
    pub document: DocumentRecord,
    /// What was asked, as a hash.
    pub request_hash: String,
}

impl Jobs {
    /// `retention` is how long a row is kept after its last change.
    pub fn new(config: &SdkConfig, table: String, retention: Duration) -> Self {
        Self { client: Client::new(config), table, retention }
    }

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
        let document = match &job.source {
            DocumentSource::Inline(_) => inline,
            DocumentSource::S3(at) => DocumentRecord {
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
            .set_if_absent("metadata", job.metadata.as_ref().map(attribute))
            .remove(&["error", "completed_at"]);
        let status = update.name("status");
        let condition = match redrive_of {
            Some(attempt) => {
                update = update.set("tries", number(1));
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
        match self.write(&job.job_id, update, condition).await? {
            Write::Done(output) => {
                let row = output.attributes.and_then(decode).ok_or_else(unreadable)?;
                Ok(Decision::GoOn(Claim {
                    attempt: row.attempt,
                    tries: row.tries,
                    owner: claimant.owner.clone(),
                    lease_until,
                    took_over: row.claimed_from == Some(Status::Processing),
                }))
            }
            // `GoOn` here is our own claim: its answer was lost, and the SDK
            // wrote again.
            Write::Refused(row) => Ok(decide(row.as_deref(), now, claimant)),
        }
    }

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
        let update = self
            .changed(completed.completed_at)
            .set("status", attribute(&Status::Complete))
            .set("completed_at", attribute(&completed.completed_at))
            .set("result", attribute(&completed.result))
            .set("model_id", text(&completed.model_id))
            .set("usage", attribute(&completed.usage))
            .set("stop_reason", text(&completed.stop_reason))
            .set("model_ms", number(completed.model_ms))
            .set("document", attribute(document))
            .remove(&["lease_until", "error"]);
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
            update = update.step("tries", -1);
        }
        self.fenced(job_id, claim, Status::Pending, update).await
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

    /// Marks a job `failed` that fell silent at `attempt` and has no tries
    /// left. Refused if anybody has taken it since.
    pub async fn fail_silent(
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
        Ok(match self.write(job_id, update, condition).await? {
            Write::Done(_) => Fenced::Written,
            // Another delivery of the same message came to the same end first.
            Write::Refused(Some(row)) if row.attempt == attempt && matches!(row.state, State::Failed { .. }) => {
                Fenced::Written
            }
            Write::Refused(_) => Fenced::Lost,
        })
    }

    /// Makes a `pending` row, unless the job has one.
    pub async fn create(&self, new: NewJob, now: Timestamp) -> Result<Created, Unavailable> {
        let item = encode(&RowItem {
            job_id: new.job_id,
            status: Status::Pending,
            attempt: 0,
            tries: 0,
            owner: None,
            lease_until: None,
            claimed_from: None,
            batch_id: new.batch_id,
            priority: new.priority,
            document: new.document,
            request_hash: Some(new.request_hash),
            metadata: new.metadata,
            created_at: now,
            updated_at: now,
            completed_at: None,
            model_id: None,
            result: None,
            usage: None,
            stop_reason: None,
            model_ms: None,
            error: None,
            expires_at: Some(self.expires_at(now)),
        });
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(job_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = answer else { return Ok(Created::New) };
        let unavailable = Unavailable::new("dynamodb:PutItem", &error);
        match error.into_service_error() {
            PutItemError::ConditionalCheckFailedException(refused) => {
                let row = refused.item.and_then(decode).ok_or_else(unreadable)?;
                Ok(Created::Existing(Box::new(row)))
            }
            _ => Err(unavailable),
        }
    }

    /// Reads a row, as it was last written.
    pub async fn get(&self, job_id: &JobId) -> Result<Option<Row>, Unavailable> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("job_id", text(job_id.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        answer.item.map(|item| decode(item).ok_or_else(unreadable)).transpose()
    }

    /// A write that names its attempt: it changes the row only while the claim
    /// holds.
    async fn fenced(
        &self,
        job_id: &JobId,
        claim: &Claim,
        target: Status,
        mut update: Update,
    ) -> Result<Fenced, Unavailable> {
        let (status, attempt) = (update.name("status"), update.name("attempt"));
        let processing = update.value("processing", attribute(&Status::Processing));
        let fence = update.value("fence", number(claim.attempt));
        let condition = format!("{status} = {processing} AND {attempt} = {fence}");
        Ok(match self.write(job_id, update, condition).await? {
            Write::Done(_) => Fenced::Written,
            Write::Refused(Some(row)) if is_own_write(&row, claim, target) => Fenced::Written,
            Write::Refused(_) => Fenced::Lost,
        })
    }

    async fn write(&self, job_id: &JobId, update: Update, condition: String) -> Result<Write, Unavailable> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", text(job_id.as_str()))
            .update_expression(update.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(output) => Ok(Write::Done(Box::new(output))),
            Err(error) => {
                let unavailable = Unavailable::new(UPDATE, &error);
                match error.into_service_error() {
                    UpdateItemError::ConditionalCheckFailedException(refused) => Ok(Write::Refused(
                        refused.item.map(|item| decode(item).map(Box::new).ok_or_else(unreadable)).transpose()?,
                    )),
                    _ => Err(unavailable),
                }
            }
        }
    }

    fn changed(&self, now: Timestamp) -> Update {
        Update::default().set("updated_at", attribute(&now)).set("expires_at", number(self.expires_at(now)))
    }

    fn failed(&self, error: &Failure, now: Timestamp) -> Update {
        self.changed(now)
            .set("status", attribute(&Status::Failed))
            .set("error", attribute(error))
            .set("completed_at", attribute(&now))
            .remove(&["lease_until"])
    }

    fn expires_at(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_add_unsigned(self.retention.as_secs())
    }
}

/// The answer to a conditional write.
enum Write {
    Done(Box<UpdateItemOutput>),
    /// The row that was found instead; `None` when there is none.
    Refused(Option<Box<Row>>),
}

/// A refused write may be the second of two, when the first took effect and its
/// answer was lost: then the row bears our claim and stands where we put it.
fn is_own_write(row: &Row, claim: &Claim, target: Status) -> bool {
    row.state.status() == target && row.attempt == claim.attempt && row.owner.as_ref() == Some(&claim.owner)
}

fn unreadable() -> Unavailable {
    Unavailable { service: UPDATE, code: "UnreadableRow".to_owned() }
}
