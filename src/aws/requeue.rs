//! Sends messages of stored jobs again: for the sweep, the end of a hold, and a caller's
//! retry.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::Unavailable;
use super::jobs::Jobs;
use super::json_objects::JsonObjects;
use super::queue::JobsQueue;
use crate::clock::now;
use crate::domain::batch::cursor::Cursor;
use crate::domain::batch::filter::Filter;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{State, StoredJob};
use crate::domain::job::stranded::{awaits_upload, may_lack_message};
use crate::domain::limits::{CHANGE_PAGE, CONCURRENT_REQUEST_JOBS};
use crate::domain::message::body::MessageBody;

/// Sends messages of stored jobs.
#[derive(Debug, Clone)]
pub struct Requeue {
    /// The table of the jobs.
    pub jobs: Jobs,
    /// The queues of the messages.
    pub queue: JobsQueue,
    /// The objects with the requests of long invocations.
    pub objects: JsonObjects,
}

/// The effect of [`Requeue::retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeued {
    /// A message of the job is in the queue: a new one, or a recent one.
    Queued,
    /// The job's document is not in the bucket.
    NoDocument,
    /// The job waits for the upload of its document.
    AwaitsUpload,
    /// A worker holds the job, or the job waits for the poll of its long invocation.
    Running,
    /// The job is complete or cancelled.
    Ended,
}

/// A page of [`Requeue::retry_page`].
#[derive(Debug, Default)]
pub struct RetriedPage {
    /// The number of jobs with a message in the queue.
    pub retried: u64,
    /// The jobs without one, with the reason.
    pub not_retried: Vec<(JobId, &'static str)>,
    /// The position of the next page; `None` at the end.
    pub next: Option<Cursor>,
}

impl Requeued {
    /// Why the job was not retried; `None` if it was.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Queued => None,
            Self::NoDocument => Some(
                "the job's document is not in the bucket; redrive its queue message from the dead-letter queue, \
                 or upload the document",
            ),
            Self::AwaitsUpload => Some("the job waits for its document; upload it, or repeat the request for the URL"),
            Self::Running => Some("a worker runs the job; retry it when its lease has expired"),
            Self::Ended => Some("the job is complete or cancelled; only a failed or unfinished job can be retried"),
        }
    }
}

impl Requeue {
    /// Sends a new message for a stored job. `redrive_of` is the failed attempt that the
    /// message retries. Returns false if no message can be made, because the document came in
    /// a message and is not in the bucket.
    pub async fn send(&self, row: &StoredJob, redrive_of: Option<u32>) -> Result<bool, Unavailable> {
        let async_invoke = match &row.async_request {
            Some(at) => match self.objects.load(at).await {
                Ok(request) => serde_json::from_value(request).ok(),
                // The object's retention is over. The job must not keep others from their
                // messages.
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        match MessageBody::of_stored(row, async_invoke) {
            Some(body) => self.queue.send(&body, row.priority, redrive_of).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Retries a failed job, or an unfinished one whose message may be lost.
    ///
    /// The message is sent first, then the stored job changes. A crash between the two loses
    /// nothing: the redrive of its failed attempt claims a job while it is still `failed`.
    pub async fn retry(&self, row: &StoredJob, now: Timestamp) -> Result<Requeued, Unavailable> {
        let failed_attempt = match &row.state {
            State::Failed { .. } => Some(row.attempt),
            State::Complete(_) | State::Cancelled { .. } => return Ok(Requeued::Ended),
            State::Pending if awaits_upload(row) => return Ok(Requeued::AwaitsUpload),
            State::Processing { lease_until } if *lease_until > now => return Ok(Requeued::Running),
            State::Pending | State::Processing { .. } if !may_lack_message(row, now) => return Ok(Requeued::Queued),
            State::Pending | State::Processing { .. } => None,
        };
        if !self.send(row, failed_attempt).await? {
            return Ok(Requeued::NoDocument);
        }
        match failed_attempt {
            // Refused when a worker has claimed the job by the message already.
            Some(attempt) => self.jobs.retry(&row.job_id, attempt, now).await.map(drop)?,
            None => self.jobs.mark_resent(row, now).await?,
        }
        Ok(Requeued::Queued)
    }

    /// Retries a page of the batch's jobs that match a filter, from the cursor on. A job that
    /// failed after `asked_at` is left alone: the same request has retried it before, or did
    /// not mean it.
    ///
    /// After `until`, no further job begins. The next page is then the same one, in which the
    /// retried jobs no longer match.
    pub async fn retry_page(
        &self,
        batch_id: &BatchId,
        filter: &Filter,
        from: Option<Cursor>,
        asked_at: Timestamp,
        until: Timestamp,
    ) -> Result<RetriedPage, Unavailable> {
        let page = self.jobs.get_page(batch_id, filter, from.clone(), CHANGE_PAGE).await?;
        let rows = self.jobs.get_many_without_results(&page.job_ids).await?;
        let is_meant = |row: &StoredJob| match &row.state {
            State::Failed { completed_at, .. } => *completed_at <= asked_at,
            _ => true,
        };
        let rows = rows.into_iter().filter(|row| filter.matches(row) && is_meant(row));
        let retries = rows.map(async |row| {
            if now() >= until {
                return Ok(None);
            }
            self.retry(&row, now()).await.map(|requeued| Some((row.job_id, requeued)))
        });
        let ends: Vec<_> = stream::iter(retries).buffer_unordered(CONCURRENT_REQUEST_JOBS).collect().await;
        let mut retried = RetriedPage { next: page.next, ..RetriedPage::default() };
        for end in ends {
            match end? {
                None => retried.next = Some(from.clone().unwrap_or_default()),
                Some((job_id, requeued)) => match requeued.refusal() {
                    None => retried.retried += 1,
                    Some(reason) => retried.not_retried.push((job_id, reason)),
                },
            }
        }
        Ok(retried)
    }
}
