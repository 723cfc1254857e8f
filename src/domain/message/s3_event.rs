//! An S3 event as a queue message: every new document in the bucket becomes a job.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::child::child_name;
use super::submitted::parse_submitted_key;
use crate::domain::document::location::S3Location;
use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::json::{self, JsonError};
use crate::domain::limits::{BUCKET_MAX_BYTES, ID_MAX_BYTES, KEY_MAX_BYTES};

/// The prefix of direct uploads: `uploads/<name>`, or `uploads/<batch>/<name>`.
pub const UPLOADS_PREFIX: &str = "uploads/";
/// The prefix of presigned uploads: `incoming/<job_id>/<name>`.
pub const INCOMING_PREFIX: &str = "incoming/";
/// The prefix of presigned uploads with high priority:
/// `incoming-high/<job_id>/<name>`.
pub const INCOMING_HIGH_PREFIX: &str = "incoming-high/";

/// The content of an S3 event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Event {
    /// No new document: a test event, a folder or a deletion.
    Nothing,
    /// One new object.
    Upload(Upload),
    /// Several records: one S3 event per record, as message bodies.
    Several(Vec<String>),
}

/// A new object and its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The job's identifier. It is derived from bucket, key and version, so a redelivered
    /// S3 event is the same job, and a new version is a new job. A presigned upload and
    /// a document of the command line have the id in their key.
    pub job_id: JobId,
    /// The batch that the object's folder names.
    pub batch_id: Option<BatchId>,
    /// The priority that the object's prefix names.
    pub priority: Option<Priority>,
    /// The location of the object.
    pub location: S3Location,
}

/// The name of an uploaded document, or of a document inside one: its key without the
/// prefix. `None` for other keys.
pub fn uploaded_name(key: &str) -> Option<&str> {
    if let Some(submitted) = parse_submitted_key(key) {
        return Some(submitted.path);
    }
    if let Some(name) = child_name(key) {
        return Some(name);
    }
    let presigned = key.strip_prefix(INCOMING_PREFIX).or_else(|| key.strip_prefix(INCOMING_HIGH_PREFIX));
    match presigned {
        Some(rest) => rest.split_once('/').map(|(_, name)| name),
        None => key.strip_prefix(UPLOADS_PREFIX),
    }
}

/// The key of a presigned upload for a job.
pub fn incoming_key(job_id: &JobId, priority: Priority, name: &str) -> String {
    let prefix = match priority {
        Priority::Normal => INCOMING_PREFIX,
        Priority::High => INCOMING_HIGH_PREFIX,
    };
    format!("{prefix}{job_id}/{name}")
}

/// Whether a body is an S3 event, and not the body of a job.
pub fn is_s3_event(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        job_id: Option<IgnoredAny>,
        #[serde(rename = "Records")]
        records: Option<IgnoredAny>,
        #[serde(rename = "Event")]
        event: Option<Value>,
    }
    // This check avoids parsing the JSON of most bodies.
    if !body.contains("\"Records\"") && !body.contains("s3:TestEvent") {
        return false;
    }
    let is_test = |event: Value| event == "s3:TestEvent";
    json::read::<Probe>(body)
        .is_ok_and(|probe| probe.job_id.is_none() && (probe.records.is_some() || probe.event.is_some_and(is_test)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    s3: Entity,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    version_id: Option<String>,
    sequencer: Option<String>,
    e_tag: Option<String>,
}

/// Reads an S3 event.
///
/// `own_bucket` is the stack's documents bucket. A key reserves a job id only there: an
/// object of another bucket gets a separate id.
///
/// # Errors
/// [`JsonError`], which names the field and contains no value.
pub fn parse(body: &str, own_bucket: &str) -> Result<S3Event, JsonError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "Records", default)]
        records: Vec<Value>,
    }
    let mut records = json::read::<Body>(body)?.records;
    if records.len() > 1 {
        let bodies = records.into_iter().map(|record| json!({"Records": [record]}).to_string()).collect();
        return Ok(S3Event::Several(bodies));
    }
    match records.pop() {
        Some(record) => parse_record(&record.to_string(), own_bucket),
        None => Ok(S3Event::Nothing),
    }
}

