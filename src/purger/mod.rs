//! The purger: erases the content of jobs and batches. It is the only function that may
//! delete objects and dead letters.
//!
//! ```text
//! purge of a job    tombstone ─ erase objects ─ wait for running work ─ erase again ─ erase dead letters ─ finish
//! purge of a batch  cancel, erase settings and objects ─ a message for each job ─ the same once more, later
//! ```
//!
//! Every step may be repeated: a message of a purge is acknowledged only after its last step.

use std::collections::HashSet;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::aws::Unavailable;
use crate::aws::jobs::Jobs;
use crate::aws::purge::{Eraser, PurgeQueues, ReceivedLetter};
use crate::clock::{now, until};
use crate::config::PurgerConfig;
use crate::domain::batch::cursor::Cursor;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{
    PAGE_MAX, PURGE_BATCH_RESERVE, PURGE_REPEAT_DELAY, PURGE_RESERVE, PURGE_RETRY_DELAY, PURGE_SCAN_VISIBILITY,
};
use crate::domain::message::body::{ParsedMessage, parse_message};
use crate::domain::purge::{PurgeMessage, batch_prefixes, document_versions, end_of_work, job_prefixes, wait_for_work};
use crate::metrics::{Meter, table};

/// Handles messages of the queue of purges.
#[derive(Debug, Clone)]
pub struct Purger {
    jobs: Jobs,
    eraser: Eraser,
    queues: PurgeQueues,
    bucket: String,
    meter: Meter,
}

/// How far a purge came.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The purge ended.
    Done,
    /// The objects of this job are erased. Its dead letters remain.
    Letters(JobId),
    /// The message is needed again after this time.
    Again(Duration),
}

impl Purger {
    /// Creates the clients; opens no connection yet.
    pub fn new(sdk: &SdkConfig, config: PurgerConfig) -> Self {
        Self {
            jobs: Jobs::new(sdk, config.jobs_table, config.retention),
            eraser: Eraser::new(sdk, config.documents_bucket.clone()),
            queues: PurgeQueues::new(sdk, config.purge_queue_url, config.dead_letter_queue_url),
            bucket: config.documents_bucket,
            meter: Meter::default(),
        }
    }

    /// Handles a batch of messages, and names those that are needed again. `deadline` is when
    /// Lambda ends the invocation.
    pub async fn handle(&self, event: SqsEvent, deadline: Timestamp, function: &str) -> SqsBatchResponse {
        let mut steps = Vec::new();
        for message in event.records {
            let step = if until(deadline) < PURGE_RESERVE {
                Step::Again(PURGE_RETRY_DELAY)
            } else {
                self.handle_message(&message, deadline).await
            };
            steps.push((message, step));
        }
        // One scan of the dead-letter queue serves all jobs of the invocation.
        if steps.iter().any(|(_, step)| matches!(step, Step::Letters(_))) {
            let scanned = self.erase_dead_letters(deadline).await;
            for (_, step) in &mut steps {
                let Step::Letters(job_id) = step else { continue };
                *step = match &scanned {
                    Ok(true) => self.finish_job(job_id).await.unwrap_or_else(|error| self.interrupted(&error)),
                    Ok(false) => Step::Again(PURGE_RETRY_DELAY),
                    Err(error) => self.interrupted(error),
                };
            }
        }
        let response = self.respond(steps).await;
        self.meter.print(function, now().as_millisecond(), &[]);
        response
    }

    async fn respond(&self, steps: Vec<(SqsMessage, Step)>) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for (message, step) in steps {
            let Step::Again(after) = step else { continue };
            if let Some(receipt) = &message.receipt_handle
                && let Err(error) = self.queues.retry_after(receipt, after).await
            {
                // The queue's own visibility time-out retries the message.
                warn!(code = error.code, "the visibility of a purge could not be changed");
            }
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
        response
    }

    /// The purge is retried, because a service did not answer.
    fn interrupted(&self, error: &Unavailable) -> Step {
        warn!(service = error.service, code = error.code, "a purge was interrupted");
        self.meter.add(table::PURGES_INTERRUPTED, 1);
        Step::Again(PURGE_RETRY_DELAY)
    }

    async fn handle_message(&self, message: &SqsMessage, deadline: Timestamp) -> Step {
        let body = message.body.as_deref().unwrap_or_default();
        let purged = match serde_json::from_str::<PurgeMessage>(body) {
            Ok(PurgeMessage::Job { job_id }) => self.purge_job(&job_id).await,
            Ok(PurgeMessage::Batch { batch_id, is_repeated, cursor }) => {
                self.purge_batch(&batch_id, is_repeated, cursor, deadline).await
            }
            Err(_) => {
                // A newer function may know it.
                error!(message_id = message.message_id, "a message is no purge that this function knows");
                return Step::Again(PURGE_REPEAT_DELAY);
            }
        };
        purged.unwrap_or_else(|error| self.interrupted(&error))
    }

