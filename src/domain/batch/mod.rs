//! A batch: jobs that belong together, and how they stand.
//!
//! Counts come from the jobs themselves, by an index over batch and status; no
//! counter is kept that a crash could leave wrong. The index's partition is a
//! part of the batch, so that a large batch is spread over several.

pub mod cursor;
pub mod shard;
pub mod tally;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::analysis::AnalysisRequest;
use crate::domain::ids::BatchId;

/// What was said about a batch before its jobs. A batch whose jobs came by
/// uploads alone has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Names the batch for ever.
    pub batch_id: BatchId,
    /// What to ask of the model, for jobs that do not say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisRequest>,
    /// The caller's own words about the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Whether a document that was analysed the same way before takes that
    /// result; as the function has it when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<bool>,
    /// What was asked, as a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was cancelled: no job of it starts after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
}
