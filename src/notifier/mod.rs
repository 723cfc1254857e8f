//! The notifier: changes of stored jobs in, events of finished jobs and batches out.
//!
//! Delivery is at least once. The events of one job keep their order until a record
//! fails: Lambda then retries the failed record and every later record of its shard. A
//! batch's event follows the events of those of its jobs that arrived with it.

mod stream;

pub use self::stream::{StreamEvent, StreamResponse};

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use jiff::Timestamp;
use tokio::time::timeout_at;
use tracing::{error, info, warn};

use self::stream::Record;
use crate::aws::events::EventBus;
use crate::aws::jobs::Jobs;
use crate::aws::{Unavailable, changes};
use crate::clock::{now, until};
use crate::config::NotifierConfig;
use crate::domain::events::{BatchFinished, JobFinished, OutboundEvent};
use crate::domain::ids::BatchId;
use crate::domain::limits::RESPONSE_MARGIN;
use crate::metrics::{Meter, table};

/// Publishes events. It keeps no state between invocations.
#[derive(Debug, Clone)]
pub struct Notifier {
    jobs: Jobs,
    bus: EventBus,
}

/// An event that must be published, with the record that caused it.
struct PendingEvent {
    /// The index of the record; the record fails if the event cannot be published.
    record: usize,
    event: OutboundEvent,
    batch_id: Option<BatchId>,
}

impl Notifier {
    /// Creates the clients; opens no connection yet.
    pub fn new(sdk: &SdkConfig, config: NotifierConfig) -> Self {
        // The notifier writes no job, so the retention is never used.
        let jobs = Jobs::new(sdk, config.jobs_table, Duration::ZERO);
        Self { jobs, bus: EventBus::new(sdk, config.event_bus_name) }
    }

    /// Publishes the events of finished jobs, then those of batches that have finished
    /// with them. Returns the records that failed.
    ///
    /// `deadline` is when Lambda ends the invocation. The response is returned
    /// [`RESPONSE_MARGIN`] earlier; records without a published event fail.
    pub async fn handle(&self, event: StreamEvent, deadline: Timestamp, function: &str) -> StreamResponse {
        let respond_at = Instant::now() + until(deadline).saturating_sub(RESPONSE_MARGIN);
        let numbers: Vec<String> = event.records.iter().map(|record| record.dynamodb.sequence_number.clone()).collect();
        // A newer function may publish them: Lambda retries the records.
        let newer: BTreeSet<usize> = (event.records.iter().enumerate())
            .filter(|(_, record)| changes::is_newer_version(&record.dynamodb.new_image))
            .map(|(index, _)| index)
            .collect();
        if !newer.is_empty() {
            warn!(count = newer.len(), "stored jobs have a newer version than this function reads");
        }
        let jobs: Vec<PendingEvent> = event
            .records
            .into_iter()
            .enumerate()
            .filter(|(index, _)| !newer.contains(index))
            .filter_map(parse_record)
            .collect();
        let mut failed = self.publish(&jobs, respond_at).await;
        let job_events_published = jobs.len() - failed.len();
        failed.extend(newer);
        let mut batches = Vec::new();
        for (batch_id, record) in batches_to_check(&jobs, failed.first().copied()) {
            match timeout_at(respond_at.into(), self.find_finished_batch(&batch_id)).await {
                Ok(Ok(Some(event))) => batches.push(PendingEvent { record, event, batch_id: Some(batch_id) }),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    warn!(%batch_id, service = error.service, code = error.code, "a batch's jobs could not be counted");
                    failed.insert(record);
                }
                Err(_) => {
                    failed.insert(record);
                }
            }
        }
        let failed_batches = self.publish(&batches, respond_at).await;
        let batch_events_published = batches.len() - failed_batches.len();
        failed.extend(failed_batches);
        let (records, events_failed) = (numbers.len(), failed.len());
        info!(records, job_events_published, batch_events_published, events_failed, "stream records handled");
        let meter = Meter::default();
        meter.add(table::JOB_EVENTS_PUBLISHED, job_events_published as u64);
        meter.add(table::BATCH_EVENTS_PUBLISHED, batch_events_published as u64);
        meter.add(table::EVENTS_FAILED, events_failed as u64);
        meter.print(function, now().as_millisecond(), &[("records", records as u64)]);
        StreamResponse::from_failures(failed.into_iter().map(|record| numbers[record].clone()))
    }

    /// Puts events on the bus; returns the records whose events failed.
    async fn publish(&self, pending: &[PendingEvent], respond_at: Instant) -> BTreeSet<usize> {
        let events: Vec<OutboundEvent> = pending.iter().map(|pending| pending.event.clone()).collect();
        // After a time-out nobody knows which events the bus accepted, so all are retried.
        let Ok(answers) = timeout_at(respond_at.into(), self.bus.put_events(&events)).await else {
            warn!("the invocation reached its deadline while events were published");
            return pending.iter().map(|pending| pending.record).collect();
        };
        let failed = pending.iter().zip(answers).filter_map(|(pending, answer)| Some((pending.record, answer.err()?)));
        let failed: BTreeMap<usize, Unavailable> = failed.collect();
        if let Some(first) = failed.values().next() {
            warn!(service = first.service, code = first.code, count = failed.len(), "events could not be published");
        }
        failed.into_keys().collect()
    }

    /// The event of a batch; `None` while the batch has unfinished jobs.
    async fn find_finished_batch(&self, batch_id: &BatchId) -> Result<Option<OutboundEvent>, Unavailable> {
        let Some(tally) = self.jobs.tally_if_complete(batch_id, now()).await? else { return Ok(None) };
        let batch = self.jobs.get_batch(batch_id).await?;
        let cancelled = batch.is_some_and(|batch| batch.cancelled_at.is_some());
        Ok(BatchFinished::from_tally(batch_id, &tally, cancelled).map(|finished| finished.to_event()))
    }
}

