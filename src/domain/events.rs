//! The events that the notifier publishes when a job or a batch has finished.
//!
//! Events contain ids, counts, times, codes and locations. They contain no text of a
//! document, an answer, a caller or Bedrock. A change of a stored job causes an event,
//! so the status before the change decides.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::batch::tally::{BatchStatus, Counts, Tally};
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::{State, Status, StoredJob, StoredResult, Usage};

/// The `source` of every event, which EventBridge rules match.
pub const SOURCE: &str = "docket";
/// The version of the event schema. A removed field, or a field with a new meaning,
/// changes the version; an added field does not.
pub const VERSION: &str = "1";

/// The `detail-type` of the end of a job.
pub const JOB_FINISHED: &str = "Docket Job Finished";
/// The `detail-type` of the end of a batch.
pub const BATCH_FINISHED: &str = "Docket Batch Finished";

/// An event as PutEvents receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundEvent {
    /// [`JOB_FINISHED`] or [`BATCH_FINISHED`].
    pub detail_type: &'static str,
    /// The `detail` as JSON.
    pub detail: String,
    /// The `time` of the event: the end of the job or the batch.
    pub at: Timestamp,
}

/// The detail of [`JOB_FINISHED`]. Events with equal `job_id`, `attempt` and `status` are
/// duplicates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobFinished {
    version: &'static str,
    job_id: JobId,
    /// The batch of the job, if any.
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
    /// The API path of the job with its result.
    path: String,
    /// The location of a result that is too large for the stored job.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_s3: Option<S3Location>,
}

impl JobFinished {
    /// The event of a change from the status `before` to `row`. `None` unless the change
    /// ended the job.
    ///
    /// A redrive or a retry first leaves the ended status. Its end is therefore published
    /// again, with its own attempt.
    pub fn from_change(before: Status, row: &StoredJob) -> Option<Self> {
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

    /// The event for PutEvents.
    pub fn to_event(&self) -> OutboundEvent {
        OutboundEvent { detail_type: JOB_FINISHED, detail: to_json(self), at: self.completed_at }
    }
}

/// The detail of [`BATCH_FINISHED`]: all jobs that the batch has at this time have ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchFinished {
    version: &'static str,
    batch_id: BatchId,
    status: BatchStatus,
    request_counts: Counts,
    usage: Usage,
    created_at: Timestamp,
    completed_at: Timestamp,
    /// The API path of the batch. Its results are at this path with `/results`.
    path: String,
}

