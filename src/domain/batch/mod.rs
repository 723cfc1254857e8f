//! A batch: jobs that belong together.
//!
//! The counts of a batch come from its jobs, by an index over its jobs. There is no
//! counter that a crash could leave wrong. The jobs of a batch are spread over several
//! partitions of the index.

pub mod cursor;
pub mod filter;
pub mod list;
pub mod shard;
pub mod tally;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::analysis::AnalysisRequest;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::HoldTarget;
use crate::domain::ids::BatchId;
use crate::domain::job::ending::OnHold;

/// A stored batch. The API stores a batch when a caller creates or cancels it. The
/// consumer stores a batch that only jobs or uploads name, without settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The batch's identifier.
    pub batch_id: BatchId,
    /// The analysis of jobs without an analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisRequest>,
    /// The caller's data about the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Whether a job reuses the result of an equal document with an equal analysis.
    /// `None` selects the function's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<bool>,
    /// A hash of the API request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// The time at which the batch was stored.
    pub created_at: Timestamp,
    /// The time at which the batch was cancelled. No job of the batch starts afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
    /// The pause of the batch. No job of the batch starts while it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

/// A pause of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why the batch is paused.
    pub reason: PauseReason,
    /// The time at which it was paused.
    pub since: Timestamp,
}

/// Why a batch is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// A caller paused it.
    Requested,
}

impl Batch {
    /// The wait of the jobs of this batch while it is paused.
    pub fn paused_on_hold(&self) -> Option<OnHold> {
        let pause = self.paused.as_ref()?;
        let reason = match pause.reason {
            PauseReason::Requested => Failure::new(codes::BATCH_PAUSED, "a caller paused the batch; resume it"),
        };
        Some(OnHold { target: HoldTarget::Batch(self.batch_id.clone()), reason, charged: false })
    }
}
