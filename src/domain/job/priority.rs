//! The priority of a job, which selects its queue.

use serde::{Deserialize, Serialize};

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