/// The event of a record; `None` when the change did not finish a job.
///
/// The filter of the event source mapping lets only finished jobs through. This
/// function checks the change again, so that a wrong filter publishes nothing wrong.
fn parse_record((index, record): (usize, Record)) -> Option<PendingEvent> {
    let change = record.dynamodb;
    let before = changes::read_status(&change.old_image)?;
    if !changes::read_status(&change.new_image)?.has_ended() {
        return None;
    }
    let Some(job) = changes::read_stored_job(change.new_image) else {
        // A retry cannot read the job either, and would block the shard.
        error!(sequence_number = change.sequence_number, "a finished job cannot be read, so it has no event");
        return None;
    };
    let finished = JobFinished::from_change(before, &job)?;
    Some(PendingEvent { record: index, event: finished.to_event(), batch_id: finished.batch_id })
}

/// The batches whose jobs must be counted, each with its last record.
///
/// A batch is left out when its last record is retried anyway, because the first failed
/// record is not later. The retry counts its jobs.
fn batches_to_check(jobs: &[PendingEvent], first_failed: Option<usize>) -> BTreeMap<BatchId, usize> {
    let last = jobs.iter().filter_map(|pending| Some((pending.batch_id.clone()?, pending.record)));
    let last: BTreeMap<BatchId, usize> = last.collect();
    last.into_iter().filter(|(_, record)| first_failed.is_none_or(|failed| *record < failed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_is_checked_once_unless_its_last_record_is_retried() {
        let event = OutboundEvent { detail_type: "t", detail: String::new(), at: Timestamp::UNIX_EPOCH };
        let pending = |(record, batch): (usize, &&str)| PendingEvent {
            record,
            event: event.clone(),
            batch_id: batch.parse().ok(),
        };
        let jobs: Vec<PendingEvent> = ["a", "b", "a", "", "c", "b"].iter().enumerate().map(pending).collect();
        let checked = |first_failed| {
            let batches = batches_to_check(&jobs, first_failed).into_iter();
            batches.map(|(id, record)| format!("{id}{record}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(checked(None), "a2 b5 c4");
        assert_eq!(checked(Some(3)), "a2");
        assert_eq!(checked(Some(2)), "");
    }
}
