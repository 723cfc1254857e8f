//! The uploads of the batches to which this run uploads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use docket::domain::ids::BatchId;

use crate::submit::Uploads;

/// Batches whose uploads are remembered.
const REMEMBERED_MAX: usize = 100;

struct Entry {
    uploads: Arc<Uploads>,
    /// Files of this run that are new in the bucket.
    uploaded: u64,
}

/// The uploads of recent batches.
#[derive(Default)]
pub(super) struct AllUploads(Mutex<HashMap<BatchId, Entry>>);

impl AllUploads {
    /// The files of a batch in the bucket, if this run uploaded some.
    pub fn count(&self, batch_id: &BatchId) -> Option<u64> {
        let all = self.0.lock().expect("no holder panics");
        all.get(batch_id).map(|entry| entry.uploads.count_present() + entry.uploaded)
    }

    /// Remembers the uploads of a batch.
    pub fn insert(&self, batch_id: &BatchId, uploads: Arc<Uploads>) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(batch_id.clone(), Entry { uploads, uploaded: 0 });
    }

    /// The uploads of a batch.
    pub fn get(&self, batch_id: &BatchId) -> Option<Arc<Uploads>> {
        self.0.lock().expect("no holder panics").get(batch_id).map(|entry| entry.uploads.clone())
    }

    /// Counts a file that is new in the bucket.
    pub fn note_upload(&self, batch_id: &BatchId) {
        if let Some(entry) = self.0.lock().expect("no holder panics").get_mut(batch_id) {
            entry.uploaded += 1;
        }
    }
}