    async fn purge_job(&self, job_id: &JobId) -> Result<Step, Unavailable> {
        let Some(row) = self.jobs.get(job_id).await? else {
            warn!(job_id = job_id.as_str(), "a purged job is not stored");
            return Ok(Step::Done);
        };
        let work_ends_at = match row.purge_until {
            Some(work_ends_at) => work_ends_at,
            None => {
                let work_ends_at = end_of_work(&row, now());
                if !self.jobs.begin_purge(&row, work_ends_at, now()).await? {
                    return Ok(Step::Again(Duration::from_secs(1)));
                }
                work_ends_at
            }
        };
        let mut erased = 0;
        let own_prefixes = job_prefixes(job_id).into_iter();
        let exports = row.batch_id.iter().map(|batch_id| format!("exports/{batch_id}/"));
        for prefix in own_prefixes.chain(exports) {
            erased += self.eraser.erase_prefix(&prefix).await?;
        }
        if let Some((at, versions)) = document_versions(&row, &self.bucket) {
            // The mark comes first: without it, another job would report a missing document.
            self.jobs.mark_purged_object(&at, now()).await?;
            erased += self.eraser.erase_object(&at.key, &versions).await?;
        }
        info!(job_id = job_id.as_str(), erased, "objects of a job erased");
        if let Some(after) = wait_for_work(work_ends_at, now()) {
            return Ok(Step::Again(after));
        }
        Ok(Step::Letters(job_id.clone()))
    }

    async fn finish_job(&self, job_id: &JobId) -> Result<Step, Unavailable> {
        self.jobs.finish_purge(job_id, now()).await?;
        info!(job_id = job_id.as_str(), "job purged");
        self.meter.add(table::JOBS_PURGED, 1);
        Ok(Step::Done)
    }

    /// Sends a message for each job from `cursor` on, then erases the objects of the batch.
    /// With too little time, another message continues at the next page.
    async fn purge_batch(
        &self,
        batch_id: &BatchId,
        is_repeated: bool,
        mut cursor: Option<Cursor>,
        deadline: Timestamp,
    ) -> Result<Step, Unavailable> {
        self.jobs.purge_batch(batch_id, now()).await?;
        let mut count = 0;
        loop {
            let page = self.jobs.get_page(batch_id, &Default::default(), cursor, PAGE_MAX).await?;
            for job_id in page.job_ids {
                self.queues.send(&PurgeMessage::Job { job_id }, Duration::ZERO).await?;
                count += 1;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            if until(deadline) < PURGE_BATCH_RESERVE {
                let batch_id = batch_id.clone();
                self.queues.send(&PurgeMessage::Batch { batch_id, is_repeated, cursor }, Duration::ZERO).await?;
                return Ok(Step::Done);
            }
        }
        let mut erased = 0;
        for prefix in batch_prefixes(batch_id) {
            erased += self.eraser.erase_prefix(&prefix).await?;
        }
        info!(batch_id = batch_id.as_str(), jobs = count, erased, is_repeated, "batch purged");
        if !is_repeated {
            let repeated = PurgeMessage::Batch { batch_id: batch_id.clone(), is_repeated: true, cursor: None };
            self.queues.send(&repeated, PURGE_REPEAT_DELAY).await?;
        }
        Ok(Step::Done)
    }

    /// Deletes the dead letters of purged jobs. Returns whether all letters were seen.
    async fn erase_dead_letters(&self, deadline: Timestamp) -> Result<bool, Unavailable> {
        let (mut kept, mut seen, mut deleted) = (Vec::new(), HashSet::new(), 0);
        let is_complete = loop {
            if until(deadline) < PURGE_RESERVE {
                break false;
            }
            let letters = self.queues.receive(PURGE_SCAN_VISIBILITY).await?;
            // A letter that returns was seen before: the scan was longer than its visibility.
            let is_new = letters.iter().any(|letter| seen.insert(letter.message_id.clone()));
            for letter in letters {
                if self.is_of_purged_job(&letter).await? {
                    self.queues.delete(&letter).await?;
                    deleted += 1;
                } else {
                    kept.push(letter);
                }
            }
            if !is_new {
                break true;
            }
        };
        if is_complete {
            for letter in &kept {
                self.queues.show(letter).await;
            }
        }
        if deleted > 0 {
            info!(deleted, "dead letters of purged jobs deleted");
        }
        Ok(is_complete)
    }

    async fn is_of_purged_job(&self, letter: &ReceivedLetter) -> Result<bool, Unavailable> {
        let job_id = match &letter.job_id {
            Some(job_id) => job_id.parse().ok(),
            None => match parse_message(Some(&letter.body), None, &self.bucket) {
                Ok(ParsedMessage::Job(job)) => Some(job.job_id),
                _ => None,
            },
        };
        let Some(job_id) = job_id else { return Ok(false) };
        Ok(self.jobs.get(&job_id).await?.is_some_and(|row| row.purge_until.is_some()))
    }
}
