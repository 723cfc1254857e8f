//! What was said about batches, remembered for [`BATCH_MEMORY`]: ten thousand
//! jobs of one batch ask the table a few times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::aws::Unavailable;
use crate::aws::jobs::Jobs;
use crate::domain::batch::Batch;
use crate::domain::ids::BatchId;
use crate::domain::limits::{BATCH_MEMORY, BATCHES_REMEMBERED};

type Remembered = HashMap<BatchId, (Instant, Option<Arc<Batch>>)>;

/// The batches of late. Cheap to clone; the clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Batches {
    remembered: Arc<Mutex<Remembered>>,
}

impl Batches {
    /// What was said about a batch, at most [`BATCH_MEMORY`] ago.
    pub async fn get(&self, jobs: &Jobs, batch_id: &BatchId) -> Result<Option<Arc<Batch>>, Unavailable> {
        if let Some((read, batch)) = self.lock().get(batch_id).cloned()
            && read.elapsed() < BATCH_MEMORY
        {
            return Ok(batch);
        }
        let batch = jobs.batch(batch_id).await?.map(Arc::new);
        let mut remembered = self.lock();
        if remembered.len() >= BATCHES_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(batch_id.clone(), (Instant::now(), batch.clone()));
        Ok(batch)
    }

    /// Never held over an await. One that panicked while it held it left a map
    /// that is whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