impl BatchFinished {
    /// The event of a tally. `None` while a job is unfinished, or if the batch has no
    /// jobs. `is_cancelled` is whether the batch was cancelled.
    pub fn from_tally(batch_id: &BatchId, tally: &Tally, is_cancelled: bool) -> Option<Self> {
        let status = tally.status(is_cancelled);
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

    /// The event for PutEvents.
    pub fn to_event(&self) -> OutboundEvent {
        OutboundEvent { detail_type: BATCH_FINISHED, detail: to_json(self), at: self.completed_at }
    }
}

fn to_json(finished: &impl Serialize) -> String {
    serde_json::to_string(finished).expect("Docket's types serialize")
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
            label: None,
            repaired: false,
            evidence: None,
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
            work_id: Some("WORK".into()),
            request_hash: Some("HASH".into()),
            metadata: json!({"a": "METADATA"}).as_object().cloned(),
            generation: 0,
            invocation: None,
            async_request: None,
            suspect: false,
            ran_alone: false,
            not_before: None,
            waiting_for: None,
            last_error: None,
            attempts: Vec::new(),
            unproven_errors: 0,
            resends: 0,
            resent_at: None,
            purge_until: None,
            purged_at: None,
            created_at: at(1),
            updated_at: at(9),
        }
    }

    fn published_detail(before: Status, after: State) -> Option<Value> {
        let event = JobFinished::from_change(before, &row(after))?.to_event();
        assert_eq!((event.detail_type, event.at), ("Docket Job Finished", at(9)));
        Some(serde_json::from_str(&event.detail).unwrap())
    }

    #[test]
    fn only_change_to_ended_status_is_published() {
        for before in ALL {
            for after in ALL {
                let expected = !before.has_ended() && after.has_ended();
                assert_eq!(published_detail(before, state(after)).is_some(), expected, "{before:?} → {after:?}");
            }
        }
    }

    #[test]
    fn job_event_matches_documented_schema() {
        let common = json!({
            "version": "1", "job_id": "j", "batch_id": "b", "attempt": 2, "charged_attempts": 1, "priority": "high",
            "created_at": "1970-01-01T00:00:01Z", "completed_at": "1970-01-01T00:00:09Z", "path": "/jobs/j",
        });
        let with = |more: Value| {
            let mut detail = common.clone();
            detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Some(detail)
        };
        let complete = json!({
            "status": "complete", "model_id": "model", "usage": {"input_tokens": 7, "output_tokens": 3},
            "deduplicated_from": "first",
        });
        assert_eq!(published_detail(Status::Processing, state(Status::Complete)), with(complete));
        let failed = json!({"status": "failed", "error_code": "the_code"});
        assert_eq!(published_detail(Status::Processing, state(Status::Failed)), with(failed));
        assert_eq!(published_detail(Status::Pending, state(Status::Cancelled)), with(json!({"status": "cancelled"})));
        let location = json!({"bucket": "b", "key": "results/j/2.json", "version_id": "v"});
        let large = StoredResult::Bucket(serde_json::from_value(location.clone()).unwrap());
        assert_eq!(published_detail(Status::Processing, completed(large)).unwrap()["result_s3"], location);
    }

    #[test]
    fn event_contains_no_document_answer_or_internals() {
        for after in ALL.into_iter().filter(|status| status.has_ended()) {
            let detail = published_detail(Status::Processing, state(after)).unwrap().to_string();
            for inside in
                ["RESULT", "MESSAGE", "METADATA", "DOCUMENTS", "KEY", "HASH", "WORK", "OWNER", "STOP", "FINGER"]
            {
                assert!(!detail.contains(inside), "{detail}");
            }
        }
    }

    #[test]
    fn batch_is_published_only_when_every_job_has_ended() {
        let batch: BatchId = "b".parse().unwrap();
        let event_of = |statuses: &[Status], is_cancelled| {
            let mut tally = Tally::default();
            let entries = statuses.iter().enumerate().map(|(n, status)| Entry {
                job_id: n.to_string().parse().unwrap(),
                status: *status,
                usage: Usage { input_tokens: 5, output_tokens: 1 },
                created_at: at(1),
                completed_at: status.has_ended().then(|| at(9)),
                evidence: None,
            });
            tally.add(entries, at(10));
            BatchFinished::from_tally(&batch, &tally, is_cancelled)
        };
        assert_eq!(event_of(&[], false), None);
        assert_eq!(event_of(&[Status::Complete, Status::Processing], false), None);
        assert_eq!(event_of(&[Status::Cancelled, Status::Pending], true), None);
        let event = event_of(&[Status::Complete, Status::Failed], false).unwrap().to_event();
        assert_eq!((event.detail_type, event.at), ("Docket Batch Finished", at(9)));
        let detail: Value = serde_json::from_str(&event.detail).unwrap();
        let counts = json!({"total": 2, "pending": 0, "processing": 0, "complete": 1, "failed": 1, "cancelled": 0});
        assert_eq!(
            detail,
            json!({
                "version": "1", "batch_id": "b", "status": "complete", "request_counts": counts,
                "usage": {"input_tokens": 10, "output_tokens": 2}, "path": "/batches/b",
                "created_at": "1970-01-01T00:00:01Z", "completed_at": "1970-01-01T00:00:09Z",
            })
        );
        let cancelled = event_of(&[Status::Cancelled], true).unwrap().to_event().detail;
        assert!(cancelled.contains(r#""status":"cancelled""#), "{cancelled}");
    }
}
