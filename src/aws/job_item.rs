//! Converts stored jobs from and to DynamoDB items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::packed_result::unpack;
use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::{InvocationArn, StartedInvocation};
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::evidence::{Evidence, EvidenceStatus, LeafEvidence};
use crate::domain::failure::Failure;
use crate::domain::hold::waiting::target_of;
use crate::domain::ids::{BatchId, JobId, Owner};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::{
    Completed, EndedAttempt, STORED_VERSION, State, Status, StoredJob, StoredResult, Usage,
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The attributes of a stored job. Other programs may read the table, so the names are
/// stable.
///
/// Times are RFC 3339, except `lease_until` in epoch milliseconds and `expires_at` in
/// epoch seconds, as the table's
/// [TTL](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html)
/// requires.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredJobItem {
    pub job_id: JobId,
    /// See [`STORED_VERSION`]; a job without it has version 1.
    #[serde(default = "first_version")]
    pub version: u32,
    pub status: Status,
    #[serde(default)]
    pub attempt: u32,
    #[serde(default)]
    pub charged_attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_from: Option<Status>,
    #[serde(default)]
    pub possible_duplicate_call: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// The partition of the job in the indexes: see `domain::batch::shard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_shard: Option<String>,
    /// The partition of an unfinished job in the index over unfinished jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisRequest>,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentRecord>,
    /// The document's name in the index of its batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_name: Option<String>,
    /// The id of the job's work: see `domain::job::work_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_arn: Option<InvocationArn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_started_at: Option<Timestamp>,
    /// The number of the poll that the job waits for, or that a worker makes now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<u32>,
    /// Whether the job waits for the message of this poll.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub async_request: Option<S3Location>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ran_alone: bool,
    /// In epoch milliseconds, so that the claim's condition can compare it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// The partition of the index over waiting jobs: see `domain::hold::waiting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<EndedAttempt>,
    #[serde(default)]
    pub unproven_errors: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resends: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged_at: Option<Timestamp>,
    #[serde(default)]
    pub created_at: Timestamp,
    #[serde(default)]
    pub updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// A large result that the bucket did not store: see `packed_result`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_packed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_s3: Option<S3Location>,
    /// The counts of the evidence, without the verdicts of single values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The verdicts of single values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_leaves: Vec<LeafEvidence>,
    /// The state of the evidence in the indexes of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_status: Option<EvidenceStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicated_from: Option<JobId>,
    /// The hash by which other jobs find this result: see `Completed::fingerprint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_latency_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// The attributes that a read of many jobs returns. It leaves out `result` and
/// `analysis`, which may be large, and those that only the indexes and the TTL use.
pub(super) const WITHOUT_RESULT: [&str; 46] = [
    "job_id",
    "version",
    "status",
    "attempt",
    "charged_attempts",
    "owner",
    "lease_until",
    "claimed_from",
    "possible_duplicate_call",
    "batch_id",
    "priority",
    "document",
    "work_id",
    "request_hash",
    "metadata",
    "generation",
    "invocation_arn",
    "invocation_started_at",
    "poll",
    "waiting",
    "async_request",
    "suspect",
    "ran_alone",
    "not_before",
    "waiting_for",
    "last_error",
    "attempts",
    "unproven_errors",
    "resends",
    "resent_at",
    "purge_until",
    "purged_at",
    "created_at",
    "updated_at",
    "completed_at",
    "model_id",
    "label",
    "result_s3",
    "evidence",
    "deduplicated_from",
    "usage",
    "repaired",
    "stop_reason",
    "model_latency_ms",
    "chunks",
    "error",
];

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Reads an item; `None` if it is no stored job, or one of a newer version.
pub(super) fn decode(item: Item) -> Option<StoredJob> {
    into_stored_job(serde_dynamo::aws_sdk_dynamodb_1::from_item(item).ok()?)
}

/// Reads an item of the table's stream.
pub(super) fn decode_image(item: serde_dynamo::Item) -> Option<StoredJob> {
    into_stored_job(serde_dynamo::from_item(item).ok()?)
}

fn first_version() -> u32 {
    1
}

fn into_stored_job(item: StoredJobItem) -> Option<StoredJob> {
    if item.version > STORED_VERSION {
        return None;
    }
    let state = match item.status {
        Status::Pending => State::Pending,
        Status::Processing => State::Processing { lease_until: Timestamp::from_millisecond(item.lease_until?).ok()? },
        Status::Complete => State::Complete(Box::new(Completed {
            result: match (item.result, item.result_packed, item.result_s3) {
                (Some(result), ..) => StoredResult::Inline(result),
                (None, Some(packed), _) => StoredResult::Inline(unpack(&packed)?),
                (None, None, Some(at)) => StoredResult::Bucket(at),
                // A read of `WITHOUT_RESULT` left the result out.
                (None, None, None) => StoredResult::Inline(Value::Null),
            },
            label: item.label,
            evidence: item.evidence.map(|counts| Evidence { leaves: item.evidence_leaves, ..counts }),
            repaired: item.repaired,
            model_id: item.model_id.clone()?,
            usage: item.usage.unwrap_or_default(),
            stop_reason: item.stop_reason.unwrap_or_default(),
            model_latency_ms: item.model_latency_ms.unwrap_or_default(),
            chunks: item.chunks,
            completed_at: item.completed_at.unwrap_or(item.updated_at),
            deduplicated_from: item.deduplicated_from,
            fingerprint: item.fingerprint,
        })),
        Status::Failed => {
            State::Failed { error: item.error?, completed_at: item.completed_at.unwrap_or(item.updated_at) }
        }
        Status::Cancelled => State::Cancelled { completed_at: item.completed_at.unwrap_or(item.updated_at) },
    };
    Some(StoredJob {
        job_id: item.job_id,
        state,
        attempt: item.attempt,
        charged_attempts: item.charged_attempts,
        owner: item.owner,
        claimed_from: item.claimed_from,
        possible_duplicate_call: item.possible_duplicate_call,
        batch_id: item.batch_id,
        analysis: item.analysis,
        model_id: item.model_id,
        priority: item.priority,
        document: item.document.unwrap_or_default(),
        work_id: item.work_id,
        request_hash: item.request_hash,
        metadata: item.metadata,
        generation: item.generation,
        invocation: item.invocation_arn.map(|arn| StartedInvocation {
            arn,
            started_at: item.invocation_started_at.unwrap_or(item.updated_at),
            poll: item.poll.unwrap_or_default(),
            is_waiting: item.waiting,
        }),
        async_request: item.async_request,
        suspect: item.suspect,
        ran_alone: item.ran_alone,
        not_before: item.not_before.and_then(|at| Timestamp::from_millisecond(at).ok()),
        waiting_for: item.waiting_for.as_deref().and_then(target_of),
        last_error: item.last_error,
        attempts: item.attempts,
        unproven_errors: item.unproven_errors,
        resends: item.resends,
        resent_at: item.resent_at,
        purge_until: item.purge_until,
        purged_at: item.purged_at,
        created_at: item.created_at,
        updated_at: item.updated_at,
    })
}

/// Converts a value to an attribute.
pub(super) fn attribute(value: &impl Serialize) -> AttributeValue {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(value).expect("Docket's types serialize")
}

pub(super) fn encode(item: &StoredJobItem) -> Item {
    serde_dynamo::aws_sdk_dynamodb_1::to_item(item).expect("Docket's types serialize")
}
