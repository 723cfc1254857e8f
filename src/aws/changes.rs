//! The table's stream: a row as it was before a change, and after it.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>

use serde_json::Value;

use super::job_item::decode_image;
use crate::domain::job::stored::{Status, StoredJob};

/// Reads an image; `None` when it is no row of a job.
pub fn row(image: Value) -> Option<StoredJob> {
    decode_image(serde_json::from_value(image).ok()?)
}

/// The status in an image. What was said about a batch lies in the same table,
/// and has none.
pub fn status(image: &Value) -> Option<Status> {
    image["status"]["S"].as_str()?.parse().ok()
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
    fn an_image_is_read_as_the_row_that_it_shows() {
        let row = row(image()).expect("a row");
        assert_eq!((row.job_id.as_str(), row.attempt, row.state.status()), ("j", 2, Status::Complete));
        assert_eq!(status(&image()), Some(Status::Complete));
    }

    #[test]
    fn what_is_no_row_of_a_job_is_none() {
        let batch = json!({"job_id": {"S": "batch/b"}, "batch_id": {"S": "b"}, "created_at": {"S": "…"}});
        for other in [batch, json!({}), json!(null), json!({"status": {"S": "lost"}}), json!([1])] {
            assert_eq!((status(&other), row(other)), (None, None));
        }
    }
}
