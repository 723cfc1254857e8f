//! The memory budget of one environment: the bytes of documents that it may hold.
//! A document is read only within the budget, so that a batch of large documents
//! does not exhaust the function's memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::limits::{MEMORY_PER_DOCUMENT, MEMORY_RESERVE_MB, READING_MEMORY_MB};

/// The budget, in KiB. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct MemoryBudget {
    free: Arc<Semaphore>,
    total: u32,
}

/// A document's share of the budget; dropping the permit frees the share.
pub(super) type MemoryPermit = OwnedSemaphorePermit;

impl MemoryBudget {
    /// The budget of a function with `memory_mb` MB.
    pub fn new(memory_mb: u32) -> Self {
        let free = memory_mb.saturating_sub(MEMORY_RESERVE_MB);
        let for_documents = free - READING_MEMORY_MB.min(free / 2);
        let total = (for_documents / MEMORY_PER_DOCUMENT).max(1) * 1_024;
        Self { free: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Takes a share, if it is free now.
    pub fn try_acquire(&self, size_bytes: usize) -> Option<MemoryPermit> {
        self.free.clone().try_acquire_many_owned(self.share_of(size_bytes)).ok()
    }

    /// Waits for a share; `None` when none is free within `time`.
    pub async fn acquire(&self, size_bytes: usize, time: Duration) -> Option<MemoryPermit> {
        let permit = self.free.clone().acquire_many_owned(self.share_of(size_bytes));
        tokio::time::timeout(time, permit).await.ok()?.ok()
    }

    /// A document larger than the budget takes all of it, and is read alone.
    fn share_of(&self, size_bytes: usize) -> u32 {
        u32::try_from(size_bytes.div_ceil(1_024)).unwrap_or(u32::MAX).min(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_024 * 1_024;

    #[tokio::test]
    async fn oversized_document_waits_for_whole_budget() {
        let budget = MemoryBudget::new(512);
        let first = budget.try_acquire(61 * MB).expect("73 MB are free");
        assert!(budget.try_acquire(13 * MB).is_none());
        assert!(budget.acquire(13 * MB, Duration::from_millis(10)).await.is_none());
        let second = budget.try_acquire(12 * MB).expect("12 MB are left");
        drop((first, second));
        let alone = budget.try_acquire(500 * MB).expect("all of it");
        assert!(budget.try_acquire(1).is_none());
        drop(alone);
        assert!(budget.acquire(1, Duration::ZERO).await.is_some());
    }

    #[test]
    fn smallest_function_can_hold_a_document() {
        assert!(MemoryBudget::new(0).try_acquire(1).is_some());
        assert_eq!(MemoryBudget::new(128).total, 6 * 1_024);
    }
}
