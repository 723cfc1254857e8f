//! The list of stored batches, newest first.

use jiff::Timestamp;
use serde::Deserialize;

use super::Pause;
use crate::domain::ids::BatchId;

/// A batch with the attributes that a list shows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ListedBatch {
    /// The batch's identifier.
    pub batch_id: BatchId,
    /// The time at which the batch was stored.
    pub created_at: Timestamp,
    /// The time at which the batch was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// The pause of the batch, if it is paused.
    pub paused: Option<Pause>,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPage {
    /// The batches, newest first.
    pub batches: Vec<ListedBatch>,
    /// The position of the next page; `None` at the end. The next page may be empty.
    pub next: Option<ListPosition>,
}

/// The position of a batch in the list. It is constant, so that a walk over all pages finds
/// every batch once.
///
/// Its text is such as `1795341785000.leases-2026`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPosition {
    /// The time at which the batch was stored, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// The batch's identifier.
    pub batch_id: BatchId,
}

impl ListPosition {
    /// The position of a batch.
    pub fn new(created_at: Timestamp, batch_id: &BatchId) -> Self {
        Self { created_at_ms: created_at.as_millisecond(), batch_id: batch_id.clone() }
    }

    /// The sort key of the index. Its order is that of the times, and of the ids of batches
    /// with the same time.
    pub fn sort_key(&self) -> String {
        format!("{:015}/{}", self.created_at_ms, self.batch_id)
    }
}

impl std::fmt::Display for ListPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.created_at_ms, self.batch_id)
    }
}

impl std::str::FromStr for ListPosition {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (created_at_ms, batch_id) = text.split_once('.').ok_or(())?;
        let created_at_ms = created_at_ms.parse().ok().filter(|ms| (0..1_000_000_000_000_000).contains(ms)).ok_or(())?;
        let position = Self { created_at_ms, batch_id: batch_id.parse().map_err(|_| ())? };
        // Only the exact text of a position is valid: not `+2.a` and not `02.a`.
        if position.to_string() == text { Ok(position) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_is_parsed_from_its_exact_text_only() {
        for text in ["0.a", "1795341785000.a.b-c:d"] {
            assert_eq!(text.parse::<ListPosition>().unwrap().to_string(), text);
        }
        for wrong in ["", "1", "1.", "-1.a", "+1.a", "01.a", ".a", "1.a b", "1000000000000000.a"] {
            assert!(wrong.parse::<ListPosition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sort_keys_have_the_order_of_the_times() {
        let key = |ms, id: &str| ListPosition { created_at_ms: ms, batch_id: id.parse().unwrap() }.sort_key();
        let keys = [key(0, "z"), key(9, "a"), key(10, "a"), key(10, "b"), key(1_795_341_785_000, "a")];
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
