//! The stored batches of jobs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::aws::Unavailable;
use crate::aws::jobs::Jobs;
use crate::clock::now;
use crate::domain::batch::Batch;
use crate::domain::ids::BatchId;
use crate::domain::limits::STORED_BATCHES_MAX;

/// Reads the batches of jobs, and stores the missing ones.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    jobs: Jobs,
    /// The batches that this environment stored. The claims that run at the same time
    /// as the first one thus cost no further write.
    stored: Arc<Mutex<BTreeSet<BatchId>>>,
}

impl Batches {
    /// Reads and stores batches in the table of `jobs`.
    pub fn new(jobs: Jobs) -> Self {
        Self { jobs, stored: Arc::default() }
    }

    /// Reads a batch. If only jobs or uploads name the batch, stores it without settings
    /// and returns `None`.
    pub async fn get_or_register(&self, batch_id: &BatchId) -> Result<Option<Batch>, Unavailable> {
        let found = self.jobs.get_batch(batch_id).await?;
        if found.is_none() && self.remember(batch_id) {
            let registered = self.jobs.register_batch(batch_id, now()).await;
            registered.inspect_err(|_| self.forget(batch_id))?;
        }
        Ok(found)
    }

    /// Remembers a batch; returns whether it was unknown.
    fn remember(&self, batch_id: &BatchId) -> bool {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() >= STORED_BATCHES_MAX {
            stored.clear();
        }
        stored.insert(batch_id.clone())
    }

    fn forget(&self, batch_id: &BatchId) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).remove(batch_id);
    }
}
