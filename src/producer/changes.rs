//! Cancel a job, or try a failed one again: one job, or all failed ones of a
//! batch.

use std::time::Instant;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::many::run_concurrently;
use super::problem::Problem;
use super::{Answer, Producer};
use crate::aws::Unavailable;
use crate::aws::jobs::Changed;
use crate::clock::now;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::batch::cursor::Select;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::limits::{CHANGE_TIME, PAGE_MAX};
use crate::domain::message::body::MessageBody;

impl Producer {
    /// `DELETE /jobs/{job_id}`.
    pub(super) async fn cancel(&self, job_id: &JobId) -> Result<Answer, Problem> {
        match self.jobs.cancel(job_id, now()).await? {
            Changed::Done(row) => Ok(Answer::json(200, self.load_result(*row).await?)),
            Changed::Otherwise(row) if row.state.status() == Status::Cancelled => {
                Ok(Answer::json(200, self.load_result(*row).await?))
            }
            Changed::Otherwise(row) => {
                let detail = format!("the job is {} and has nothing left to cancel", row.state.status().as_str());
                Err(Problem::invalid_state(Some(job_id), detail))
            }
            Changed::Unknown => Err(Problem::no_such_job()),
        }
    }

    /// `POST /jobs/{job_id}/retry`.
    pub(super) async fn retry(&self, job_id: &JobId) -> Result<Answer, Problem> {
        let row = self.jobs.get(job_id).await?.ok_or_else(Problem::no_such_job)?;
        if let Some(batch_id) = &row.batch_id {
            self.not_cancelled(batch_id).await?;
        }
        self.retry_stored_job(row).await?;
        Ok(Answer::json(202, json!({"job_id": job_id, "status": Status::Pending})))
    }

    /// `POST /batches/{batch_id}/retry`: every failed job of it whose document
    /// lies in the bucket. What one request has no time for is left for the same
    /// request again: `has_more`.
    pub(super) async fn retry_batch(&self, batch_id: &BatchId) -> Result<Answer, Problem> {
        self.not_cancelled(batch_id).await?;
        let (mut retried, mut not_retried) = (0, Vec::new());
        let (mut cursor, until) = (None, Instant::now() + CHANGE_TIME);
        let has_more = loop {
            let failed = Select::Only(Status::Failed);
            let page = self.jobs.page(batch_id, failed, cursor, PAGE_MAX).await?;
            let ids: Vec<JobId> = page.entries.into_iter().map(|entry| entry.job_id).collect();
            let rows = self.jobs.get_many_without_results(&ids).await?;
            let answers = rows.into_iter().map(|row| self.retry_or_say_why(row).boxed());
            for answer in run_concurrently(answers.collect()).await? {
                match answer {
                    Some(reason) => not_retried.push(reason),
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

    async fn not_cancelled(&self, batch_id: &BatchId) -> Result<(), Problem> {
        match self.jobs.batch(batch_id).await? {
            Some(batch) if batch.cancelled_at.is_some() => {
                Err(Problem::invalid_state(None, "the batch is cancelled; send its documents as another batch"))
            }
            _ => Ok(()),
        }
    }

    /// `None`, or what keeps this job from being tried again.
    async fn retry_or_say_why(&self, row: StoredJob) -> Result<Option<Value>, Problem> {
        let job_id = row.job_id.clone();
        match self.retry_stored_job(row).await {
            Err(problem) if problem.status == 409 => Ok(Some(json!({"job_id": job_id, "detail": problem.detail}))),
            other => other.map(|()| None),
        }
    }

    /// The message first, as the redrive of the failed attempt, then the row: a
    /// worker takes the job by either, and what is broken off between the two
    /// has lost nothing.
    async fn retry_stored_job(&self, row: StoredJob) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::invalid_state(Some(&row.job_id), detail));
        let document_s3 = row.document.location();
        let async_invoke = self.async_request(&row).await?;
        if document_s3.is_none() && async_invoke.is_none() {
            return refused(
                "the job's document is not in the bucket: if it came in a queue message, redrive that from the \
                 dead-letter queue; if it is an upload, upload it"
                    .to_owned(),
            );
        }
        let redrive_of = match row.state.status() {
            Status::Failed => Some(row.attempt),
            Status::Pending => None,
            other => return refused(format!("the job is {}; only a failed one is tried again", other.as_str())),
        };
        let body = MessageBody {
            job_id: row.job_id.clone(),
            document: None,
            document_s3,
            async_invoke,
            batch_id: row.batch_id,
            analysis: None,
            model_id: None,
            metadata: None,
        };
        self.queue.send(&body, row.priority, redrive_of).await?;
        if let Some(attempt) = redrive_of {
            // Refused when a worker was faster, which is as good.
            self.jobs.retry(&row.job_id, attempt, now()).await?;
        }
        Ok(())
    }

    /// What a job asked of a long-running model, if it came by the API.
    async fn async_request(&self, row: &StoredJob) -> Result<Option<AsyncInvoke>, Problem> {
        let Some(at) = &row.async_request else { return Ok(None) };
        let request = self.objects.load(at).await?;
        let unreadable =
            |_| Problem::from(Unavailable { service: "s3:GetObject", code: "UnreadableRequest".to_owned() });
        serde_json::from_value(request).map(Some).map_err(unreadable)
    }
}
