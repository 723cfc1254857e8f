//! The memory of one environment of the consumer: holds, batches and answers of models.

use std::collections::HashMap;
use std::hash::Hash;

use jiff::Timestamp;

use crate::domain::batch::Batch;
use crate::domain::hold::recent_calls::RecentCalls;
use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::ids::BatchId;
use crate::domain::limits::GATE_ENTRIES_MAX;

/// The knowledge of this environment.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The holds, with the time of the read.
    pub holds: HashMap<HoldTarget, (Option<Hold>, Timestamp)>,
    /// The batches, with the time of the read.
    pub batches: HashMap<BatchId, (Option<Batch>, Timestamp)>,
    /// The time of the last answer of each model.
    pub answered: HashMap<String, Timestamp>,
    /// The last calls of each model.
    pub recent: HashMap<String, RecentCalls>,
    /// The models without evidence since an error that no canary could explain in time.
    pub in_doubt: HashMap<String, Timestamp>,
    /// The time of the last canary that explained an error: model, code and message.
    pub own_errors: HashMap<(String, String, String), Timestamp>,
}

impl Known {
    /// The last calls of a model, to add another one.
    pub fn recent_calls(&mut self, model_id: &str) -> &mut RecentCalls {
        if !self.recent.contains_key(model_id) {
            insert_bounded(&mut self.recent, model_id.to_owned(), RecentCalls::default());
        }
        self.recent.get_mut(model_id).expect("the entry was inserted")
    }
}

/// Inserts an entry. A full map is cleared first: what it forgets is read or asked again.
pub(super) fn insert_bounded<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, value: V) {
    if map.len() >= GATE_ENTRIES_MAX {
        map.clear();
    }
    map.insert(key, value);
}
