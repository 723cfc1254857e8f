//! The priority of a job, which selects its queue.

use serde::{Deserialize, Serialize};

/// The priority of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The default: the jobs queue.
    #[default]
    Normal,
    /// The high-priority queue.
    High,
}

impl Priority {
    /// The text in the message attribute and on the stored job.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Reads a message attribute. A missing or unknown priority is `Normal`, because a
    /// misspelt priority must not lose a document.
    pub fn from_attribute(text: Option<&str>) -> Self {
        match text {
            Some("high") => Self::High,
            _ => Self::Normal,
        }
    }
}
