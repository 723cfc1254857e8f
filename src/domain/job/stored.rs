//! A job as the jobs table stores it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::StartedInvocation;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::evidence::Evidence;
use crate::domain::failure::Failure;
use crate::domain::hold::HoldTarget;
use crate::domain::ids::{BatchId, JobId, Owner};
use crate::domain::job::priority::Priority;
use crate::domain::limits::LABEL_MAX_BYTES;

/// A stored job: one item of the jobs table.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJob {
    /// The table's key.
    pub job_id: JobId,
    /// The status of the job, with the data of that status.
    pub state: State,
    /// The number of the last claim, 0 before the first. It is the fencing token of
    /// every later write.
    pub attempt: u32,
    /// The attempts that count against `MaxAttempts`.
    pub charged_attempts: u32,
    /// The owner of the last claim. The owner remains after the claim has ended, so
    /// that a worker recognises its own write if the response was lost.
    pub owner: Option<Owner>,
    /// The status that the last claim found. `processing` means that the lease of an
    /// earlier worker expired, and that its call may have been made and billed.
    pub claimed_from: Option<Status>,
    /// Whether a claim found an expired lease: the earlier worker may have made a
    /// billed call whose answer was not stored.
    pub possible_duplicate_call: bool,
    /// The batch of the job, if any.
    pub batch_id: Option<BatchId>,
    /// The job's own analysis, if any.
    pub analysis: Option<AnalysisRequest>,
    /// The requested model; after completion, the model that answered.
    pub model_id: Option<String>,
    /// The job's priority.
    pub priority: Priority,
    /// The location, size and hash of the document.
    pub document: DocumentRecord,
    /// The id of the document or the request of the job: see
    /// [`work_id`](crate::domain::job::work_id). `None` if another program stored the job.
    pub work_id: Option<String>,
    /// A hash of the API request; `None` if the API did not create the job.
    pub request_hash: Option<String>,
    /// The caller's data about the job.
    pub metadata: Option<Map<String, Value>>,
    /// The generation of the job: the failed attempt that the last redrive or retry
    /// continued, and 0 before the first.
    pub generation: u32,
    /// The async invocation, once it has started.
    pub invocation: Option<StartedInvocation>,
    /// The object with the `async_invoke` request, if the API received the job.
    pub async_request: Option<S3Location>,
    /// Whether an earlier worker fell silent with this job and others in flight. Nobody knows
    /// which job caused it, so a suspect runs alone until it ends.
    pub suspect: bool,
    /// Whether the worker of the last claim ran no other job at the same time.
    pub ran_alone: bool,
    /// The end of the backoff of a released job. Copies of its message wait for it too.
    pub not_before: Option<Timestamp>,
    /// The hold or the paused batch that the job waits for, if any.
    pub waiting_for: Option<HoldTarget>,
    /// The error of the last attempt that ended with one.
    pub last_error: Option<Failure>,
    /// The ends of the last attempts, at most
    /// [`ATTEMPTS_LISTED_MAX`](crate::domain::limits::ATTEMPTS_LISTED_MAX).
    pub attempts: Vec<EndedAttempt>,
    /// The errors without evidence of this job: see
    /// [`AttemptError::Unproven`](crate::domain::job::ending::AttemptError::Unproven).
    pub unproven_errors: u32,
    /// The messages that the sweep or a caller's retry sent for the unfinished job.
    pub resends: u32,
    /// The time of the last of them.
    pub resent_at: Option<Timestamp>,
    /// The earliest end of the job's purge, if a purge began. The job has no content any more.
    pub purge_until: Option<Timestamp>,
    /// The time at which the purge ended.
    pub purged_at: Option<Timestamp>,
    /// The time at which the job was stored.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// The version of stored jobs and stored batches that this release reads and writes. A
/// release that gives an attribute a new meaning writes a higher version. A function
/// neither reads nor changes an item with a higher version than its own: the item's message
/// returns to the queue until a newer function receives it.
pub const STORED_VERSION: u32 = 1;

