//! The id of a job's work, by which a message that names another document is recognised.
//!
//! A job id is public: it is in object keys, in events and in the answers of the API. The
//! stored job therefore also names its work. A worker claims a job only with a message that
//! has the same work.

use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::location::S3Location;
use crate::domain::document::sha256_hex;
use crate::domain::job::stored::StoredJob;
use crate::domain::job::{DocumentSource, Work};
use crate::domain::message::submitted::parse_submitted_key;

/// The id of the document or of the request of a job: a kind, `:`, and a hash.
pub type WorkId = String;

/// The ids of a message's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkIds {
    /// The id that a claim stores.
    pub own: WorkId,
    /// Whether a claim stores the id also when the stored job has another one that fits.
    pub replaces: bool,
    /// The ids of stored jobs that this work fits, with [`own`](Self::own).
    pub fits: Vec<WorkId>,
}

/// The id of a text, by the SHA-256 of its bytes in hexadecimal.
pub fn text_work_id(sha256: &str) -> WorkId {
    format!("text:{sha256}")
}

/// The id of a request for an async invocation.
pub fn async_work_id(request: &AsyncInvoke) -> WorkId {
    let request = serde_json::to_value(request).expect("Docket's types serialize");
    format!("async:{}", sha256_hex(request.to_string().as_bytes()))
}

/// The id of a document that a caller uploads later, with a key and without a version.
pub fn upload_work_id(bucket: &str, key: &str) -> WorkId {
    format!("upload:{}", sha256_hex(format!("{bucket}\0{key}").as_bytes()))
}

/// The id of an object. Its SHA-256 takes no part. An object without a version has another id than each version.
pub fn object_work_id(at: &S3Location) -> WorkId {
    let version = at.version_id.as_deref().unwrap_or_default();
    format!("s3:{}", sha256_hex(format!("{}\0{}\0{version}", at.bucket, at.key).as_bytes()))
}

impl WorkIds {
    /// The ids of a message's work.
    ///
    /// A text has the same id in a message and in the bucket, because Docket stores a text
    /// that waits. The first event of an upload turns the id of the upload into the id of
    /// the uploaded version.
    pub fn from_work(work: &Work) -> Self {
        match work {
            Work::AsyncInvocation(request) => Self::only(async_work_id(request)),
            Work::Document(DocumentSource::Inline(text)) => Self::only(text_work_id(&sha256_hex(text.as_bytes()))),
            Work::Document(DocumentSource::S3(at)) => {
                let (object, upload) = (object_work_id(at), upload_work_id(&at.bucket, &at.key));
                match &at.sha256 {
                    Some(sha256) => {
                        let text = text_work_id(sha256);
                        Self { own: text.clone(), replaces: false, fits: vec![text, object, upload] }
                    }
                    None => Self { own: object.clone(), replaces: true, fits: vec![object, upload] },
                }
            }
        }
    }

    fn only(id: WorkId) -> Self {
        Self { own: id.clone(), replaces: false, fits: vec![id] }
    }
}

/// Whether a message's work is that of a stored job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkMatch {
    /// The work is the same.
    Same,
    /// The message names another version of the object of a submitted document. The key
    /// contains the job id, which is made of the bytes: the document was uploaded again.
    UploadedAgain,
    /// The work is another.
    Different,
}

