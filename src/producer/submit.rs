//! A new job: the document into the bucket, the row into the table, the message
//! into the queue, and then 202.

use lambda_http::Request;
use serde_json::json;

use super::problem::Problem;
use super::request::{Submission, Submitted};
use super::{Answer, Producer};
use crate::aws::Unavailable;
use crate::aws::jobs::{Created, NewJob};
use crate::clock::now;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::ids::JobId;
use crate::domain::job::stored::Status;
use crate::domain::message::body::MessageBody;

impl Producer {
    /// Each step may be repeated: the document lies under a name made of its
    /// request's hash, so that another request never overwrites it; the row is
    /// made once; and a message too many finds its job done.
    pub(super) async fn submit(&self, request: &Request, path: &str) -> Result<Answer, Problem> {
        let submission = Submission::read(request, &self.allowed)?;
        let (job_id, status) = self.accept(submission).await?;
        let body = json!({"job_id": job_id, "status": status});
        Ok(Answer::json(202, body).with("location", format!("{}/{job_id}", path.trim_end_matches('/'))))
    }

    /// Takes one job; how it stands then.
    pub(super) async fn accept(&self, submission: Submission) -> Result<(JobId, Status), Problem> {
        let job_id = submission.job_id.clone();
        let unavailable = |error| Problem::unavailable(&error, Some(&job_id));
        let request_hash = submission.hash();
        if submission.is_repeatable {
            // Before anything is stored: another's key keeps this document out.
            let row = self.jobs.get(&job_id).await.map_err(unavailable)?;
            if row.is_some_and(|row| row.request_hash.as_deref() != Some(&request_hash)) {
                return Err(Problem::conflict(&job_id));
            }
        }
        let Submission { work, priority, batch_id, analysis, metadata, .. } = submission;
        let place = format!("documents/{job_id}/{request_hash}");
        let stored = self.store(work, &place).await.map_err(unavailable)?;
        let mut body = MessageBody {
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
            request_hash: request_hash.clone(),
        };
        let status = match self.jobs.create(new, now()).await.map_err(unavailable)? {
            Created::New => Status::Pending,
            Created::Existing(row) if row.request_hash.as_deref() != Some(&request_hash) => {
                return Err(Problem::conflict(&job_id));
            }
            Created::Existing(row) => {
                body.document_s3 = row.document.location().or(body.document_s3);
                row.state.status()
            }
        };
        if status == Status::Pending {
            self.queue.send(&body, priority, None).await.map_err(unavailable)?;
        }
        Ok((job_id, status))
    }

    /// Stores what a job needs again when it is tried again.
    async fn store(&self, work: Submitted, place: &str) -> Result<Stored, Unavailable> {
        match work {
            Submitted::Document { text, sha256 } => {
                let size_bytes = text.len();
                let at = self.documents.store(&self.bucket, &format!("{place}.txt"), text, sha256).await?;
                let document = DocumentRecord::stored(&at, size_bytes);
                Ok(Stored { document_s3: Some(at), document: Some(document), ..Stored::default() })
            }
            Submitted::AsyncInvocation(request) => {
                let at = self.objects.store(&format!("{place}.json"), &json!(request)).await?;
                Ok(Stored { async_invoke: Some(request), async_request: Some(at), ..Stored::default() })
            }
        }
    }
}

/// What the message says of a job's work, and what the row keeps of it.
#[derive(Default)]
struct Stored {
    document_s3: Option<S3Location>,
    async_invoke: Option<AsyncInvoke>,
    document: Option<DocumentRecord>,
    async_request: Option<S3Location>,
}
