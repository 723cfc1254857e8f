//! The news: what is told of a job, and of a batch, that has finished. Ids,
//! counts, times, codes and places; no text of a document or an answer, and no
//! words of a caller's or of Bedrock's.
//!
//! A change of the row is told, never a row as such: the status before decides.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::batch::tally::{BatchStatus, Counts, Tally};
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::{State, Status, StoredJob, StoredResult, Usage};

/// Who tells; every rule names it.
pub const SOURCE: &str = "docket";
/// The form of the details. A field more does not change it; one less, or one
/// that means something else, does.
pub const VERSION: &str = "1";

/// What a job's end is called on the bus.
pub const JOB_FINISHED: &str = "Docket Job Finished";
/// What a batch's end is called on the bus.
pub const BATCH_FINISHED: &str = "Docket Batch Finished";

/// One piece of news, as the bus takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundEvent {
    /// [`JOB_FINISHED`] or [`BATCH_FINISHED`].
    pub detail_type: &'static str,
    /// The detail, as JSON.
    pub detail: String,
    /// When it happened.
    pub at: Timestamp,
}

/// A job came to its end. `job_id`, `attempt` and `status` together name the
/// change: the same three are the same news.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobFinished {
    version: &'static str,
    job_id: JobId,
    /// The batch it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    status: Status,
    attempt: u32,
    charged_attempts: u32,
    priority: Priority,
    created_at: Timestamp,
    completed_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplicated_from: Option<JobId>,
    /// Where the API tells of the job, its result included.
    path: String,
    /// Where a result lies that is too large for the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_s3: Option<S3Location>,
}

impl JobFinished {
    /// What a change tells: `None` unless it led from an unfinished status into
    /// a finished one. A redrive or a retry leaves the finished status first, so
    /// that its own end is told again, with its own attempt.
    pub fn of(before: Status, row: &StoredJob) -> Option<Self> {
        if before.has_ended() {
            return None;
        }
        let (completed_at, error_code, done) = match &row.state {
            State::Pending | State::Processing { .. } => return None,
            State::Complete(done) => (done.completed_at, None, Some(done)),
            State::Failed { error, completed_at } => (*completed_at, Some(error.code.clone()), None),
            State::Cancelled { completed_at } => (*completed_at, None, None),
        };
        Some(Self {
            version: VERSION,
            job_id: row.job_id.clone(),
            batch_id: row.batch_id.clone(),
            status: row.state.status(),
            attempt: row.attempt,
            charged_attempts: row.charged_attempts,
            priority: row.priority,
            created_at: row.created_at,
            completed_at,
            model_id: done.map(|done| done.model_id.clone()),
            usage: done.map(|done| done.usage),
            error_code,
            deduplicated_from: done.and_then(|done| done.deduplicated_from.clone()),
            path: format!("/jobs/{}", row.job_id),
            result_s3: done.and_then(|done| match &done.result {
                StoredResult::Bucket(at) => Some(at.clone()),
                StoredResult::Inline(_) => None,
            }),
        })
    }

    /// As the bus takes it.
    pub fn outbound(&self) -> OutboundEvent {
        OutboundEvent { detail_type: JOB_FINISHED, detail: detail(self), at: self.completed_at }
    }
}

/// No job of a batch is unfinished, of those that it has by now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchFinished {
    version: &'static str,
    batch_id: BatchId,
    status: BatchStatus,
    request_counts: Counts,
    usage: Usage,
    created_at: Timestamp,
    completed_at: Timestamp,
    /// Where the API tells of the batch; its results are below, at `/results`.
    path: String,
}

impl BatchFinished {
    /// What a tally tells: `None` while a job is unfinished, or when there is
    /// none. `cancelled` is whether the batch was.
    pub fn of(batch_id: &BatchId, tally: &Tally, cancelled: bool) -> Option<Self> {
        let status = tally.status(cancelled);
        match status {
            BatchStatus::InProgress | BatchStatus::Cancelling => None,
            BatchStatus::Complete | BatchStatus::Cancelled => Some(Self {
                version: VERSION,
                batch_id: batch_id.clone(),
                status,
                request_counts: tally.counts,
                usage: tally.usage,
                created_at: tally.first_created_at?,
                completed_at: tally.last_completed_at?,
                path: format!("/batches/{batch_id}"),
            }),
        }
    }

    /// As the bus takes it.
    pub fn outbound(&self) -> OutboundEvent {
        OutboundEvent { detail_type: BATCH_FINISHED, detail: detail(self), at: self.completed_at }
    }
}

