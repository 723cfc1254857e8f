//! A bucket's event notification as a queue message: an upload is a job.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::domain::document::location::S3Location;
use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::json::{self, JsonError};
use crate::domain::limits::{BUCKET_MAX_BYTES, ID_MAX_BYTES, KEY_MAX_BYTES};

/// Where people put files: `uploads/<name>`, or `uploads/<batch>/<name>`.
pub const UPLOADS_PREFIX: &str = "uploads/";
/// Where presigned uploads go: `incoming/<job_id>/<name>`.
pub const INCOMING_PREFIX: &str = "incoming/";
/// Where urgent presigned uploads go: `incoming-high/<job_id>/<name>`.
pub const INCOMING_HIGH_PREFIX: &str = "incoming-high/";

/// What a notification asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Event {
    /// Nothing: a bucket's test event, a folder, a deletion.
    Nothing,
    /// One new object.
    Upload(Upload),
    /// Several records: each of these bodies is a notification of one.
    Several(Vec<String>),
}

/// A new object, and the job that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Follows from bucket, key and version: the same notification again is the
    /// same job, another version is another.
    pub job_id: JobId,
    /// The batch that its folder names.
    pub batch_id: Option<BatchId>,
    /// Where it lies.
    pub location: S3Location,
}

/// What people call an object: its key without the prefix that made it a job.
/// `None` for documents that were not uploaded.
pub fn name_of(key: &str) -> Option<&str> {
    let presigned = key.strip_prefix(INCOMING_PREFIX).or_else(|| key.strip_prefix(INCOMING_HIGH_PREFIX));
    match presigned {
        Some(rest) => rest.split_once('/').map(|(_, name)| name),
        None => key.strip_prefix(UPLOADS_PREFIX),
    }
}

/// The key of a presigned upload.
pub fn incoming_key(job_id: &JobId, priority: Priority, name: &str) -> String {
    let prefix = match priority {
        Priority::Normal => INCOMING_PREFIX,
        Priority::High => INCOMING_HIGH_PREFIX,
    };
    format!("{prefix}{job_id}/{name}")
}

/// Whether a body is a notification rather than a job of its own.
pub fn is_s3_event(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        job_id: Option<IgnoredAny>,
        #[serde(rename = "Records")]
        records: Option<IgnoredAny>,
        #[serde(rename = "Event")]
        event: Option<Value>,
    }
    // Most bodies are settled by the first look.
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

/// Reads a notification.
///
/// # Errors
/// What is wrong and where, without anything of what stood there.
pub fn parse(body: &str) -> Result<S3Event, JsonError> {
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
        Some(record) => one(&record.to_string()),
        None => Ok(S3Event::Nothing),
    }
}

fn one(record: &str) -> Result<S3Event, JsonError> {
    let Record { event_name, s3 } = json::read(record)?;
    let is_new = event_name.strip_prefix("s3:").unwrap_or(&event_name).starts_with("ObjectCreated:");
    let key = decode(&s3.object.key)?;
    if !is_new || key.ends_with('/') {
        return Ok(S3Event::Nothing);
    }
    let bounded = |field: &str, text: &str, limit: usize| match text.len() {
        len if len == 0 || len > limit => Err(JsonError::shape(field, format!("has {len} bytes; 1 to {limit} it may"))),
        _ => Ok(()),
    };
    bounded("s3.bucket.name", &s3.bucket.name, BUCKET_MAX_BYTES)?;
    bounded("s3.object.key", &key, KEY_MAX_BYTES)?;
    let version_id = s3.object.version_id.filter(|id| !id.is_empty());
    version_id.iter().try_for_each(|id| bounded("s3.object.versionId", id, KEY_MAX_BYTES))?;
    // A bucket without versions tells one write from the next by its sequencer.
    let version = version_id.as_deref().or(s3.object.sequencer.as_deref()).or(s3.object.e_tag.as_deref());
    let job_id = match reserved_id(&key) {
        Some(job_id) => job_id,
        None => job_id(&s3.bucket.name, &key, version.unwrap_or_default())?,
    };
    let batch_id = key.strip_prefix(UPLOADS_PREFIX).and_then(|rest| rest.split_once('/')).map(|(folder, _)| folder);
    Ok(S3Event::Upload(Upload {
        job_id,
        batch_id: batch_id.and_then(batch_of),
        location: S3Location { bucket: s3.bucket.name, key: key.into_owned(), version_id, sha256: None },
    }))
}

/// Keys come as a form's fields do: `+` is a space, the rest is `%`-encoded.
fn decode(key: &str) -> Result<Cow<'_, str>, JsonError> {
    let spaced = key.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(key) => Ok(Cow::Owned(key.into_owned())),
        Err(_) => Err(JsonError::shape("s3.object.key", "is not UTF-8 in URL encoding")),
    }
}

/// The job whose document a presigned upload is.
fn reserved_id(key: &str) -> Option<JobId> {
    let rest = key.strip_prefix(INCOMING_PREFIX).or_else(|| key.strip_prefix(INCOMING_HIGH_PREFIX))?;
    rest.split_once('/')?.0.parse().ok()
}

fn job_id(bucket: &str, key: &str, version: &str) -> Result<JobId, JsonError> {
    let named = sha256_hex(format!("{bucket}\0{key}\0{version}").as_bytes());
    format!("s3-{}", &named[..40]).parse().map_err(|_| JsonError::shape(".", "makes no job id"))
}

