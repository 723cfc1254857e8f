//! A job as the table keeps it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::StartedInvocation;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::failure::Failure;
use crate::domain::ids::{BatchId, JobId, Owner};
use crate::domain::job::priority::Priority;

/// One job's row.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJob {
    /// The table's key.
    pub job_id: JobId,
    /// Where the job stands, with what belongs to that.
    pub state: State,
    /// The number of the last claim, 0 before the first: the fencing token.
    pub attempt: u32,
    /// How many attempts are charged to the job.
    pub charged_attempts: u32,
    /// Who made the last claim. It stays after the claim has ended, so that a
    /// worker whose answer was lost knows its own write again.
    pub owner: Option<Owner>,
    /// The status that the last claim found; `processing` says that an earlier
    /// worker fell silent and that its call may have been made and paid for.
    pub claimed_from: Option<Status>,
    /// An attempt fell silent, and another took over: a call may have been made
    /// and paid for that has no result here.
    pub possible_duplicate_call: bool,
    /// The batch it belongs to.
    pub batch_id: Option<BatchId>,
    /// What to ask of the model, where the job says it itself.
    pub analysis: Option<AnalysisRequest>,
    /// The model that was asked for, or that answered.
    pub model_id: Option<String>,
    /// How urgent.
    pub priority: Priority,
    /// What is known of the document.
    pub document: DocumentRecord,
    /// What was asked, as a hash; `None` when no producer of ours wrote the row.
    pub request_hash: Option<String>,
    /// The caller's own words about the job.
    pub metadata: Option<Map<String, Value>>,
    /// The job's life: the failed attempt that a redrive or a retry took up, and
    /// 0 before the first.
    pub generation: u32,
    /// The long-running model's invocation, once it is started.
    pub invocation: Option<StartedInvocation>,
    /// Where the request for a long-running model lies, of a job by the API.
    pub async_request: Option<S3Location>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl StoredJob {
    /// A new job's row: `pending`, never claimed, nothing asked for.
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
            request_hash: None,
            metadata: None,
            generation: 0,
            invocation: None,
            async_request: None,
            created_at,
            updated_at: created_at,
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Waiting for a claim.
    Pending,
    /// Claimed.
    Processing {
        /// When the claim ends by itself.
        lease_until: Timestamp,
    },
    /// The result is stored.
    Complete(Box<Completed>),
    /// Given up.
    Failed {
        /// Why.
        error: Failure,
        /// When.
        completed_at: Timestamp,
    },
    /// Cancelled by a caller, or with its batch.
    Cancelled {
        /// When.
        completed_at: Timestamp,
    },
}

/// A model's answer and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The answer, which fits the schema that was asked for.
    pub result: StoredResult,
    /// The model or inference profile that gave it.
    pub model_id: String,
    /// Tokens in and out.
    pub usage: Usage,
    /// Why the model stopped, in Bedrock's words.
    pub stop_reason: String,
    /// Of the last attempt's calls together, each from its start to its end, in
    /// milliseconds.
    pub model_latency_ms: u64,
    /// In how many parts a long document was analysed; `None` when in one call.
    pub chunks: Option<u32>,
    /// When it was stored.
    pub completed_at: Timestamp,
    /// The job whose result this is, when the same document had been analysed
    /// the same way before: no call was made for this one.
    pub deduplicated_from: Option<JobId>,
    /// By which another job finds this result; see `analysis`.
    pub fingerprint: Option<String>,
}

/// Where a result lies.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredResult {
    /// On the row.
    Inline(Value),
    /// In the bucket, as JSON: it is too large for the row.
    Bucket(S3Location),
}

impl StoredResult {
    /// The result, if it lies on the row.
    pub fn inline(&self) -> Option<&Value> {
        match self {
            Self::Inline(result) => Some(result),
            Self::Bucket(_) => None,
        }
    }
}

/// Tokens, as Bedrock counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// A state without what belongs to it, as it is written.
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
    /// As it is written in the row and told to callers.
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
    /// Whether the job has come to its end.
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
    /// The state's name.
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
