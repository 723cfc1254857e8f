//! Creates a job whose document the caller uploads to S3 afterwards.

use lambda_http::Request;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::request::{KeyScope, check_analysis, choose_job_id, idempotency_key, job_id_of_key, read_body};
use super::{Answer, Producer};
use crate::aws::jobs::{Created, NewJob};
use crate::clock::now;
use crate::domain::analysis::AnalysisRequest;
use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::Status;
use crate::domain::job::work_id::upload_work_id;
use crate::domain::json;
use crate::domain::limits::{FILE_NAME_MAX_BYTES, UPLOAD_TIME};
use crate::domain::message::body::check_metadata;
use crate::domain::message::s3_event::incoming_key;

#[derive(Deserialize)]
struct Fields {
    filename: String,
    size: usize,
    job_id: Option<JobId>,
    priority: Option<Priority>,
    batch_id: Option<BatchId>,
    #[serde(default, deserialize_with = "json::object_or_null")]
    analysis: Option<AnalysisRequest>,
    metadata: Option<Map<String, Value>>,
}

impl Producer {
    /// `POST /uploads`: creates a `pending` job, and returns a presigned upload.
    ///
    /// The job waits until S3 sends the event of the uploaded document. A repeated
    /// request returns another presigned upload, as long as the job waits.
    pub(super) async fn create_upload(&self, request: &Request, path: &str) -> Result<Answer, Problem> {
        let fields: Fields = json::read_strictly(read_body(request)?)?;
        check_file(&fields, self.upload_max_bytes)?;
        check_analysis(fields.analysis.as_ref(), &self.allowed)?;
        let Fields { filename, size, job_id, priority, batch_id, analysis, metadata } = fields;
        let priority = priority.unwrap_or_default();
        let content = json!(["upload", filename, size, priority, batch_id, analysis, metadata]).to_string();
        let request_hash = sha256_hex(content.as_bytes());
        let of_key = idempotency_key(request)?.map(|key| job_id_of_key(&KeyScope::Uploads, &key));
        let job_id = choose_job_id(job_id, of_key)?;
        let unavailable = |error| Problem::unavailable(&error, Some(&job_id));
        if let Some(batch_id) = &batch_id {
            self.check_not_cancelled(batch_id).await?;
        }
        let key = incoming_key(&job_id, priority, &filename);
        let new = NewJob {
            job_id: job_id.clone(),
            batch_id,
            priority,
            analysis,
            metadata,
            document: None,
            async_request: None,
            work_id: upload_work_id(&self.bucket, &key),
            request_hash: request_hash.clone(),
        };
        match self.jobs.create(new, now()).await.map_err(unavailable)? {
            Created::New => {}
            Created::Existing(row) if row.request_hash.as_deref() != Some(&request_hash) => {
                return Err(Problem::conflict(&job_id));
            }
            Created::Existing(row) if row.attempt == 0 && row.state.status() == Status::Pending => {
                self.jobs.renew_upload(&row, now()).await.map_err(unavailable)?;
            }
            Created::Existing(row) => {
                let status = row.state.status().as_str();
                let detail = format!("the job is {status} and accepts no upload any more; use another job_id or key");
                return Err(Problem::invalid_state(Some(&job_id), detail));
            }
        }
        let presigned = self.uploads.presign(&key, size, UPLOAD_TIME).await.map_err(unavailable)?;
        let body = json!({
            "job_id": job_id,
            "status": Status::Pending,
            "upload": {
                "method": "PUT",
                "url": presigned.url,
                "headers": presigned.headers,
                "expires_at": now() + UPLOAD_TIME,
            },
        });
        let jobs = path.trim_end_matches('/').trim_end_matches("/uploads");
        Ok(Answer::json(201, body).with_header("location", format!("{jobs}/jobs/{job_id}")))
    }
}

fn check_file(fields: &Fields, max_bytes: usize) -> Result<(), Problem> {
    let name = &fields.filename;
    if name.is_empty() || name.len() > FILE_NAME_MAX_BYTES {
        let detail = format!("`filename` must have 1 to {FILE_NAME_MAX_BYTES} bytes; it has {}", name.len());
        return Err(Problem::invalid("filename", detail));
    }
    if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') || name == "." || name == ".." {
        return Err(Problem::invalid(
            "filename",
            "`filename` must be a name without path separators and control characters, and not `.` or `..`",
        ));
    }
    if fields.size == 0 {
        return Err(Problem::invalid("size", format!("`size` must be between 1 and {max_bytes} bytes; it is 0")));
    }
    if fields.size > max_bytes {
        let detail = format!("`size` must be between 1 and {max_bytes} bytes; it is {}", fields.size);
        return Err(Problem::too_large(Some("size"), detail));
    }
    Ok(fields.metadata.iter().try_for_each(check_metadata)?)
}
