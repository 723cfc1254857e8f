//! The wait for the end of a batch.

use std::time::{Duration, Instant};

use docket::domain::ids::BatchId;
use jiff::Timestamp;
use serde_json::json;

use super::view::Batch;
use crate::aws::submitted::Submitted;
use crate::client::{Client, no_such_batch};
use crate::error::CommandError;
use crate::terminal::Progress;

/// Time between two looks at a batch. The API counts the jobs of a large one for each look.
const INTERVAL: Duration = Duration::from_secs(2);
const LONG_INTERVAL: Duration = Duration::from_secs(10);
const LARGE_BATCH: u64 = 2_000;
/// How long the API may fail to answer.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// Reads a batch, and counts its documents in the bucket if this caller may list them.
pub(crate) async fn read_batch(client: &Client, batch_id: &BatchId) -> Result<Batch, CommandError> {
    let json = client.get(&format!("/batches/{batch_id}")).await?;
    let expected = count_documents(client, batch_id).await;
    match json {
        Some(json) => Ok(Batch::new(json, expected)),
        // No worker has claimed a job yet.
        None if expected.is_some_and(|count| count > 0) => Ok(Batch::new(empty(batch_id), expected)),
        None => Err(no_such_batch(batch_id)),
    }
}

/// Waits until every job has finished, or until the time-out. `expected` jobs will exist at
/// least; more documents in the bucket raise this number.
pub(crate) async fn follow(
    client: &Client,
    batch_id: &BatchId,
    timeout: Option<Duration>,
    mut expected: u64,
) -> Result<Batch, CommandError> {
    let started = Instant::now();
    let mut progress = Progress::new();
    let mut last_answer = Instant::now();
    let mut has_counted = false;
    loop {
        let mut batch = match client.get(&format!("/batches/{batch_id}")).await {
            Ok(json) => Some(Batch::new(json.unwrap_or_else(|| empty(batch_id)), Some(expected))),
            Err(CommandError::Unreachable(problem)) if last_answer.elapsed() < SILENCE_MAX => {
                progress.note(&problem);
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(batch) = &mut batch {
            last_answer = Instant::now();
            // The count is needed for the progress once, and before the verdict again.
            if !has_counted || batch.has_ended() {
                expected = expected.max(count_documents(client, batch_id).await.unwrap_or(0));
                *batch = Batch::new(std::mem::take(&mut batch.json), Some(expected));
                has_counted = true;
            }
            progress.show(&batch.phase(), batch.finished(), batch.expected(), &batch.line(Timestamp::now()));
        }
        let remaining = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        match batch {
            Some(batch) if batch.has_ended() => return Ok(batch),
            Some(batch) if remaining == Some(Duration::ZERO) => return Ok(batch.at_timeout()),
            None if remaining == Some(Duration::ZERO) => {
                return Err(CommandError::NotEstablished("time-out: the API does not answer".to_owned()));
            }
            batch => {
                let is_large = batch.is_some_and(|batch| batch.total() > LARGE_BATCH);
                let interval = if is_large { LONG_INTERVAL } else { INTERVAL };
                tokio::time::sleep(remaining.map_or(interval, |remaining| interval.min(remaining))).await;
            }
        }
    }
}

/// The documents of `docket submit` in the bucket; `None` if this caller cannot list them.
async fn count_documents(client: &Client, batch_id: &BatchId) -> Option<u64> {
    let bucket = client.output("DocumentsBucketName").ok()?;
    let mut count = 0;
    let listed = Submitted::new(&client.connection, bucket).list(batch_id, |_| count += 1).await;
    listed.ok().map(|()| count)
}

fn empty(batch_id: &BatchId) -> serde_json::Value {
    json!({"batch_id": batch_id, "status": "in_progress", "request_counts": {"total": 0}})
}