/// Compares a message's work with that of a stored job.
///
/// A stored job without a work id fits every message: another program created it.
pub fn compare_work(row: &StoredJob, work: &Work) -> WorkMatch {
    let Some(stored) = &row.work_id else { return WorkMatch::Same };
    if WorkIds::from_work(work).fits.contains(stored) {
        return WorkMatch::Same;
    }
    match (work, row.document.location()) {
        (Work::Document(DocumentSource::S3(at)), Some(stored))
            if stored.bucket == at.bucket
                && stored.key == at.key
                && parse_submitted_key(&at.key).is_some_and(|key| key.job_id == row.job_id) =>
        {
            WorkMatch::UploadedAgain
        }
        _ => WorkMatch::Different,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::domain::document::DocumentRecord;

    fn at(key: &str, version: Option<&str>, sha256: Option<&str>) -> S3Location {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        S3Location { bucket: "b".into(), key: key.into(), version_id: owned(version), sha256: owned(sha256) }
    }

    fn object(key: &str, version: Option<&str>, sha256: Option<&str>) -> Work {
        Work::Document(DocumentSource::S3(at(key, version, sha256)))
    }

    fn inline(text: &str) -> Work {
        Work::Document(DocumentSource::Inline(text.into()))
    }

    fn invocation(number: u32) -> Work {
        let model_input = json!({"b": number, "a": 1});
        Work::AsyncInvocation(Box::new(AsyncInvoke { model_id: "m".into(), model_input, tags: BTreeMap::new() }))
    }

    fn row(work_id: WorkId, document: Option<&S3Location>) -> StoredJob {
        StoredJob {
            work_id: Some(work_id),
            document: document.map(DocumentRecord::unread).unwrap_or_default(),
            ..StoredJob::new("file-1".parse().unwrap(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn each_work_fits_itself_alone() {
        let hash = sha256_hex(b"t");
        let works = [
            inline("t"),
            inline("u"),
            invocation(1),
            invocation(2),
            object("k", None, None),
            object("k", Some("1"), None),
            object("k", Some("2"), None),
            object("l", Some("1"), None),
        ];
        for (n, stored) in works.iter().enumerate() {
            for (m, sent) in works.iter().enumerate() {
                let expected = if n == m { WorkMatch::Same } else { WorkMatch::Different };
                assert_eq!(
                    compare_work(&row(WorkIds::from_work(stored).own, None), sent),
                    expected,
                    "{stored:?} {sent:?}"
                );
            }
        }
        let parked = object("documents/j/h.txt", Some("1"), Some(&hash));
        assert_eq!(compare_work(&row(text_work_id(&hash), None), &parked), WorkMatch::Same);
        assert_eq!(compare_work(&row(text_work_id("0"), None), &parked), WorkMatch::Different);
    }

    #[test]
    fn upload_fits_its_key_and_first_version_alone() {
        let awaited = row(upload_work_id("b", "incoming/file-1/a.txt"), None);
        let first = object("incoming/file-1/a.txt", Some("1"), None);
        assert_eq!(compare_work(&awaited, &first), WorkMatch::Same);
        for other in [inline("t"), object("incoming/file-1/b.txt", Some("1"), None), invocation(1)] {
            assert_eq!(compare_work(&awaited, &other), WorkMatch::Different, "{other:?}");
        }
        let ids = WorkIds::from_work(&first);
        assert!(ids.replaces);
        let second = object("incoming/file-1/a.txt", Some("2"), None);
        let uploaded = row(ids.own, Some(&at("incoming/file-1/a.txt", Some("1"), None)));
        assert_eq!(compare_work(&uploaded, &second), WorkMatch::Different);
    }

    #[test]
    fn submitted_document_uploaded_again_is_recognised() {
        let key = "submitted/b/file-1/a.txt";
        let stored = row(WorkIds::from_work(&object(key, Some("1"), None)).own, Some(&at(key, Some("1"), None)));
        assert_eq!(compare_work(&stored, &object(key, Some("2"), None)), WorkMatch::UploadedAgain);
        let other_path = object("submitted/b/file-1/b.txt", Some("2"), None);
        assert_eq!(compare_work(&stored, &other_path), WorkMatch::Different);
    }

    #[test]
    fn stored_job_without_work_id_fits_every_message() {
        let row = StoredJob::new("j".parse().unwrap(), Timestamp::UNIX_EPOCH);
        assert_eq!(compare_work(&row, &inline("t")), WorkMatch::Same);
    }
}
