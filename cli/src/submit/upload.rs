//! The upload of one file: its job id, and repetition while the bucket does not answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use docket::domain::document::sha256_hex;
use docket::domain::ids::{BatchId, JobId};
use docket::domain::job::priority::Priority;
use docket::domain::message::submitted::{submitted_job_id, submitted_key};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::walk::{FILE_MAX_BYTES, Found, Reason};
use crate::aws::submitted::{Put, Submitted};
use crate::error::CommandError;

/// Bytes of files that may be in memory at the same time. A larger file is alone.
const MEMORY_BYTES: u64 = 48 * 1_024 * 1_024;
const PERMIT_BYTES: u64 = 1_024;
/// Delays between two attempts of one file.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LAST_DELAY: Duration = Duration::from_secs(20);

/// The outcome of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The file is uploaded.
    Uploaded,
    /// The bucket had it: an earlier run uploaded it.
    Present,
    /// It is no document.
    Skipped(Reason),
    /// It cannot be read.
    Unreadable(String),
}

/// The state that all uploads of a run share.
pub(crate) struct Uploads {
    documents: Submitted,
    batch_id: BatchId,
    priority: Priority,
    /// The documents of earlier runs.
    present: HashSet<u128>,
    /// The documents of this run.
    begun: Mutex<HashSet<u128>>,
    memory: Semaphore,
    retry_for: Duration,
    /// The time of the last success of any upload.
    last_success: Mutex<Instant>,
}

impl Uploads {
    /// Lists the documents of earlier runs.
    pub async fn new(
        documents: Submitted,
        batch_id: BatchId,
        priority: Priority,
        retry_for: Duration,
    ) -> Result<Arc<Self>, CommandError> {
        let mut present = HashSet::new();
        documents.list(&batch_id, |job_id| present.extend(key_of(job_id))).await?;
        let memory = Semaphore::new((MEMORY_BYTES / PERMIT_BYTES) as usize);
        let begun = Mutex::default();
        let last_success = Mutex::new(Instant::now());
        Ok(Arc::new(Self { documents, batch_id, priority, present, begun, memory, retry_for, last_success }))
    }

    /// The number of documents of earlier runs.
    pub fn count_present(&self) -> u64 {
        self.present.len() as u64
    }

    /// Uploads a file unless the bucket has it.
    ///
    /// # Errors
    /// The bucket refuses the upload, or does not answer for longer than `retry_for`.
    pub(super) async fn upload(&self, found: &Found) -> Result<Outcome, CommandError> {
        let _memory = self.reserve(found.size).await;
        let file = found.file.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read(file));
        match read.await.expect("reading does not panic") {
            Ok(bytes) => self.upload_bytes(&found.path, bytes).await,
            Err(error) => Ok(Outcome::Unreadable(error.to_string())),
        }
    }

    /// Uploads the bytes of a file unless the bucket has it. `path` is the name of the document.
    ///
    /// # Errors
    /// As for [`upload`](Self::upload).
    pub async fn upload_bytes(&self, path: &str, bytes: Vec<u8>) -> Result<Outcome, CommandError> {
        // The file may have changed since the walk saw it.
        match bytes.len() as u64 {
            0 => return Ok(Outcome::Skipped(Reason::Empty)),
            size if size > FILE_MAX_BYTES => return Ok(Outcome::Skipped(Reason::TooLarge)),
            _ => {}
        }
        let (name, batch_id) = (path.to_owned(), self.batch_id.clone());
        let named = tokio::task::spawn_blocking(move || {
            let job_id = submitted_job_id(&batch_id, &name, &sha256_hex(&bytes));
            (bytes, job_id)
        });
        let (bytes, job_id) = named.await.expect("hashing does not panic");
        let key = key_of(job_id.as_str()).expect("the id of a submitted document");
        if !self.begun.lock().expect("no holder panics").insert(key) {
            return Ok(Outcome::Skipped(Reason::Repeated));
        }
        if self.present.contains(&key) {
            return Ok(Outcome::Present);
        }
        self.put(&job_id, path, bytes).await
    }

    async fn put(&self, job_id: &JobId, path: &str, bytes: Vec<u8>) -> Result<Outcome, CommandError> {
        let key = submitted_key(&self.batch_id, job_id, path, self.priority);
        let mut delay = FIRST_DELAY;
        loop {
            let error = match self.documents.put(&key, bytes.clone()).await {
                Ok(put) => {
                    *self.last_success.lock().expect("no holder panics") = Instant::now();
                    return Ok(match put {
                        Put::Created => Outcome::Uploaded,
                        Put::Existed => Outcome::Present,
                    });
                }
                Err(error) => error,
            };
            let silent_for = self.last_success.lock().expect("no holder panics").elapsed();
            if !error.is_transient() {
                return Err(error.into());
            }
            if silent_for + delay > self.retry_for {
                let message = format!("{error}: no upload succeeded for {} s", silent_for.as_secs());
                return Err(CommandError::Failed(format!("{message}; run the command again to continue")));
            }
            // Full jitter, so that concurrent uploads do not return together.
            tokio::time::sleep(delay.mul_f64(fastrand::f64().max(0.1))).await;
            delay = (delay * 2).min(LAST_DELAY);
        }
    }

    /// Waits until a file of `size` bytes may be in memory.
    pub async fn reserve(&self, size: u64) -> SemaphorePermit<'_> {
        let permits = size.min(MEMORY_BYTES).div_ceil(PERMIT_BYTES).max(1);
        self.memory.acquire_many(permits as u32).await.expect("the semaphore is never closed")
    }
}

/// 128 bits of the hash in a job id, which need little memory.
fn key_of(job_id: &str) -> Option<u128> {
    let (_, digits) = job_id.split_once('-')?;
    u128::from_str_radix(digits.get(..32)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_of_documents_have_distinct_keys() {
        let batch: BatchId = "b".parse().unwrap();
        let id = |path: &str| submitted_job_id(&batch, path, &sha256_hex(b"x"));
        let keys: Vec<_> = ["a", "b"].iter().map(|path| key_of(id(path).as_str()).unwrap()).collect();
        assert_ne!(keys[0], keys[1]);
        assert_eq!(key_of("another id"), None);
    }
}
