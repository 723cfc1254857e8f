//! The distributions of labels, confidences and error codes of a batch.
//!
//! Every result must be read for them. A task reads them, and the page shows the counts of
//! the last complete reading.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use docket::domain::ids::BatchId;
use serde_json::Value;

use crate::client::Client;
use crate::error::CommandError;
use crate::pages::each_result;

/// Remembered batches.
const REMEMBERED_MAX: usize = 100;
/// Bars of the picture of confidences.
pub(super) const BINS: usize = 10;
/// The results of a batch are read again at most this often, and for at most one part in
/// [`DUTY`] of the time.
const INTERVAL: Duration = Duration::from_secs(2);
const DUTY: u32 = 10;

/// The counts of one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Complete jobs by their label.
    pub labels: BTreeMap<String, u64>,
    /// Complete jobs by their confidence: bar `n` has those from n/10 to (n+1)/10.
    pub confidences: [u64; BINS],
    /// Failed jobs by their error code.
    pub errors: BTreeMap<String, u64>,
    /// The finished jobs that were counted.
    pub jobs: u64,
}

impl Statistics {
    /// Counts a finished job.
    pub fn add(&mut self, job: &Value) {
        self.jobs += 1;
        if let Some(code) = job.pointer("/error/code").and_then(Value::as_str) {
            *self.errors.entry(code.to_owned()).or_default() += 1;
        }
        if job["status"] != "complete" {
            return;
        }
        if let Some(label) = job.pointer("/result/classification/label").and_then(Value::as_str) {
            *self.labels.entry(label.to_owned()).or_default() += 1;
        }
        let confidence = job.pointer("/result/classification/confidence").and_then(Value::as_f64);
        if let Some(confidence) = confidence.filter(|value| (0.0..=1.0).contains(value)) {
            self.confidences[((confidence * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
    }
}

struct Entry {
    statistics: Statistics,
    /// The finished jobs of the batch at the beginning of the last reading.
    finished: Option<u64>,
    is_running: bool,
    next_at: Instant,
}

/// The counts of all batches.
#[derive(Default)]
pub(super) struct AllStatistics(Mutex<HashMap<BatchId, Entry>>);

impl AllStatistics {
    /// The last counts of a batch, and whether the caller must [`refresh`](Self::refresh)
    /// them: the batch has `finished` jobs now.
    pub fn get(&self, batch_id: &BatchId, finished: u64) -> (Statistics, bool) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() >= REMEMBERED_MAX && !all.contains_key(batch_id) {
            all.retain(|_, entry| entry.is_running);
        }
        let entry = all.entry(batch_id.clone()).or_insert_with(|| Entry {
            statistics: Statistics::default(),
            finished: None,
            is_running: false,
            next_at: Instant::now(),
        });
        let is_stale = entry.finished.unwrap_or(0) != finished;
        let must_read = is_stale && !entry.is_running && entry.next_at <= Instant::now();
        entry.is_running |= must_read;
        if must_read {
            entry.finished = Some(finished);
        }
        (entry.statistics.clone(), must_read)
    }

    /// Reads the results of a batch, and remembers the counts.
    pub async fn refresh(&self, client: &Client, batch_id: &BatchId) {
        let started = Instant::now();
        let read = count(client, batch_id).await;
        let mut all = self.0.lock().expect("no holder panics");
        if let Some(entry) = all.get_mut(batch_id) {
            match read {
                Ok(statistics) => entry.statistics = statistics,
                // The next look at the batch reads again.
                Err(_) => entry.finished = None,
            }
            entry.is_running = false;
            entry.next_at = Instant::now() + INTERVAL.max(started.elapsed() * DUTY);
        }
    }
}

async fn count(client: &Client, batch_id: &BatchId) -> Result<Statistics, CommandError> {
    let mut statistics = Statistics::default();
    each_result(client, batch_id, |job| {
        statistics.add(&job);
        Ok(())
    })
    .await?;
    Ok(statistics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn jobs_are_counted_by_label_confidence_and_error() {
        let mut statistics = Statistics::default();
        let complete = |label: &str, confidence: f64| json!({"status": "complete", "result": {"classification": {"label": label, "confidence": confidence}}});
        for job in [
            complete("lease", 0.95),
            complete("lease", 1.0),
            complete("letter", 0.0),
            complete("letter", 7.0),
            json!({"status": "complete", "result": {"free": true}}),
            json!({"status": "failed", "error": {"code": "document_empty"}}),
            json!({"status": "cancelled"}),
        ] {
            statistics.add(&job);
        }
        assert_eq!(statistics.labels, BTreeMap::from([("lease".to_owned(), 2), ("letter".to_owned(), 2)]));
        assert_eq!((statistics.confidences[9], statistics.confidences[0]), (2, 1));
        assert_eq!(statistics.errors["document_empty"], 1);
        assert_eq!(statistics.jobs, 7);
    }

    #[test]
    fn results_are_read_when_the_number_of_finished_jobs_changes() {
        let (all, batch) = (AllStatistics::default(), "b".parse().unwrap());
        assert!(!all.get(&batch, 0).1, "an empty batch has no result");
        assert!(all.get(&batch, 1).1);
        assert!(!all.get(&batch, 2).1, "the first reading still runs");
    }
}
