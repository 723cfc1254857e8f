//! Reads what the bytes of a document hold, off the thread that keeps time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::document::reading::{Reading, read_pages};
use crate::domain::document::{too_slow, unreadable};
use crate::domain::job::ending::AttemptError;
use crate::domain::limits::{CONCURRENT_READINGS, READING_TIME};
use crate::heavy_work;

/// Opens documents. Clones share the memory for expanded content.
#[derive(Debug, Clone)]
pub(super) struct DocumentOpener {
    readings: Arc<Semaphore>,
}

impl Default for DocumentOpener {
    fn default() -> Self {
        Self { readings: Arc::new(Semaphore::new(CONCURRENT_READINGS)) }
    }
}

impl DocumentOpener {
    /// Reads a document; of a PDF, the pages of `page_range`. `name` is a file name or an object
    /// key.
    ///
    /// # Errors
    /// Permanent with one of the `document_…` codes, also if the reading takes longer than
    /// [`READING_TIME`] or ends in a panic.
    pub async fn open(
        &self,
        name: Option<String>,
        bytes: Vec<u8>,
        page_range: Option<[u32; 2]>,
    ) -> Result<Reading, AttemptError> {
        let permit = self.readings.clone().acquire_owned().await.map_err(|_| AttemptError::NoTime)?;
        let work = move || {
            let found = catch_unwind(AssertUnwindSafe(|| read_pages(name.as_deref(), bytes, page_range)));
            // An abandoned reading keeps its memory until here.
            drop(permit);
            found.unwrap_or_else(|_| Err(unreadable()))
        };
        let found = heavy_work::run_within(READING_TIME, work).await;
        found.unwrap_or_else(|_| Err(too_slow(READING_TIME.as_secs()))).map_err(AttemptError::Permanent)
    }
}
