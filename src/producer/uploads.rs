//! `POST /uploads`: a job whose document is still to come, and where to put it.

use lambda_http::Request;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::request::{body, check_analysis, idempotency_key, new_id};
use super::{Answer, Producer};
use crate::aws::jobs::{Created, NewJob};
use crate::clock::now;
use crate::domain::analysis::AnalysisRequest;
use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::Status;
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
    /// The row waits, `pending`, until the bucket tells of the document. The
    /// same request again gives another place to put it, until it has come.
    pub(super) async fn upload(&self, request: &Request, path: &str) -> Result<Answer, Problem> {
        let fields: Fields = json::read_strictly(body(request)?)?;
        check(&fields, self.upload_max_bytes)?;
        check_analysis(fields.analysis.as_ref(), &self.allowed.of_analyses)?;
        let Fields { filename, size, job_id, priority, batch_id, analysis, metadata } = fields;
        let priority = priority.unwrap_or_default();
        let asked = json!(["upload", filename, size, priority, batch_id, analysis, metadata]).to_string();
        let request_hash = sha256_hex(asked.as_bytes());
        let job_id = new_id(job_id, idempotency_key(request)?)?;
        let unavailable = |error| Problem::unavailable(&error, Some(&job_id));
        let (job, hash) = (job_id.clone(), request_hash.clone());
        let new = NewJob {
            job_id: job,
            batch_id,
            priority,
            analysis,
            metadata,
            document: None,
            async_request: None,
            request_hash: hash,
        };
        match self.jobs.create(new, now()).await.map_err(unavailable)? {
            Created::New => {}
            Created::Existing(row) if row.request_hash.as_deref() != Some(&request_hash) => {
                return Err(Problem::conflict(&job_id));
            }
            Created::Existing(row) if row.attempt == 0 && row.state.status() == Status::Pending => {}
            Created::Existing(row) => {
                let detail = format!("the document has come, and the job is {}", row.state.status().as_str());
                return Err(Problem::invalid_state(Some(&job_id), detail));
            }
        }
        let key = incoming_key(&job_id, priority, &filename);
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
        Ok(Answer::json(201, body).with("location", format!("{jobs}/jobs/{job_id}")))
    }
}

fn check(fields: &Fields, max_bytes: usize) -> Result<(), Problem> {
    let name = &fields.filename;
    if name.is_empty() || name.len() > FILE_NAME_MAX_BYTES {
        let detail = format!("has {} bytes; 1 to {FILE_NAME_MAX_BYTES} it may", name.len());
        return Err(Problem::invalid("filename", detail));
    }
    if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') || name == "." || name == ".." {
        return Err(Problem::invalid("filename", "must be a name without a path or control characters"));
    }
    if fields.size == 0 {
        return Err(Problem::invalid("size", "is 0; the document has nothing in it to analyse"));
    }
    if fields.size > max_bytes {
        return Err(Problem::too_large("size", format!("is {} bytes; {max_bytes} is the limit", fields.size)));
    }
    Ok(fields.metadata.iter().try_for_each(check_metadata)?)
}
