//! Reads documents from S3 within the memory budget.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::delivery::Delivery;
use super::memory_budget::{MemoryBudget, MemoryPermit};
use crate::aws::documents::Documents;
use crate::domain::document::location::S3Location;
use crate::domain::job::ending::AttemptError;
use crate::domain::limits::{CHUNKS_MAX, CONCURRENT_READS, FETCH_RESERVE, FILE_MAX_BYTES};

/// Reads documents. Clones share one memory budget.
#[derive(Debug, Clone)]
pub(super) struct DocumentReader {
    documents: Documents,
    budget: MemoryBudget,
    /// Bounds the connections of reads, because their buffers stay allocated.
    reads: Arc<Semaphore>,
    max_bytes: usize,
}

impl DocumentReader {
    /// A reader for a function with `memory_mb` MB, files of at most [`FILE_MAX_BYTES`], and
    /// texts of at most [`CHUNKS_MAX`] chunks.
    pub fn new(documents: Documents, memory_mb: u32, chunk_max_bytes: usize) -> Self {
        Self {
            documents,
            budget: MemoryBudget::new(memory_mb),
            reads: Arc::new(Semaphore::new(CONCURRENT_READS)),
            max_bytes: FILE_MAX_BYTES.max(CHUNKS_MAX * chunk_max_bytes),
        }
    }

    /// Reads a document as soon as the memory budget allows.
    ///
    /// # Errors
    /// [`AttemptError::NoTime`] when the budget did not allow it in time; otherwise
    /// the error of the read.
    pub async fn read(
        &self,
        location: &S3Location,
        delivery: &Delivery,
    ) -> Result<(Vec<u8>, MemoryPermit), AttemptError> {
        let reading = self.start_reading(delivery).await?;
        let object = self.documents.open(location, self.max_bytes).await?;
        let size_bytes = object.size_bytes();
        if let Some(memory) = self.budget.try_acquire(size_bytes) {
            return Ok((object.read(size_bytes).await?, memory));
        }
        // S3 closes a response that is not read soon, so the request is made again.
        drop((object, reading));
        let memory = self.budget.acquire(size_bytes, time_to_wait(delivery)).await.ok_or(AttemptError::NoTime)?;
        let _reading = self.start_reading(delivery).await?;
        Ok((self.documents.open(location, self.max_bytes).await?.read(size_bytes).await?, memory))
    }

    async fn start_reading(&self, delivery: &Delivery) -> Result<SemaphorePermit<'_>, AttemptError> {
        let permit = tokio::time::timeout(time_to_wait(delivery), self.reads.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or(AttemptError::NoTime)
    }
}

fn time_to_wait(delivery: &Delivery) -> Duration {
    delivery.time_before_call().saturating_sub(FETCH_RESERVE)
}
