//! Images in the stream of the jobs table: an item before a change, and after it.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>

use serde_json::Value;

use super::job_item::decode_image;
use crate::domain::job::stored::{STORED_VERSION, Status, StoredJob};

/// Reads the stored job in an image; `None` if the item is no stored job.
pub fn read_stored_job(image: Value) -> Option<StoredJob> {
    decode_image(serde_json::from_value(image).ok()?)
}

/// Reads the status in an image; `None` if the item is no stored job. The table also
/// stores batches, which have no status.
pub fn read_status(image: &Value) -> Option<Status> {
    image["status"]["S"].as_str()?.parse().ok()
}

/// Whether an image has a newer version than this release reads: see [`STORED_VERSION`].
pub fn is_newer_version(image: &Value) -> bool {
    let version = image["version"]["N"].as_str().and_then(|version| version.parse::<u32>().ok());
    version.is_some_and(|version| version > STORED_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn image() -> Value {
        json!({
            "job_id": {"S": "j"}, "status": {"S": "complete"}, "attempt": {"N": "2"}, "charged_attempts": {"N": "1"},
            "batch_id": {"S": "b"}, "model_id": {"S": "model"},
            "result": {"M": {"summary": {"S": "…"}, "key_points": {"L": [{"S": "…"}]}, "sure": {"BOOL": true}}},
            "usage": {"M": {"input_tokens": {"N": "7"}, "output_tokens": {"N": "3"}}},
            "completed_at": {"S": "2026-11-22T10:00:00Z"}, "expires_at": {"N": "1800000000"},
        })
    }

    #[test]
    fn stream_image_becomes_stored_job() {
        let job = read_stored_job(image()).expect("a stored job");
        assert_eq!((job.job_id.as_str(), job.attempt, job.state.status()), ("j", 2, Status::Complete));
        assert_eq!(read_status(&image()), Some(Status::Complete));
    }

    #[test]
    fn image_of_newer_version_is_recognised_and_not_read() {
        let mut newer = image();
        assert!(!is_newer_version(&newer));
        newer["version"] = json!({"N": "1"});
        assert!(!is_newer_version(&newer) && read_stored_job(newer.clone()).is_some());
        newer["version"] = json!({"N": "2"});
        assert!(is_newer_version(&newer));
        assert_eq!(read_stored_job(newer), None);
    }

    #[test]
    fn image_of_other_item_is_none() {
        let batch = json!({"job_id": {"S": "batch/b"}, "batch_id": {"S": "b"}, "created_at": {"S": "…"}});
        for other in [batch, json!({}), json!(null), json!({"status": {"S": "lost"}}), json!([1])] {
            assert_eq!((read_status(&other), read_stored_job(other)), (None, None));
        }
    }
}
