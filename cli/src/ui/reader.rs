//! Recent answers about batches: the API counts the jobs of a batch for each request, and
//! every page and every live connection asks for the same batches.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use docket::domain::ids::BatchId;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use crate::batch::Batch;
use crate::client::Client;
use crate::error::CommandError;
use crate::query::{encode, page_query};

/// How long an answer about a running batch is used.
const FRESH: Duration = Duration::from_millis(1_500);
/// The same for a batch of more than [`LARGE_BATCH`] jobs.
const FRESH_LARGE: Duration = Duration::from_secs(10);
/// The same for a batch whose jobs have all finished.
const FRESH_ENDED: Duration = Duration::from_secs(10);
const LARGE_BATCH: u64 = 2_000;
/// Remembered batches.
const REMEMBERED_MAX: usize = 1_000;
/// Batches on a page of the list.
pub(super) const BATCHES_PER_PAGE: usize = 20;
/// Concurrent requests for one page.
const CONCURRENCY: usize = 5;

/// The answers.
#[derive(Default)]
pub(super) struct Reader(Mutex<HashMap<BatchId, (Instant, Value)>>);

/// A page of the list of batches.
pub(super) struct BatchList {
    /// The batches, newest first.
    pub batches: Vec<Value>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

impl Reader {
    /// Reads a batch; `None` if there is none.
    pub async fn batch(&self, client: &Client, batch_id: &BatchId) -> Result<Option<Value>, CommandError> {
        if let Some((read_at, batch)) = self.0.lock().expect("no holder panics").get(batch_id).cloned()
            && read_at.elapsed() < fresh_for(&batch)
        {
            return Ok(Some(batch));
        }
        let batch = client.get(&format!("/batches/{batch_id}")).await?;
        if let Some(batch) = &batch {
            let mut known = self.0.lock().expect("no holder panics");
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            known.insert(batch_id.clone(), (Instant::now(), batch.clone()));
        }
        Ok(batch)
    }

    /// Forgets a batch, after an action.
    pub fn forget(&self, batch_id: &BatchId) {
        self.0.lock().expect("no holder panics").remove(batch_id);
    }

    /// Reads a page of the batches, with their counts.
    pub async fn batches(&self, client: &Client, cursor: Option<&str>) -> Result<BatchList, CommandError> {
        let path = format!("/batches?{}", page_query(BATCHES_PER_PAGE, "", cursor.map(encode).as_deref()));
        let page = client.ask("GET", &path, None, &[200]).await?.json();
        let ids: Vec<BatchId> = page["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|batch| batch["batch_id"].as_str()?.parse().ok())
            .collect();
        let read = |id: BatchId| async move { self.batch(client, &id).await };
        let batches = stream::iter(ids).map(read).buffered(CONCURRENCY);
        let batches: Vec<_> = batches.collect().await;
        let batches = batches.into_iter().collect::<Result<Vec<_>, _>>()?;
        let next = page["next_cursor"].as_str().map(str::to_owned);
        Ok(BatchList { batches: batches.into_iter().flatten().collect(), next })
    }
}

fn fresh_for(batch: &Value) -> Duration {
    let batch = Batch::new(batch.clone(), None);
    if batch.has_ended() {
        FRESH_ENDED
    } else if batch.total() > LARGE_BATCH {
        FRESH_LARGE
    } else {
        FRESH
    }
}
