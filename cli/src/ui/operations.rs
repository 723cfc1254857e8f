//! Changes of many jobs: their progress, while they run and afterwards.

use std::collections::VecDeque;
use std::sync::Mutex;

use docket::domain::ids::BatchId;

use crate::changes::{Change, Changes};

/// Operations that are remembered.
const REMEMBERED_MAX: usize = 50;
/// Refused jobs that are shown.
const REFUSED_SHOWN: usize = 20;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    number: u64,
    batch_id: BatchId,
    /// The change.
    pub change: Change,
    /// The jobs that it hits.
    pub total: u64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// Whether Docket changes further jobs by itself.
    pub continues: bool,
    /// The jobs that it has changed.
    pub changed: u64,
    /// The first jobs that were not changed, with the reason.
    pub refused: Vec<(String, String)>,
    /// Why it ended early.
    pub error: Option<String>,
}

/// The operations of one run.
#[derive(Default)]
pub(super) struct Operations(Mutex<VecDeque<Operation>>);

impl Operations {
    /// Remembers a new operation, and returns its number.
    pub fn begin(&self, batch_id: &BatchId, change: Change, total: u64) -> u64 {
        let mut all = self.0.lock().expect("no holder panics");
        let number = all.back().map_or(1, |last| last.number + 1);
        let batch_id = batch_id.clone();
        let (refused, error, has_ended, continues) = (Vec::new(), None, false, false);
        all.push_back(Operation { number, batch_id, change, total, has_ended, continues, changed: 0, refused, error });
        if all.len() > REMEMBERED_MAX {
            all.pop_front();
        }
        number
    }

    /// Adds the effect of a part of an operation.
    pub fn add(&self, number: u64, changes: Changes) {
        self.update(number, |operation| {
            operation.changed += changes.changed;
            operation.continues |= changes.continues;
            let room = REFUSED_SHOWN - operation.refused.len();
            operation.refused.extend(changes.refused.into_iter().take(room));
        });
    }

    /// Notes that an operation has ended.
    pub fn end(&self, number: u64) {
        self.update(number, |operation| operation.has_ended = true);
    }

    /// Notes why an operation ended early.
    pub fn fail(&self, number: u64, error: &str) {
        self.update(number, |operation| operation.error = Some(error.to_owned()));
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Operation)) {
        let mut all = self.0.lock().expect("no holder panics");
        if let Some(operation) = all.iter_mut().find(|operation| operation.number == number) {
            change(operation);
        }
    }

    /// The operations of a batch, newest first.
    pub fn list(&self, batch_id: &BatchId) -> Vec<Operation> {
        let all = self.0.lock().expect("no holder panics");
        all.iter().rev().filter(|operation| operation.batch_id == *batch_id).cloned().collect()
    }
}
