//! The job: its work and its settings.

pub mod claim;
pub mod ending;
pub mod outcome;
pub mod priority;
pub mod stored;
pub mod stranded;
pub mod suspect;
pub mod sweep_walk;
pub mod work_id;

use serde_json::{Map, Value};

use self::priority::Priority;
use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};

/// A job as a message describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The job's identifier, which is never reused.
    pub job_id: JobId,
    /// The work of the job.
    pub work: Work,
    /// The batch of the job, if any.
    pub batch_id: Option<BatchId>,
    /// The analysis to make; `None` selects the batch's, or the default analysis.
    pub analysis: Option<AnalysisRequest>,
    /// The model or inference profile; `None` selects the analysis' model, or the
    /// function's.
    pub model_id: Option<String>,
    /// The caller's data about the job, which the API returns unchanged.
    pub metadata: Option<Map<String, Value>>,
    /// The job's priority.
    pub priority: Priority,
}

/// The work of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Analyse a document.
    Document(DocumentSource),
    /// Start an async invocation, and store a reference to its output.
    AsyncInvocation(Box<AsyncInvoke>),
}

/// The source of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentSource {
    /// The text is in the message.
    Inline(String),
    /// The document is an S3 object.
    S3(S3Location),
}
