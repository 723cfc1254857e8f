//! What is to be analysed, once.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::analysis::AnalysisRequest;
use super::async_job::AsyncInvoke;
use super::check::Check;
use super::ids::{BatchId, JobId};

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
    /// The attempt that had failed, when the message is that failure's redrive
    /// from the dead-letter queue.
    pub redrive_of: Option<u32>,
    /// The check of a long-running model's invocation that the message is.
    pub check: Option<Check>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// It has a document analysed, by one call.
    Document(DocumentSource),
    /// It has a model work that takes minutes, and waits for the end.
    LongRunning(Box<AsyncInvoke>),
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentSource {
    /// In the message itself.
    Inline(String),
    /// In a bucket.
    S3(S3Location),
}

/// An object, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, not URL-encoded.
    pub key: String,
    /// The version; the newest when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal, when who sent the message knew
    /// it: other bytes are then not analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How urgent a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The default.
    #[default]
    Normal,
    /// Before the others, where there is a choice.
    High,
}

impl Priority {
    /// As it is written in the message attribute and on the row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Reads a message attribute. What is missing or unknown is `Normal`:
    /// a misspelt priority is no reason to lose a document.
    pub fn from_attribute(text: Option<&str>) -> Self {
        match text {
            Some("high") => Self::High,
            _ => Self::Normal,
        }
    }
}