fn parse_record(record: &str, own_bucket: &str) -> Result<S3Event, JsonError> {
    let Record { event_name, s3 } = json::read(record)?;
    let is_new = event_name.strip_prefix("s3:").unwrap_or(&event_name).starts_with("ObjectCreated:");
    let key = decode_key(&s3.object.key)?;
    if !is_new || key.ends_with('/') {
        return Ok(S3Event::Nothing);
    }
    let check_length = |field: &str, text: &str, limit: usize| match text.len() {
        len if len == 0 || len > limit => {
            Err(JsonError::shape(field, format!("must have 1 to {limit} bytes; it has {len}")))
        }
        _ => Ok(()),
    };
    check_length("s3.bucket.name", &s3.bucket.name, BUCKET_MAX_BYTES)?;
    check_length("s3.object.key", &key, KEY_MAX_BYTES)?;
    let version_id = s3.object.version_id.filter(|id| !id.is_empty());
    version_id.iter().try_for_each(|id| check_length("s3.object.versionId", id, KEY_MAX_BYTES))?;
    // In a bucket without versions, the sequencer distinguishes two writes of one key.
    let version = version_id.as_deref().or(s3.object.sequencer.as_deref()).or(s3.object.e_tag.as_deref());
    let own_key = (s3.bucket.name == own_bucket).then_some(&*key);
    let (job_id, batch_id, priority) = match (own_key.and_then(parse_submitted_key), own_key.and_then(presigned_job_id))
    {
        (Some(key), _) => (key.job_id, Some(key.batch_id), Some(key.priority)),
        (None, Some(job_id)) => (job_id, None, None),
        (None, None) => {
            let folder = key.strip_prefix(UPLOADS_PREFIX).and_then(|rest| rest.split_once('/'));
            let batch_id = folder.and_then(|(folder, _)| folder_batch_id(folder));
            (derive_job_id(&s3.bucket.name, &key, version.unwrap_or_default())?, batch_id, None)
        }
    };
    Ok(S3Event::Upload(Upload {
        job_id,
        batch_id,
        priority,
        location: S3Location { bucket: s3.bucket.name, key: key.into_owned(), version_id, sha256: None },
    }))
}

/// Decodes a key. S3 encodes keys like form fields: a space as `+`, and other characters
/// with `%`.
fn decode_key(key: &str) -> Result<Cow<'_, str>, JsonError> {
    let spaced = key.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(key) => Ok(Cow::Owned(key.into_owned())),
        Err(_) => Err(JsonError::shape("s3.object.key", "must be URL-encoded UTF-8")),
    }
}

/// The job in the key of a presigned upload; `None` for other keys.
fn presigned_job_id(key: &str) -> Option<JobId> {
    let rest = key.strip_prefix(INCOMING_PREFIX).or_else(|| key.strip_prefix(INCOMING_HIGH_PREFIX))?;
    rest.split_once('/')?.0.parse().ok()
}

fn derive_job_id(bucket: &str, key: &str, version: &str) -> Result<JobId, JsonError> {
    let named = sha256_hex(format!("{bucket}\0{key}\0{version}").as_bytes());
    format!("s3-{}", &named[..40]).parse().map_err(|_| JsonError::shape(".", "has no valid job id"))
}

/// The batch of a folder.
///
/// A folder name that is no valid batch id is converted: `-` replaces each invalid
/// character. The appended start of the name's hash keeps folders apart.
fn folder_batch_id(folder: &str) -> Option<BatchId> {
    if let Ok(batch_id) = folder.parse() {
        return Some(batch_id);
    }
    if folder.is_empty() {
        return None;
    }
    let kept = |c: char| if c.is_ascii_alphanumeric() || ".-_:".contains(c) { c } else { '-' };
    let hash = &sha256_hex(folder.as_bytes())[..8];
    let plain: String = folder.chars().map(kept).take(ID_MAX_BYTES - hash.len() - 1).collect();
    format!("{plain}-{hash}").parse().ok()
}

#[cfg(test)]
mod tests;
