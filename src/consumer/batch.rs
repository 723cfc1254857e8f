//! A batch: its records run concurrently, and each one has an outcome.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tracing::{error, warn};

use super::Consumer;
use super::measures::measure_outcomes;
use super::record::{self, Record};
use super::response::{BatchFailed, Handled, response};
use super::suspects::find_suspect;
use crate::clock::{now, until};
use crate::domain::ids::JobId;
use crate::domain::job::outcome::{Retry, RetryReason};
use crate::domain::limits::RESPONSE_MARGIN;
use crate::heavy_work::{self, Abandoned};

/// The locks by which records of the same job run one after the other. The first
/// record does the work, and the others find the job finished.
type JobLocks = HashMap<JobId, Arc<Mutex<()>>>;

impl Consumer {
    /// Handles a batch, and names the messages that must be retried.
    ///
    /// `deadline` is when Lambda ends the invocation. The response is returned
    /// [`RESPONSE_MARGIN`] earlier, even if records still run.
    ///
    /// # Errors
    /// [`BatchFailed`]: the whole batch is retried, because a record that must be
    /// retried has no message id.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Timestamp,
        function: &str,
    ) -> Result<SqsBatchResponse, BatchFailed> {
        let started = Instant::now();
        let respond_at = started + until(deadline).saturating_sub(RESPONSE_MARGIN);
        let count = event.records.len();
        let permits = Arc::new(Semaphore::new(self.max_concurrent_records.unwrap_or(count).max(1)));
        let mut locks = JobLocks::new();
        let mut running = Vec::with_capacity(count);
        let mut records = Vec::with_capacity(count);
        for (message_id, parsed) in parse(event, self.parking.bucket.clone()).await {
            match parsed {
                Ok(record) => records.push(record),
                Err(reason) => {
                    error!(message_id, reason = reason.as_str(), "a message was not parsed");
                    let retried = Handled::without_usage(Retry::at_visibility_timeout(reason));
                    running.push((message_id, tokio::spawn(ready(retried))));
                }
            }
        }
        let suspect = find_suspect(&self.endings.jobs, &records, now()).await;
        if let Some(place) = suspect {
            record::show_at_lease_end(self, &records[place], deadline).await;
        }
        let (kept, returned): (Vec<_>, Vec<_>) =
            records.into_iter().enumerate().partition(|(place, _)| suspect.is_none_or(|suspect| suspect == *place));
        // The suspect may end the process, so the other messages return before it begins.
        let returned = returned.into_iter().map(|(_, record)| {
            let message_id = record.message_id.clone();
            async { (message_id, record::return_to_queue(self, record).await) }
        });
        for (message_id, handled) in join_all(returned).await {
            running.push((message_id, tokio::spawn(ready(handled))));
        }
        for (_, record) in kept {
            let message_id = record.message_id.clone();
            let is_alone = suspect.is_some() || count == 1;
            let lock = record.job_id().map(|id| locks.entry(id.clone()).or_default().clone());
            let (consumer, permits) = (self.clone(), permits.clone());
            let task = tokio::spawn(async move {
                let _lock = match &lock {
                    Some(lock) => Some(lock.lock().await),
                    None => None,
                };
                let _permit = permits.acquire().await;
                record::handle(&consumer, record, is_alone, deadline).await
            });
            running.push((message_id, task));
        }
        let mut handled = Vec::with_capacity(count);
        for (message_id, mut task) in running {
            let outcome = match tokio::time::timeout_at(respond_at.into(), &mut task).await {
                Ok(Ok(handled)) => handled,
                // The task catches panics of the record itself; this one arose around it.
                Ok(Err(_)) => Handled::without_usage(Retry::at_visibility_timeout(RetryReason::Panicked)),
                Err(_) => {
                    task.abort();
                    warn!(message_id, "the invocation reached its deadline while the record was handled");
                    Handled::without_usage(Retry::at_visibility_timeout(RetryReason::DeadlineReached))
                }
            };
            handled.push((message_id, outcome));
        }
        measure_outcomes(&self.meter, handled.iter().map(|(_, handled)| handled));
        let properties = [("records", count as u64), ("elapsed_ms", started.elapsed().as_millis() as u64)];
        self.meter.print(function, now().as_millisecond(), &properties);
        response(handled.into_iter().map(|(message_id, handled)| (message_id, handled.outcome)))
    }
}

/// Parses the messages on a separate thread: a batch has up to 6 MB of JSON.
async fn parse(event: SqsEvent, own_bucket: String) -> Vec<(Option<String>, Result<Record, RetryReason>)> {
    let ids: Vec<_> = event.records.iter().map(|message| message.message_id.clone()).collect();
    match heavy_work::run(move || record::parse_all(event.records, &own_bucket)).await {
        Ok(parsed) => ids.into_iter().zip(parsed).collect(),
        Err(Abandoned) => ids.into_iter().map(|id| (id, Err(RetryReason::NoTime))).collect(),
    }
}
