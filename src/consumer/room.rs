//! Room for documents in one environment's memory. A document is read only when
//! there is room for it, so that a batch of large ones does not end the function.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::Consumer;
use crate::clock::until;
use crate::domain::ending::AttemptError;
use crate::domain::job::S3Location;
use crate::domain::limits::{
    DOCUMENT_MAX_BYTES, FETCH_RESERVE, MEMORY_PER_DOCUMENT, MEMORY_RESERVE_MB, PARTS_MAX, READS_SIDE_BY_SIDE,
};

/// The room, in KiB.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    whole: u32,
    /// Each document that is being read has a connection, whose buffers stay.
    reads: Arc<Semaphore>,
}

/// A document's room. It is free again when this is dropped.
pub(super) type Taken = OwnedSemaphorePermit;

impl Room {
    /// The room in a function of so many megabytes.
    pub fn new(memory_mb: u32) -> Self {
        let whole = (memory_mb.saturating_sub(MEMORY_RESERVE_MB) / MEMORY_PER_DOCUMENT).max(1) * 1_024;
        let reads = Arc::new(Semaphore::new(READS_SIDE_BY_SIDE));
        Self { free: Arc::new(Semaphore::new(whole as usize)), whole, reads }
    }

    /// A document larger than all the room is alone in it.
    fn wanted(&self, size_bytes: usize) -> u32 {
        u32::try_from(size_bytes.div_ceil(1_024)).unwrap_or(u32::MAX).min(self.whole)
    }

    fn take_at_once(&self, size_bytes: usize) -> Option<Taken> {
        self.free.clone().try_acquire_many_owned(self.wanted(size_bytes)).ok()
    }

    /// Waits until there is room; `None` when there is none in the time.
    async fn take(&self, size_bytes: usize, time: Duration) -> Option<Taken> {
        let permit = self.free.clone().acquire_many_owned(self.wanted(size_bytes));
        tokio::time::timeout(time, permit).await.ok()?.ok()
    }
}

impl Consumer {
    /// Reads a document of a bucket when there is room for it.
    ///
    /// # Errors
    /// [`AttemptError::NoTime`] when no room came free in the time that is left;
    /// otherwise as reading it ends.
    pub(super) async fn read(&self, at: &S3Location, deadline: Timestamp) -> Result<(Vec<u8>, Taken), AttemptError> {
        let largest = DOCUMENT_MAX_BYTES.max(PARTS_MAX * self.part_max_bytes);
        let reading = self.turn_to_read(deadline).await?;
        let object = self.documents.open(at, largest).await?;
        let size_bytes = object.size_bytes();
        if let Some(taken) = self.room.take_at_once(size_bytes) {
            return Ok((object.read(size_bytes).await?, taken));
        }
        // The bucket does not hold an unread answer for long: it is asked again.
        drop((object, reading));
        let time = until(deadline).saturating_sub(self.time_for_a_job() + FETCH_RESERVE);
        let taken = self.room.take(size_bytes, time).await.ok_or(AttemptError::NoTime)?;
        let _reading = self.turn_to_read(deadline).await?;
        Ok((self.documents.open(at, largest).await?.read(size_bytes).await?, taken))
    }

    async fn turn_to_read(&self, deadline: Timestamp) -> Result<SemaphorePermit<'_>, AttemptError> {
        let time = until(deadline).saturating_sub(self.time_for_a_job() + FETCH_RESERVE);
        let turn = tokio::time::timeout(time, self.room.reads.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(AttemptError::NoTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_024 * 1_024;

    #[tokio::test]
    async fn documents_wait_until_there_is_room_and_one_that_is_too_large_for_it_is_alone() {
        let room = Room::new(512);
        let first = room.take_at_once(100 * MB).expect("112 MB are free");
        assert!(room.take_at_once(13 * MB).is_none());
        assert!(room.take(13 * MB, Duration::from_millis(10)).await.is_none());
        let second = room.take_at_once(12 * MB).expect("12 MB are left");
        drop((first, second));
        let alone = room.take_at_once(500 * MB).expect("all of it");
        assert!(room.take_at_once(1).is_none());
        drop(alone);
        assert!(room.take(1, Duration::ZERO).await.is_some());
    }

    #[test]
    fn the_smallest_function_has_room_for_a_document() {
        assert!(Room::new(0).take_at_once(1).is_some());
        assert_eq!(Room::new(128).whole, 16 * 1_024);
    }
}