/// The batch of a folder. A name that is no batch id becomes one: what may not
/// stand there turns to `-`, with a few digits of the name's hash behind, so
/// that two folders are never one batch.
fn batch_of(folder: &str) -> Option<BatchId> {
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
mod tests {
    use super::*;

    fn record(name: &str, key: &str, version: Option<&str>) -> Value {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": name,
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": "b", "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::b"},
                "object": {"key": key, "size": 7, "eTag": "e", "versionId": version, "sequencer": "0055"},
            },
        })
    }

    fn body(records: &[Value]) -> String {
        json!({ "Records": records }).to_string()
    }

    fn upload(key: &str, version: Option<&str>) -> Upload {
        let body = body(&[record("ObjectCreated:Put", key, version)]);
        assert!(is_s3_event(&body));
        match parse(&body).unwrap() {
            S3Event::Upload(upload) => upload,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_keys_url_encoding_is_read() {
        let key = |encoded: &str| upload(encoded, None).location.key;
        assert_eq!(key("uploads/my+lease+%282026%29.pdf"), "uploads/my lease (2026).pdf");
        assert_eq!(key("uploads/a%2Bb.txt"), "uploads/a+b.txt");
        assert_eq!(key("uploads/%C3%BCber/%E5%A5%91%E7%B4%84.txt"), "uploads/über/契約.txt");
        assert!(parse(&body(&[record("ObjectCreated:Put", "uploads/%FF.txt", None)])).is_err());
    }

    #[test]
    fn a_repeated_notification_is_the_same_job_and_a_new_version_another() {
        let one = upload("uploads/a.txt", Some("v1"));
        assert_eq!(one, upload("uploads/a.txt", Some("v1")));
        assert_ne!(one.job_id, upload("uploads/a.txt", Some("v2")).job_id);
        assert_ne!(one.job_id, upload("uploads/b.txt", Some("v1")).job_id);
        assert_eq!(one.location.version_id.as_deref(), Some("v1"));
        assert_eq!(upload("uploads/a.txt", None).location.version_id, None);
    }

    #[test]
    fn a_folder_is_a_batch_whatever_its_name() {
        let batch = |key: &str| upload(key, None).batch_id.map(String::from);
        assert_eq!(batch("uploads/a.txt"), None);
        assert_eq!(batch("uploads//a.txt"), None);
        assert_eq!(batch("elsewhere/x/a.txt"), None);
        assert_eq!(batch("uploads/leases-2026/north/a.txt").as_deref(), Some("leases-2026"));
        let (one, two) = (batch("uploads/my+leases/a.txt").unwrap(), batch("uploads/my%2Fleases/a.txt").unwrap());
        assert!(one.starts_with("my-leases-"), "{one}");
        assert_eq!(two, "my", "an encoded slash is a slash in a key");
        assert_ne!(one, batch("uploads/my%3Fleases/a.txt").unwrap());
        assert!(batch(&format!("uploads/{}/a", "x".repeat(500))).unwrap().len() <= ID_MAX_BYTES);
    }

    #[test]
    fn a_presigned_upload_is_the_job_it_was_made_for() {
        assert_eq!(upload("incoming/j-1/a+b.pdf", Some("v")).job_id.as_str(), "j-1");
        assert_eq!(upload("incoming-high/j-2/a.pdf", None).job_id.as_str(), "j-2");
        assert!(upload("incoming/no+id/a.pdf", None).job_id.as_str().starts_with("s3-"));
    }

    #[test]
    fn a_key_that_was_made_for_a_job_is_read_as_that_jobs() {
        let id: JobId = "j".parse().unwrap();
        for priority in [Priority::Normal, Priority::High] {
            let key = incoming_key(&id, priority, "a b.pdf");
            assert_eq!(reserved_id(&key), Some(id.clone()));
            assert_eq!(name_of(&key), Some("a b.pdf"));
        }
        assert_eq!(name_of("uploads/x/a.pdf"), Some("x/a.pdf"));
        assert_eq!(name_of("documents/j/h.txt"), None);
    }

    #[test]
    fn what_is_no_new_object_is_nothing_to_do() {
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-01T00:00:00.000Z","Bucket":"b"}"#;
        assert!(is_s3_event(test));
        assert_eq!(parse(test).unwrap(), S3Event::Nothing);
        assert_eq!(parse(&body(&[])).unwrap(), S3Event::Nothing);
        for (name, key) in [
            ("ObjectRemoved:DeleteMarkerCreated", "uploads/a.txt"),
            ("ObjectRemoved:Delete", "uploads/a.txt"),
            ("ObjectCreated:Put", "uploads/folder/"),
        ] {
            assert_eq!(parse(&body(&[record(name, key, None)])).unwrap(), S3Event::Nothing);
        }
    }

    #[test]
    fn several_records_become_as_many_bodies() {
        let (one, two) = (record("ObjectCreated:Put", "a", None), record("ObjectCreated:Copy", "b", None));
        let S3Event::Several(bodies) = parse(&body(&[one.clone(), two])).unwrap() else { panic!("several") };
        assert_eq!(bodies.len(), 2);
        assert_eq!(parse(&bodies[0]).unwrap(), parse(&body(&[one])).unwrap());
    }

    #[test]
    fn a_malformed_notification_is_told_by_its_field_and_repeats_nothing() {
        for broken in [json!({"SECRET": 1}), json!("SECRET"), json!({"eventName": "ObjectCreated:Put", "s3": "SECRET"})]
        {
            let error = parse(&body(&[broken])).expect_err("malformed").to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
        assert!(!is_s3_event(r#"{"job_id": "a", "document": "x", "Records": []}"#));
        assert!(!is_s3_event(r#"{"job_id": "a", "document": "\"Records\""}"#));
        assert!(!is_s3_event("\"Records\""));
    }
}