fn detail(finished: &impl Serialize) -> String {
    serde_json::to_string(finished).expect("our own types serialize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::batch::tally::Entry;
    use crate::domain::document::DocumentRecord;
    use crate::domain::failure::Failure;
    use crate::domain::ids::Owner;
    use crate::domain::job::stored::Completed;
    use serde_json::{Value, json};

    const ALL: [Status; 5] = [Status::Pending, Status::Processing, Status::Complete, Status::Failed, Status::Cancelled];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn completed(result: StoredResult) -> State {
        State::Complete(Box::new(Completed {
            result,
            model_id: "model".into(),
            usage: Usage { input_tokens: 7, output_tokens: 3 },
            stop_reason: "STOP".into(),
            model_latency_ms: 5,
            chunks: None,
            completed_at: at(9),
            deduplicated_from: Some("first".parse().unwrap()),
            fingerprint: Some("FINGERPRINT".into()),
        }))
    }

    fn location(bucket: &str, key: &str) -> S3Location {
        S3Location { bucket: bucket.into(), key: key.into(), version_id: None, sha256: None }
    }

    fn state(status: Status) -> State {
        match status {
            Status::Pending => State::Pending,
            Status::Processing => State::Processing { lease_until: at(8) },
            Status::Complete => completed(StoredResult::Inline(json!("RESULT"))),
            Status::Failed => State::Failed { error: Failure::new("the_code", "MESSAGE"), completed_at: at(9) },
            Status::Cancelled => State::Cancelled { completed_at: at(9) },
        }
    }

    fn row(state: State) -> StoredJob {
        StoredJob {
            job_id: "j".parse().unwrap(),
            state,
            attempt: 2,
            charged_attempts: 1,
            owner: Some(Owner::new("OWNER")),
            claimed_from: None,
            possible_duplicate_call: false,
            batch_id: Some("b".parse().unwrap()),
            analysis: None,
            model_id: None,
            priority: Priority::High,
            document: DocumentRecord::stored(&location("DOCUMENTS", "KEY"), 7),
            request_hash: Some("HASH".into()),
            metadata: json!({"a": "METADATA"}).as_object().cloned(),
            generation: 0,
            invocation: None,
            async_request: None,
            created_at: at(1),
            updated_at: at(9),
        }
    }

    fn told(before: Status, after: State) -> Option<Value> {
        let news = JobFinished::of(before, &row(after))?.outbound();
        assert_eq!((news.detail_type, news.at), ("Docket Job Finished", at(9)));
        Some(serde_json::from_str(&news.detail).unwrap())
    }

    #[test]
    fn exactly_the_changes_into_a_finished_status_are_told() {
        for before in ALL {
            for after in ALL {
                let expected = !before.has_ended() && after.has_ended();
                assert_eq!(told(before, state(after)).is_some(), expected, "{before:?} → {after:?}");
            }
        }
    }

    #[test]
    fn the_detail_is_as_it_is_documented() {
        let common = json!({
            "version": "1", "job_id": "j", "batch_id": "b", "attempt": 2, "charged_attempts": 1, "priority": "high",
            "created_at": "1970-01-01T00:00:01Z", "completed_at": "1970-01-01T00:00:09Z", "path": "/jobs/j",
        });
        let with = |more: Value| {
            let mut whole = common.clone();
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Some(whole)
        };
        let complete = json!({
            "status": "complete", "model_id": "model", "usage": {"input_tokens": 7, "output_tokens": 3},
            "deduplicated_from": "first",
        });
        assert_eq!(told(Status::Processing, state(Status::Complete)), with(complete));
        let failed = json!({"status": "failed", "error_code": "the_code"});
        assert_eq!(told(Status::Processing, state(Status::Failed)), with(failed));
        assert_eq!(told(Status::Pending, state(Status::Cancelled)), with(json!({"status": "cancelled"})));
        let place = json!({"bucket": "b", "key": "results/j/2.json", "version_id": "v"});
        let large = StoredResult::Bucket(serde_json::from_value(place.clone()).unwrap());
        assert_eq!(told(Status::Processing, completed(large)).unwrap()["result_s3"], place);
    }

    #[test]
    fn nothing_is_told_of_the_document_the_answer_or_the_inside() {
        for after in ALL.into_iter().filter(|status| status.has_ended()) {
            let told = told(Status::Processing, state(after)).unwrap().to_string();
            for inside in ["RESULT", "MESSAGE", "METADATA", "DOCUMENTS", "KEY", "HASH", "OWNER", "STOP", "FINGER"] {
                assert!(!told.contains(inside), "{told}");
            }
        }
    }

    #[test]
    fn a_batch_is_told_only_when_no_job_of_it_is_unfinished() {
        let batch: BatchId = "b".parse().unwrap();
        let told = |statuses: &[Status], cancelled| {
            let mut tally = Tally::default();
            let entries = statuses.iter().enumerate().map(|(n, status)| Entry {
                job_id: n.to_string().parse().unwrap(),
                status: *status,
                usage: Usage { input_tokens: 5, output_tokens: 1 },
                created_at: at(1),
                completed_at: status.has_ended().then(|| at(9)),
            });
            tally.add(entries.collect(), at(10));
            BatchFinished::of(&batch, &tally, cancelled)
        };
        assert_eq!(told(&[], false), None);
        assert_eq!(told(&[Status::Complete, Status::Processing], false), None);
        assert_eq!(told(&[Status::Cancelled, Status::Pending], true), None);
        let news = told(&[Status::Complete, Status::Failed], false).unwrap().outbound();
        assert_eq!((news.detail_type, news.at), ("Docket Batch Finished", at(9)));
        let detail: Value = serde_json::from_str(&news.detail).unwrap();
        let counts = json!({"total": 2, "pending": 0, "processing": 0, "complete": 1, "failed": 1, "cancelled": 0});
        assert_eq!(
            detail,
            json!({
                "version": "1", "batch_id": "b", "status": "complete", "request_counts": counts,
                "usage": {"input_tokens": 10, "output_tokens": 2}, "path": "/batches/b",
                "created_at": "1970-01-01T00:00:01Z", "completed_at": "1970-01-01T00:00:09Z",
            })
        );
        let cancelled = told(&[Status::Cancelled], true).unwrap().outbound().detail;
        assert!(cancelled.contains(r#""status":"cancelled""#), "{cancelled}");
    }
}
