//! Pages of a batch's jobs: which jobs, and where a page begins.

use super::shard::shard_number;
use super::tally::Entry;
use crate::domain::ids::JobId;
use crate::domain::job::stored::Status;
use crate::domain::limits::BATCH_SHARDS;

/// Which jobs of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// All of them.
    All,
    /// Those of one status.
    Only(Status),
    /// `pending` and `processing`.
    Unfinished,
    /// `complete`, `failed` and `cancelled`.
    Ended,
}

impl Select {
    /// Whether jobs of this status are among them.
    pub fn has(self, status: Status) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => status == only,
            Self::Unfinished => !status.has_ended(),
            Self::Ended => status.has_ended(),
        }
    }
}

/// Where a page of a batch's jobs begins. As text, `2.failed.job-1`: partition,
/// and after which job; `2` is the partition's beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// From 0.
    pub shard: u32,
    /// The last job before the page.
    pub after: Option<(Status, JobId)>,
}

impl Cursor {
    /// Right behind a job.
    pub fn behind(entry: &Entry) -> Self {
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
        // As it was written, and no other way: not `+2`, not `02`.
        if cursor.to_string() == text { Ok(cursor) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for text in ["0", "7", "3.failed.a.b-c:d"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for wrong in ["", "8", "-1", "+2", "02", "1.failed", "1.lost.a", "1.failed.a b", "1.failed."] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
