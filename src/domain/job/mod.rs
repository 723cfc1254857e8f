//! The job: what to analyse, and with which settings.

pub mod claim;
pub mod ending;
pub mod outcome;
pub mod priority;
pub mod stored;

use serde_json::{Map, Value};

use self::priority::Priority;
use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};

/// One piece of work, to be done once.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Names the job for ever.
    pub job_id: JobId,
    /// What is to be done.
    pub work: Work,
    /// The batch it belongs to.
    pub batch_id: Option<BatchId>,
    /// What to ask of the model; the default analysis when `None`.
    pub analysis: Option<AnalysisRequest>,
    /// The model or inference profile; the function's own when `None`.
    pub model_id: Option<String>,
    /// The caller's own words about the job, kept and given back.
    pub metadata: Option<Map<String, Value>>,
    /// How urgent.
    pub priority: Priority,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// It has a document analysed, by one call.
    Document(DocumentSource),
    /// It has a model work that takes minutes, and waits for the end.
    AsyncInvocation(Box<AsyncInvoke>),
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentSource {
    /// In the message itself.
    Inline(String),
    /// In a bucket.
    S3(S3Location),
}
