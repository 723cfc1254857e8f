//! Pages of a batch's jobs: the selected jobs, and the position of a page.

use super::shard::shard_number;
use super::tally::Entry;
use crate::domain::ids::JobId;
use crate::domain::job::stored::Status;
use crate::domain::limits::BATCH_SHARDS;

/// A selection of a batch's jobs by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// All jobs.
    All,
    /// The jobs with one status.
    Only(Status),
    /// The jobs that are `pending` or `processing`.
    Unfinished,
    /// The jobs that are `complete`, `failed` or `cancelled`.
    Ended,
}

impl Select {
    /// Whether the selection includes jobs with this status.
    pub fn includes(self, status: Status) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => status == only,
            Self::Unfinished => !status.has_ended(),
            Self::Ended => status.has_ended(),
        }
    }
}

/// The position of a page of a batch's jobs.
///
/// Its text is the index partition and the job before the page, such as
/// `2.failed.job-1`; `2` is the start of partition 2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the index partition, from 0.
    pub shard: u32,
    /// The last job before the page.
    pub after: Option<(Status, JobId)>,
}

impl Cursor {
    /// The position directly after a job.
    pub fn after_entry(entry: &Entry) -> Self {
        Self { shard: shard_number(&entry.job_id), after: Some((entry.status, entry.job_id.clone())) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.after {
            Some((status, job_id)) => write!(f, "{}.{}.{job_id}", self.shard, status.as_str()),
            None => write!(f, "{}", self.shard),
        }
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let shard = parts.next().and_then(|shard| shard.parse().ok()).filter(|shard| *shard < BATCH_SHARDS).ok_or(())?;
        let after = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(status), Some(id)) => Some((status.parse()?, id.parse().map_err(|_| ())?)),
            (Some(_), None) => return Err(()),
        };
        let cursor = Self { shard, after };
        // Only the exact text of a cursor is valid: not `+2` and not `02`.
        if cursor.to_string() == text { Ok(cursor) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_parsed_from_its_exact_text_only() {
        for text in ["0", "7", "3.failed.a.b-c:d"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for wrong in ["", "8", "-1", "+2", "02", "1.failed", "1.lost.a", "1.failed.a b", "1.failed."] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
