//! `GET /jobs/{job_id}/document`: a presigned URL of the job's document.

use serde_json::json;

use super::problem::Problem;
use super::{Answer, Producer};
use crate::clock::now;
use crate::domain::document::download::Download;
use crate::domain::ids::JobId;
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::limits::DOWNLOAD_TIME;
use crate::domain::message::s3_event::uploaded_name;

impl Producer {
    /// Presigns the download of a job's document. The right to call this operation is enough:
    /// the caller needs no right to the bucket.
    ///
    /// The answer is no redirect, because a client that follows one may send its signature
    /// for the API along, and S3 rejects a request with two signatures.
    pub(super) async fn get_document(&self, job_id: &JobId) -> Result<Answer, Problem> {
        let row = self.jobs.get(job_id).await?.ok_or_else(Problem::no_such_job)?;
        let Some(location) = row.document.location() else { return Err(without_document(&row)) };
        if location.bucket != self.bucket {
            let detail = "the document is in a bucket of its producer; read it there";
            return Err(Problem::no_such_document(job_id, detail));
        }
        let submitted = format!("{job_id}.txt");
        let download = Download::new(uploaded_name(&location.key).unwrap_or(&submitted));
        let expires_at = now() + DOWNLOAD_TIME;
        let presigned = self.downloads.presign(&location, &download, DOWNLOAD_TIME).await?;
        let presigned = presigned.ok_or_else(|| {
            Problem::no_such_document(job_id, "the document is not in the bucket any more, or was deleted")
        })?;
        let body = json!({
            "job_id": job_id,
            "name": download.name,
            "content_type": download.content_type,
            "size_bytes": presigned.size_bytes,
            "url": presigned.url,
            "expires_at": expires_at,
        });
        Ok(Answer::json(200, body))
    }
}

/// The problem of a job whose document is not in a bucket.
fn without_document(row: &StoredJob) -> Problem {
    if row.async_request.is_some() {
        return Problem::no_such_document(&row.job_id, "the job is an asynchronous invocation, which has no document");
    }
    // A worker claims a job of a queue message at once; only an upload is stored before.
    if row.attempt == 0 && row.state.status() == Status::Pending {
        let detail = "the document is not uploaded yet; use the URL of POST /uploads";
        return Problem::invalid_state(Some(&row.job_id), detail);
    }
    let detail = "the document came inside a queue message, and is not stored";
    Problem::no_such_document(&row.job_id, detail)
}