impl StoredJob {
    /// A new job: `pending`, never claimed, without settings.
    pub fn new(job_id: JobId, created_at: Timestamp) -> Self {
        Self {
            job_id,
            state: State::Pending,
            attempt: 0,
            charged_attempts: 0,
            owner: None,
            claimed_from: None,
            possible_duplicate_call: false,
            batch_id: None,
            analysis: None,
            model_id: None,
            priority: Priority::default(),
            document: DocumentRecord::default(),
            work_id: None,
            request_hash: None,
            metadata: None,
            generation: 0,
            invocation: None,
            async_request: None,
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
            created_at,
            updated_at: created_at,
        }
    }
}

/// The end of one attempt, on the stored job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAttempt {
    /// The number of the attempt.
    pub attempt: u32,
    /// The time of the end.
    pub ended_at: Timestamp,
    /// The end: `complete`, `failed`, or the reason of the retry, such as `throttled`.
    pub end: String,
    /// The code of the error; `None` if the attempt met none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The status of a job, with the data of that status.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// The job waits for a claim.
    Pending,
    /// A worker has claimed the job, or the job waits for a poll.
    Processing {
        /// The time at which the lease expires.
        lease_until: Timestamp,
    },
    /// The result is stored.
    Complete(Box<Completed>),
    /// The job ended without a result.
    Failed {
        /// The reason.
        error: Failure,
        /// The time of the end.
        completed_at: Timestamp,
    },
    /// A caller cancelled the job or its batch.
    Cancelled {
        /// The time of the end.
        completed_at: Timestamp,
    },
}

/// A model's answer and its usage.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The answer, which fits the analysis' schema.
    pub result: StoredResult,
    /// The label of the result's classification, if it has one; see [`label_of`].
    pub label: Option<String>,
    /// The evidence of the result; `None` if the analysis asked for none. A read without results
    /// has no verdicts of single values.
    pub evidence: Option<Evidence>,
    /// Whether Docket repaired the JSON form of the answer, without a change of a value.
    pub repaired: bool,
    /// The model or inference profile that answered.
    pub model_id: String,
    /// The tokens of all calls whose answers are part of the result.
    pub usage: Usage,
    /// Bedrock's stop reason.
    pub stop_reason: String,
    /// The sum of the durations of the last attempt's calls, in milliseconds. For an
    /// async invocation, the time from its start to its end.
    pub model_latency_ms: u64,
    /// The number of chunks of a long text; `None` for one call.
    pub chunks: Option<u32>,
    /// The time at which the worker completed the job.
    pub completed_at: Timestamp,
    /// The job with the original result, if the result was reused. No call was made
    /// for this job.
    pub deduplicated_from: Option<JobId>,
    /// The key by which another job finds this result; see
    /// [`Analysis::fingerprint`](crate::domain::analysis::Analysis::fingerprint).
    pub fingerprint: Option<String>,
}

/// The label of a result's classification, by which lists of jobs are filtered. `None` if
/// the result has none, or a longer one than [`LABEL_MAX_BYTES`].
pub fn label_of(result: &Value) -> Option<String> {
    let label = result.pointer("/classification/label").and_then(Value::as_str);
    label.filter(|label| label.len() <= LABEL_MAX_BYTES).map(str::to_owned)
}

/// A stored result.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredResult {
    /// The result is on the stored job.
    Inline(Value),
    /// The result is too large for an item, and is a JSON object in the bucket.
    Bucket(S3Location),
}

impl StoredResult {
    /// The result, if it is on the stored job.
    pub fn inline(&self) -> Option<&Value> {
        match self {
            Self::Inline(result) => Some(result),
            Self::Bucket(_) => None,
        }
    }
}

/// Tokens as Bedrock counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The tokens of the request.
    pub input_tokens: u64,
    /// The tokens of the answer.
    pub output_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// The status of a job, without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Status {
    Pending,
    Processing,
    Complete,
    Failed,
    Cancelled,
}

impl Status {
    /// The text in the table and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Status {
    /// Whether the job has ended.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Processing => false,
            Self::Complete | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl std::str::FromStr for Status {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Pending, Self::Processing, Self::Complete, Self::Failed, Self::Cancelled];
        all.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

impl State {
    /// The status without its data.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Processing { .. } => Status::Processing,
            Self::Complete(_) => Status::Complete,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }
}
