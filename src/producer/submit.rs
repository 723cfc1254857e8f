//! Submits a job: stores the document, creates the stored job, sends the message, and
//! only then answers 202.

use lambda_http::Request;
use serde_json::json;

use super::problem::Problem;
use super::request::{Submission, SubmittedWork};
use super::{Answer, Producer};
use crate::aws::Unavailable;
use crate::aws::jobs::{Created, NewJob};
use crate::clock::now;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::ids::JobId;
use crate::domain::job::stored::Status;
use crate::domain::job::stranded::may_lack_message;
use crate::domain::job::work_id::{async_work_id, text_work_id};
use crate::domain::message::body::{MESSAGE_VERSION, MessageBody};
use crate::metrics::table;

impl Producer {
    /// `POST /jobs`.
    pub(super) async fn submit_job(&self, request: &Request, path: &str) -> Result<Answer, Problem> {
        let submission = Submission::from_request(request, &self.allowed)?;
        if let Some(batch_id) = &submission.batch_id {
            self.check_not_cancelled(batch_id).await?;
        }
        let (job_id, status) = self.accept_job(submission).await?;
        let body = json!({"job_id": job_id, "status": status});
        Ok(Answer::json(202, body).with_header("location", format!("{}/{job_id}", path.trim_end_matches('/'))))
    }

    /// Accepts one job, and returns its status.
    ///
    /// Each step may be repeated:
    ///
    /// - The key of the document contains the request's hash, so that no other request
    ///   overwrites the document.
    /// - The stored job is created once.
    /// - A repeated message finds its job finished, or waits for its backoff. None is sent while
    ///   the job has a recent one.
    pub(super) async fn accept_job(&self, submission: Submission) -> Result<(JobId, Status), Problem> {
        let accepted = self.try_accept_job(submission).await?;
        self.meter.add(table::JOBS_ACCEPTED, 1);
        Ok(accepted)
    }

    async fn try_accept_job(&self, submission: Submission) -> Result<(JobId, Status), Problem> {
        let job_id = submission.job_id.clone();
        let unavailable = |error| Problem::unavailable(&error, Some(&job_id));
        let request_hash = submission.hash();
        if submission.is_repeatable {
            // Checked before the document is stored: a conflicting request stores nothing.
            let row = self.jobs.get(&job_id).await.map_err(unavailable)?;
            if row.is_some_and(|row| row.request_hash.as_deref() != Some(&request_hash)) {
                return Err(Problem::conflict(&job_id));
            }
        }
        let Submission { work, priority, batch_id, analysis, metadata, .. } = submission;
        let work_id = match &work {
            SubmittedWork::Document { sha256, .. } => text_work_id(sha256),
            SubmittedWork::AsyncInvocation(request) => async_work_id(request),
        };
        let key = format!("documents/{job_id}/{request_hash}");
        let stored = self.store_work(work, &key).await.map_err(unavailable)?;
        let mut body = MessageBody {
            version: MESSAGE_VERSION,
            job_id: job_id.clone(),
            document: None,
            document_s3: stored.document_s3,
            async_invoke: stored.async_invoke,
            batch_id: batch_id.clone(),
            analysis,
            model_id: None,
            metadata: metadata.clone(),
        };
        let new = NewJob {
            job_id: job_id.clone(),
            batch_id,
            priority,
            analysis: body.analysis.clone(),
            metadata,
            document: stored.document,
            async_request: stored.async_request,
            work_id,
            request_hash: request_hash.clone(),
        };
        let stored = match self.jobs.create(new, now()).await.map_err(unavailable)? {
            Created::New => {
                self.queue.send(&body, priority, None).await.map_err(unavailable)?;
                return Ok((job_id, Status::Pending));
            }
            Created::Existing(row) if row.request_hash.as_deref() != Some(&request_hash) => {
                return Err(Problem::conflict(&job_id));
            }
            Created::Existing(row) => {
                body.document_s3 = row.document.location().or(body.document_s3);
                *row
            }
        };
        if may_lack_message(&stored, now()) {
            self.queue.send(&body, priority, None).await.map_err(unavailable)?;
            self.jobs.mark_resent(&stored, now()).await.map_err(unavailable)?;
        }
        Ok((job_id, stored.state.status()))
    }

    /// Stores the document or the asynchronous request under `key` and its ending, for
    /// the first attempt and for retries.
    async fn store_work(&self, work: SubmittedWork, key: &str) -> Result<Stored, Unavailable> {
        match work {
            SubmittedWork::Document { text, sha256 } => {
                let size_bytes = text.len();
                let at = self.documents.store(&self.bucket, &format!("{key}.txt"), text, sha256).await?;
                let document = DocumentRecord::stored(&at, size_bytes);
                Ok(Stored { document_s3: Some(at), document: Some(document), ..Stored::default() })
            }
            SubmittedWork::AsyncInvocation(request) => {
                let at = self.objects.store(&format!("{key}.json"), &json!(request)).await?;
                Ok(Stored { async_invoke: Some(request), async_request: Some(at), ..Stored::default() })
            }
        }
    }
}

/// The fields of the message and of the stored job that describe the work.
#[derive(Default)]
struct Stored {
    document_s3: Option<S3Location>,
    async_invoke: Option<AsyncInvoke>,
    document: Option<DocumentRecord>,
    async_request: Option<S3Location>,
}
