//! A new job: the document into the bucket, the row into the table, the message
//! into the queue, and then 202.

use lambda_http::Request;
use serde_json::json;

use super::problem::Problem;
use super::request::Submission;
use super::{Answer, Producer};
use crate::aws::jobs::{Created, NewJob};
use crate::clock::now;
use crate::domain::document::DocumentRecord;
use crate::domain::ids::JobId;
use crate::domain::job::S3Location;
use crate::domain::message::MessageBody;
use crate::domain::row::{Row, Status};

impl Producer {
    /// Each step may be repeated: the document lies under a name made of its
    /// request's hash, so that another request never overwrites it; the row is
    /// made once; and a message too many finds its job done.
    pub(super) async fn submit(&self, request: &Request, path: &str) -> Result<Answer, Problem> {
        let submission = Submission::read(request, &self.allowed_model_ids)?;
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
        let size_bytes = submission.text.len() as u64;
        let key = format!("documents/{job_id}/{request_hash}.txt");
        let Submission { text, priority, batch_id, analysis, metadata, sha256, .. } = submission;
        let location = self.documents.store(&self.bucket, &key, text, sha256).await.map_err(unavailable)?;
        let document = DocumentRecord {
            bucket: Some(location.bucket.clone()),
            key: Some(location.key.clone()),
            version_id: location.version_id.clone(),
            size_bytes: Some(size_bytes),
            sha256: location.sha256.clone(),
        };
        let mut body = MessageBody {
            job_id: job_id.clone(),
            document: None,
            document_s3: Some(location),
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
            document: Some(document),
            request_hash: request_hash.clone(),
        };
        let status = match self.jobs.create(new, now()).await.map_err(unavailable)? {
            Created::New => Status::Pending,
            Created::Existing(row) if row.request_hash.as_deref() != Some(&request_hash) => {
                return Err(Problem::conflict(&job_id));
            }
            Created::Existing(row) => {
                body.document_s3 = location_of(&row).or(body.document_s3);
                row.state.status()
            }
        };
        if status == Status::Pending {
            self.queue.send(&body, priority).await.map_err(unavailable)?;
        }
        Ok((job_id, status))
    }
}

/// Where a job's document lies, if it lies in a bucket.
pub(super) fn location_of(row: &Row) -> Option<S3Location> {
    let DocumentRecord { bucket, key, version_id, sha256, .. } = row.document.clone();
    Some(S3Location { bucket: bucket?, key: key?, version_id, sha256 })
}
