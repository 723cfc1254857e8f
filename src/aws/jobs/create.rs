//! Creates stored jobs, each once.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::table::{Jobs, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, StoredJobItem, decode, encode};
use crate::domain::analysis::AnalysisRequest;
use crate::domain::batch::shard::Group;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::{STORED_VERSION, Status, StoredJob};
use crate::domain::job::work_id::WorkId;
use crate::domain::message::s3_event::uploaded_name;

/// The result of [`Jobs::create`].
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The job was stored.
    New,
    /// A job with this id was stored before; it did not change.
    Existing(Box<StoredJob>),
}

/// A `pending` job to store.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The permanent name of the job.
    pub job_id: JobId,
    /// The batch of the job.
    pub batch_id: Option<BatchId>,
    /// The queue that the job's message uses.
    pub priority: Priority,
    /// The instructions for the model; `None` for those of the batch or the default.
    pub analysis: Option<AnalysisRequest>,
    /// The caller's metadata of the job.
    pub metadata: Option<Map<String, Value>>,
    /// The document's location and properties; `None` until it is uploaded.
    pub document: Option<DocumentRecord>,
    /// The location of a long invocation's request, which replaces a document.
    pub async_request: Option<S3Location>,
    /// The id of the job's work, which the messages of the job must have: see
    /// [`work_id`](crate::domain::job::work_id).
    pub work_id: WorkId,
    /// A hash of the caller's request, by which a repeated request is recognised.
    pub request_hash: String,
}

impl Jobs {
    /// Stores a `pending` job, unless a job with this id is stored.
    pub async fn create(&self, new: NewJob, now: Timestamp) -> Result<Created, Unavailable> {
        let partition = Group::from_batch(new.batch_id.as_ref()).partition_of(&new.job_id);
        let item = encode(&StoredJobItem {
            version: STORED_VERSION,
            status: Status::Pending,
            attempt: 0,
            charged_attempts: 0,
            owner: None,
            lease_until: None,
            claimed_from: None,
            possible_duplicate_call: false,
            batch_shard: new.batch_id.as_ref().map(|_| partition.clone()),
            unfinished: Some(partition),
            batch_id: new.batch_id,
            model_id: new.analysis.as_ref().and_then(|analysis| analysis.model_id.clone()),
            analysis: new.analysis,
            job_id: new.job_id,
            priority: new.priority,
            document_name: new
                .document
                .as_ref()
                .and_then(|document| document.key().and_then(uploaded_name))
                .map(str::to_owned),
            document: new.document,
            work_id: Some(new.work_id),
            request_hash: Some(new.request_hash),
            metadata: new.metadata,
            generation: 0,
            invocation_arn: None,
            invocation_started_at: None,
            poll: None,
            waiting: false,
            async_request: new.async_request,
            suspect: false,
            ran_alone: false,
            not_before: None,
            waiting_for: None,
            last_error: None,
            attempts: Vec::new(),
            unproven_errors: 0,
            resends: 0,
            resent_at: None,
            purge_until: None,
            purged_at: None,
            created_at: now,
            updated_at: now,
            completed_at: None,
            label: None,
            evidence: None,
            evidence_leaves: Vec::new(),
            evidence_status: None,
            result: None,
            result_packed: None,
            result_s3: None,
            deduplicated_from: None,
            fingerprint: None,
            usage: None,
            repaired: false,
            stop_reason: None,
            model_latency_ms: None,
            chunks: None,
            error: None,
            expires_at: Some(self.expires_at(now)),
        });
        match self.put_new(item).await? {
            None => Ok(Created::New),
            Some(item) => Ok(Created::Existing(Box::new(decode(item).ok_or_else(unreadable)?))),
        }
    }

    /// Puts an item if its key is new. Returns the stored item if it is not.
    pub(super) async fn put_new(&self, item: Item) -> Result<Option<Item>, Unavailable> {
        let response = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(job_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = response else { return Ok(None) };
        let unavailable = Unavailable::new("dynamodb:PutItem", &error);
        match error.into_service_error() {
            PutItemError::ConditionalCheckFailedException(refused) => refused.item.map(Some).ok_or_else(unreadable),
            _ => Err(unavailable),
        }
    }
}
