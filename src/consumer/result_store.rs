//! Stores results: on the stored job or, if they are large, in S3. Finds the
//! result of an equal document.

use jiff::Timestamp;
use serde_json::Value;
use tracing::warn;

use crate::aws::Unavailable;
use crate::aws::jobs::Jobs;
use crate::aws::json_objects::JsonObjects;
use crate::aws::model::Answer;
use crate::aws::packed_result::pack;
use crate::clock::now;
use crate::domain::evidence::Evidence;
use crate::domain::ids::JobId;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::{Completed, State, StoredJob, StoredResult, Usage, label_of};
use crate::domain::json::table_bytes;
use crate::domain::limits::INLINE_RESULT_MAX_BYTES;

/// Stores and finds results.
#[derive(Debug, Clone)]
pub(super) struct ResultStore {
    pub jobs: Jobs,
    pub objects: JsonObjects,
}

impl ResultStore {
    /// Stores a model's answer with its evidence, and returns what completes the job.
    pub async fn store_answer(
        &self,
        job_id: &JobId,
        attempt: u32,
        (answer, evidence): (Answer, Option<Evidence>),
        fingerprint: Option<String>,
        completed_at: Timestamp,
    ) -> Result<Completed, Unavailable> {
        Ok(Completed {
            label: label_of(&answer.result),
            result: self.store(job_id, attempt, answer.result).await?,
            evidence: evidence.map(Evidence::fit_item),
            repaired: answer.repaired,
            model_id: answer.model_id,
            usage: answer.usage,
            stop_reason: answer.stop_reason,
            model_latency_ms: answer.elapsed.as_millis() as u64,
            chunks: answer.chunks,
            completed_at,
            deduplicated_from: None,
            fingerprint,
        })
    }

    /// The result of another job that analysed the same document in the same way;
    /// `None` when there is none.
    pub async fn find_duplicate(
        &self,
        job_id: &JobId,
        attempt: u32,
        fingerprint: &str,
    ) -> Result<Option<Completed>, AttemptError> {
        let found = self.jobs.find_by_fingerprint(fingerprint).await?;
        let Some(StoredJob { job_id: earlier, state: State::Complete(before), .. }) = found else { return Ok(None) };
        let result = match before.result {
            StoredResult::Inline(result) => result,
            // An object belongs to its own job, so this job stores a copy.
            StoredResult::Bucket(location) => match self.objects.load(&location).await {
                Ok(result) => result,
                // The object's retention is over; that of the stored job ends soon.
                Err(error) if error.is_missing() => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Some(Completed {
            result: self.store(job_id, attempt, result).await?,
            usage: Usage::default(),
            model_latency_ms: 0,
            completed_at: now(),
            deduplicated_from: Some(earlier),
            fingerprint: None,
            ..*before
        }))
    }

    /// Stores a result that is too large for the stored job in S3. The key holds the
    /// attempt, so that a worker that lost its lease overwrites no other result. If S3 does not
    /// store the result, the stored job takes it in compressed form, where it fits.
    pub async fn store(&self, job_id: &JobId, attempt: u32, result: Value) -> Result<StoredResult, Unavailable> {
        if table_bytes(&result) <= INLINE_RESULT_MAX_BYTES {
            return Ok(StoredResult::Inline(result));
        }
        let key = format!("results/{job_id}/{attempt}.json");
        match self.objects.store(&key, &result).await {
            Ok(location) => Ok(StoredResult::Bucket(location)),
            Err(error) if pack(&result).is_some() => {
                let job_id = job_id.as_str();
                warn!(job_id, service = error.service, code = error.code, "a large result is stored on its job");
                Ok(StoredResult::Inline(result))
            }
            Err(error) => Err(error),
        }
    }
}
