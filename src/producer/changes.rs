//! Changes of existing jobs: cancel a job, retry a failed job, or retry all failed
//! jobs of a batch.

use std::time::Instant;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::many::run_concurrently;
use super::problem::Problem;
use super::{Answer, Producer};
use crate::aws::Unavailable;
use crate::aws::jobs::ChangeOutcome;
use crate::clock::now;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::batch::cursor::Select;
use crate::domain::batch::filter::Filter;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::limits::{CHANGE_TIME, PAGE_MAX};
use crate::domain::message::body::MessageBody;

impl Producer {
    /// `DELETE /jobs/{job_id}`.
    pub(super) async fn cancel_job(&self, job_id: &JobId) -> Result<Answer, Problem> {
        match self.jobs.cancel(job_id, now()).await? {
            ChangeOutcome::Changed(row) => Ok(Answer::json(200, self.load_result(*row).await?)),
            // A repeated request is answered like the first one.
            ChangeOutcome::InvalidState(row) if row.state.status() == Status::Cancelled => {
                Ok(Answer::json(200, self.load_result(*row).await?))
            }
            ChangeOutcome::InvalidState(row) => {
                let detail =
                    format!("the job is {}; only an unfinished job can be cancelled", row.state.status().as_str());
                Err(Problem::invalid_state(Some(job_id), detail))
            }
            ChangeOutcome::NotFound => Err(Problem::no_such_job()),
        }
    }

    /// `POST /jobs/{job_id}/retry`.
    pub(super) async fn retry_job(&self, job_id: &JobId) -> Result<Answer, Problem> {
        let row = self.jobs.get(job_id).await?.ok_or_else(Problem::no_such_job)?;
        if let Some(batch_id) = &row.batch_id {
            self.check_not_cancelled(batch_id).await?;
        }
        self.retry_stored_job(row).await?;
        Ok(Answer::json(202, json!({"job_id": job_id, "status": Status::Pending})))
    }

    /// `POST /batches/{batch_id}/retry`: retries every failed job of the batch whose
    /// document or asynchronous request is in the bucket.
    ///
    /// After [`CHANGE_TIME`], the answer has `has_more`: the caller repeats the request,
    /// which retries the remaining jobs.
    pub(super) async fn retry_batch(&self, batch_id: &BatchId) -> Result<Answer, Problem> {
        self.check_batch_exists(batch_id).await?;
        self.check_not_cancelled(batch_id).await?;
        let failed = Filter::from(Select::Only(Status::Failed));
        let (mut retried, mut not_retried) = (0, Vec::new());
        let (mut cursor, until) = (None, Instant::now() + CHANGE_TIME);
        let has_more = loop {
            let page = self.jobs.get_page(batch_id, &failed, cursor, PAGE_MAX).await?;
            let rows = self.jobs.get_many_without_results(&page.job_ids).await?;
            let retries = rows.into_iter().map(|row| self.retry_or_explain(row).boxed());
            for explanation in run_concurrently(retries.collect()).await? {
                match explanation {
                    Some(explanation) => not_retried.push(explanation),
                    None => retried += 1,
                }
            }
            cursor = page.next;
            if cursor.is_none() || Instant::now() >= until {
                break cursor.is_some();
            }
        };
        let body = json!({"batch_id": batch_id, "retried": retried, "not_retried": not_retried, "has_more": has_more});
        Ok(Answer::json(202, body))
    }

    async fn check_not_cancelled(&self, batch_id: &BatchId) -> Result<(), Problem> {
        match self.jobs.get_batch(batch_id).await? {
            Some(batch) if batch.cancelled_at.is_some() => {
                Err(Problem::invalid_state(None, "the batch is cancelled; submit its documents to another batch"))
            }
            _ => Ok(()),
        }
    }

    /// Retries one job of a batch; returns why the job cannot be retried.
    async fn retry_or_explain(&self, row: StoredJob) -> Result<Option<Value>, Problem> {
        let job_id = row.job_id.clone();
        match self.retry_stored_job(row).await {
            Err(problem) if problem.is_invalid_state() => Ok(Some(json!({"job_id": job_id, "detail": problem.detail}))),
            other => other.map(|()| None),
        }
    }

    /// Sends the message as the redrive of the failed attempt, then makes the stored job
    /// `pending`.
    ///
    /// A crash between the two steps loses nothing: the redrive of its failed attempt
    /// claims a job while it is still `failed`.
    async fn retry_stored_job(&self, row: StoredJob) -> Result<(), Problem> {
        let rejected = |detail: String| Err(Problem::invalid_state(Some(&row.job_id), detail));
        let Some(body) = MessageBody::of_stored(&row, self.async_request(&row).await?) else {
            return rejected(
                "the job's document is not in the bucket; redrive its queue message from the dead-letter queue, \
                 or upload the document"
                    .to_owned(),
            );
        };
        let redrive_of = match row.state.status() {
            Status::Failed => Some(row.attempt),
            Status::Pending => None,
            other => return rejected(format!("the job is {}; only a failed job can be retried", other.as_str())),
        };
        self.queue.send(&body, row.priority, redrive_of).await?;
        if let Some(attempt) = redrive_of {
            // Rejected when a worker has claimed the job by the message already.
            self.jobs.retry(&row.job_id, attempt, now()).await?;
        }
        Ok(())
    }

    /// The stored request of an asynchronous invocation; `None` for other jobs.
    async fn async_request(&self, row: &StoredJob) -> Result<Option<AsyncInvoke>, Problem> {
        let Some(at) = &row.async_request else { return Ok(None) };
        let request = self.objects.load(at).await?;
        let unreadable =
            |_| Problem::from(Unavailable { service: "s3:GetObject", code: "UnreadableRequest".to_owned() });
        serde_json::from_value(request).map(Some).map_err(unreadable)
    }
}
