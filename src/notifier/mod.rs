//! The notifier: changes of the table's rows in, news of what has finished out,
//! on an event bus.
//!
//! At least once, in the order of each job's changes until something is refused:
//! a refused change comes again with all that came after it in its shard. A
//! batch's end is told after the ends of those of its jobs that came with it.

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
use crate::metrics;

/// What tells the news. It keeps nothing between two events.
#[derive(Debug, Clone)]
pub struct Notifier {
    jobs: Jobs,
    bus: EventBus,
}

/// A piece of news, and the place of the record that brought it. If the bus
/// refuses the news, the record is wanted again.
struct Item {
    place: usize,
    news: OutboundEvent,
    batch_id: Option<BatchId>,
}

impl Notifier {
    /// Makes the clients; connects to nothing yet.
    pub fn new(sdk: &SdkConfig, config: NotifierConfig) -> Self {
        // It writes no row, so that none is kept for longer.
        let jobs = Jobs::new(sdk, config.jobs_table, Duration::ZERO);
        Self { jobs, bus: EventBus::new(sdk, config.event_bus_name) }
    }

    /// Tells what the changes tell, and says which of them are wanted again.
    ///
    /// `deadline` is when Lambda ends the invocation; the answer is given
    /// [`RESPONSE_MARGIN`] before it, and what is not told by then is refused.
    pub async fn handle(&self, event: StreamEvent, deadline: Timestamp, function: &str) -> StreamResponse {
        let answer_at = Instant::now() + until(deadline).saturating_sub(RESPONSE_MARGIN);
        let numbers: Vec<String> = event.records.iter().map(|record| record.dynamodb.sequence_number.clone()).collect();
        let jobs: Vec<Item> = event.records.into_iter().enumerate().filter_map(read).collect();
        let mut refused = self.tell(&jobs, answer_at).await;
        let (told, batches) = (jobs.len() - refused.len(), batches(&jobs, refused.first().copied()));
        let mut ended = Vec::new();
        for (batch_id, place) in batches {
            match timeout_at(answer_at.into(), self.ask(&batch_id)).await {
                Ok(Ok(Some(news))) => ended.push(Item { place, news, batch_id: Some(batch_id) }),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    warn!(%batch_id, service = error.service, code = error.code, "a batch could not be added up");
                    refused.insert(place);
                }
                Err(_) => {
                    refused.insert(place);
                }
            }
        }
        let batches_refused = self.tell(&ended, answer_at).await;
        let batch_events_published = ended.len() - batches_refused.len();
        refused.extend(batches_refused);
        info!(records = numbers.len(), told, batch_events_published, wanted_again = refused.len(), "changes handled");
        let counts = [
            ("job_events_published", told),
            ("batch_events_published", batch_events_published),
            ("events_failed", refused.len()),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name, count as u64));
        metrics::write(function, now().as_millisecond(), &counts.collect(), &[]);
        StreamResponse::again(refused.into_iter().map(|place| numbers[place].clone()))
    }

    /// Puts news on the bus; gives the places of those that it does not have.
    async fn tell(&self, items: &[Item], answer_at: Instant) -> BTreeSet<usize> {
        let news: Vec<OutboundEvent> = items.iter().map(|item| item.news.clone()).collect();
        // What the bus took before the time ended comes again too.
        let Ok(answers) = timeout_at(answer_at.into(), self.bus.put(&news)).await else {
            warn!("the invocation's time ended before the bus had all news");
            return items.iter().map(|item| item.place).collect();
        };
        let refused = items.iter().zip(answers).filter_map(|(item, answer)| Some((item.place, answer.err()?)));
        let refused: BTreeMap<usize, Unavailable> = refused.collect();
        if let Some(first) = refused.values().next() {
            warn!(service = first.service, code = first.code, count = refused.len(), "the bus refused news");
        }
        refused.into_keys().collect()
    }

    /// The news of a batch, if it has finished.
    async fn ask(&self, batch_id: &BatchId) -> Result<Option<OutboundEvent>, Unavailable> {
        let Some(tally) = self.jobs.finished(batch_id, now()).await? else { return Ok(None) };
        let batch = self.jobs.batch(batch_id).await?;
        let cancelled = batch.is_some_and(|batch| batch.cancelled_at.is_some());
        Ok(BatchFinished::of(batch_id, &tally, cancelled).map(|finished| finished.outbound()))
    }
}

/// What a change tells of its job. The mapping's filter lets only such changes
/// through; that it does is not counted on.
fn read((place, record): (usize, Record)) -> Option<Item> {
    let change = record.dynamodb;
    let before = changes::status(&change.old_image)?;
    if !changes::status(&change.new_image)?.has_ended() {
        return None;
    }
    let Some(row) = changes::row(change.new_image) else {
        // It will not be read the next time either, and must not hold its shard up.
        error!(sequence_number = change.sequence_number, "a finished row cannot be read: it is not told");
        return None;
    };
    let finished = JobFinished::of(before, &row)?;
    Some(Item { place, news: finished.outbound(), batch_id: finished.batch_id })
}

/// Each batch once, with the place of its last record. Left out are those of
/// which a record comes again in any case: the first refused and all after it.
fn batches(jobs: &[Item], first_refused: Option<usize>) -> BTreeMap<BatchId, usize> {
    let last = jobs.iter().filter_map(|item| Some((item.batch_id.clone()?, item.place)));
    let last: BTreeMap<BatchId, usize> = last.collect();
    last.into_iter().filter(|(_, place)| first_refused.is_none_or(|refused| *place < refused)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_asked_once_and_only_when_none_of_its_records_comes_again() {
        let news = OutboundEvent { detail_type: "t", detail: String::new(), at: Timestamp::UNIX_EPOCH };
        let item = |(place, batch): (usize, &&str)| Item { place, news: news.clone(), batch_id: batch.parse().ok() };
        let jobs: Vec<Item> = ["a", "b", "a", "", "c", "b"].iter().enumerate().map(item).collect();
        let asked = |refused| {
            let asked = batches(&jobs, refused).into_iter();
            asked.map(|(id, place)| format!("{id}{place}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(asked(None), "a2 b5 c4");
        assert_eq!(asked(Some(3)), "a2");
        assert_eq!(asked(Some(2)), "");
    }
}
