//! What is kept of an analysis: on the row or, if it is large, in the bucket;
//! or the result that the same document had before.

use serde_json::{Value, json};

use super::Consumer;
use crate::aws::Unavailable;
use crate::aws::model::{Answer, Call};
use crate::clock::now;
use crate::domain::ending::AttemptError;
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::JobId;
use crate::domain::json::table_bytes;
use crate::domain::limits::ROW_RESULT_MAX_BYTES;
use crate::domain::row::{Completed, Row, State, StoredResult, Usage};

impl Consumer {
    /// What is written when a model has answered.
    pub(super) async fn answered(
        &self,
        job_id: &JobId,
        attempt: u32,
        answer: Answer,
        fingerprint: String,
    ) -> Result<Completed, AttemptError> {
        Ok(Completed {
            result: self.store(job_id, attempt, answer.result).await?,
            model_id: answer.model_id,
            usage: answer.usage,
            stop_reason: answer.stop_reason,
            model_ms: answer.elapsed.as_millis() as u64,
            parts: answer.parts,
            completed_at: now(),
            deduplicated_from: None,
            fingerprint: Some(fingerprint),
        })
    }

    /// By what a document's result is found again: its bytes, the question, and
    /// all that the model is told beside it.
    pub(super) fn fingerprint(&self, call: &Call<'_>, sha256: &str) -> String {
        call.analysis.fingerprint(sha256, &json!([self.model.told(call), self.part_max_bytes]))
    }

    /// What is written when the same document had been analysed the same way
    /// for another job; `None` when it had not.
    pub(super) async fn same_as_before(
        &self,
        job_id: &JobId,
        attempt: u32,
        fingerprint: &str,
    ) -> Result<Option<Completed>, AttemptError> {
        let row = self.jobs.by_fingerprint(fingerprint).await.map_err(store_unavailable)?;
        let Some(Row { job_id: earlier, state: State::Complete(before), .. }) = row else { return Ok(None) };
        let result = match before.result {
            StoredResult::Row(result) => result,
            // An object is its own job's: this one keeps another.
            StoredResult::Bucket(at) => match self.documents.load_json(&at).await {
                Ok(result) => result,
                // Its retention is over, and the row's soon.
                Err(error) if error.is_missing() => return Ok(None),
                Err(error) => return Err(store_unavailable(error)),
            },
        };
        Ok(Some(Completed {
            result: self.store(job_id, attempt, result).await?,
            usage: Usage::default(),
            model_ms: 0,
            completed_at: now(),
            deduplicated_from: Some(earlier),
            fingerprint: None,
            ..*before
        }))
    }

    /// A result that the row cannot hold goes into the bucket, under its
    /// attempt's name: a worker that lost its lease overwrites nobody's.
    pub(super) async fn store(
        &self,
        job_id: &JobId,
        attempt: u32,
        result: Value,
    ) -> Result<StoredResult, AttemptError> {
        if table_bytes(&result) <= ROW_RESULT_MAX_BYTES {
            return Ok(StoredResult::Row(result));
        }
        let key = format!("results/{job_id}/{attempt}.json");
        let stored = self.documents.store_json(&self.bucket, &key, &result).await;
        stored.map(StoredResult::Bucket).map_err(store_unavailable)
    }
}

/// The document is not to blame: not charged.
pub(super) fn store_unavailable(error: Unavailable) -> AttemptError {
    AttemptError::Throttled(Failure::new(codes::STORE_UNAVAILABLE, error.to_string()))
}
