//! Changes of existing jobs: cancel or retry one, or those of a batch that match a filter.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use lambda_http::Request;
use serde_json::{Value, json};

use super::many::run_concurrently;
use super::pages::{RETRIED_STATUSES, read_change_filter};
use super::problem::Problem;
use super::{Answer, Producer};
use crate::aws::jobs::ChangeOutcome;
use crate::clock::now;
use crate::domain::batch::filter::Filter;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::Status;
use crate::domain::limits::{CHANGE_PAGE, CHANGE_TIME, NOT_RETRIED_LISTED_MAX, RETRY_REQUEST_TIME};
use crate::domain::message::control::{BatchRetry, Control};

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

    /// `POST /jobs/{job_id}/retry`: retries a failed job, or an unfinished one whose message may
    /// be lost.
    pub(super) async fn retry_job(&self, job_id: &JobId) -> Result<Answer, Problem> {
        let row = self.jobs.get(job_id).await?.ok_or_else(Problem::no_such_job)?;
        if let Some(batch_id) = &row.batch_id {
            self.check_not_cancelled(batch_id).await?;
        }
        match self.requeue.retry(&row, now()).await?.refusal() {
            None => Ok(Answer::json(202, json!({"job_id": job_id, "status": Status::Pending}))),
            Some(reason) => Err(Problem::invalid_state(Some(job_id), reason)),
        }
    }

    /// `POST /batches/{batch_id}/retry`: retries the batch's jobs that match the query's filter,
    /// by default all failed ones.
    ///
    /// After [`RETRY_REQUEST_TIME`], the consumer retries the remaining jobs, and the answer
    /// has `continues`.
    pub(super) async fn retry_batch(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let filter = read_change_filter(request, &RETRIED_STATUSES)?;
        self.check_batch_exists(batch_id).await?;
        self.check_not_cancelled(batch_id).await?;
        let (asked_at, until) = (now(), now() + RETRY_REQUEST_TIME);
        let (mut retried, mut not_retried, mut cursor) = (0, Vec::new(), None);
        let continues = loop {
            let page = self.requeue.retry_page(batch_id, &filter, cursor, asked_at, until).await?;
            retried += page.retried;
            not_retried.extend(page.not_retried);
            cursor = page.next;
            if cursor.is_none() {
                break false;
            }
            if now() >= until {
                let next = BatchRetry { batch_id: batch_id.clone(), filter, cursor, asked_at };
                self.requeue.queue.send_control(&Control::Retry(next), Duration::ZERO).await?;
                break true;
            }
        };
        not_retried.truncate(NOT_RETRIED_LISTED_MAX);
        let not_retried = not_retried.into_iter().map(|(job_id, detail)| json!({"job_id": job_id, "detail": detail}));
        let not_retried: Vec<Value> = not_retried.collect();
        let body =
            json!({"batch_id": batch_id, "retried": retried, "not_retried": not_retried, "continues": continues});
        Ok(Answer::json(202, body))
    }

    /// Cancels the unfinished jobs of a batch that match a filter. The batch itself is not
    /// cancelled. Returns whether jobs remain.
    pub(super) async fn cancel_matching(&self, batch_id: &BatchId, filter: &Filter) -> Result<bool, Problem> {
        let (mut cursor, until) = (None, Instant::now() + CHANGE_TIME);
        loop {
            let page = self.jobs.get_page(batch_id, filter, cursor, CHANGE_PAGE).await?;
            let rows = self.jobs.get_many_without_results(&page.job_ids).await?;
            let rows = rows.into_iter().filter(|row| filter.matches(row));
            let cancelled = rows
                .map(|row| async move { self.jobs.cancel(&row.job_id, now()).await.map_err(Problem::from) }.boxed());
            run_concurrently(cancelled.collect()).await?;
            cursor = page.next;
            if cursor.is_none() || Instant::now() >= until {
                return Ok(cursor.is_some());
            }
        }
    }

    /// Checks that a batch takes jobs. A batch that is not stored does.
    pub(super) async fn check_not_cancelled(&self, batch_id: &BatchId) -> Result<(), Problem> {
        match self.jobs.get_batch(batch_id).await? {
            Some(batch) if batch.cancelled_at.is_some() => Err(Problem::batch_cancelled()),
            _ => Ok(()),
        }
    }
}
