//! Many jobs in one request. Each job has its own answer, so an invalid job fails alone.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lambda_http::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::request::{JobFields, KeyScope, Submission, check_job_values, idempotency_key, job_id_of_key, read_body};
use super::{Answer, Producer, request_id};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::json;
use crate::domain::limits::{BATCH_REQUEST_JOBS_MAX, CONCURRENT_REQUEST_JOBS};

#[derive(Deserialize)]
struct Fields {
    /// Read later one by one, so that an invalid job fails alone.
    jobs: Vec<Box<RawValue>>,
}

impl Producer {
    /// `POST /batches/{batch_id}/jobs`. An `Idempotency-Key`, with the index of the job,
    /// makes each job without a `job_id` repeatable.
    pub(super) async fn submit_jobs(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let Fields { jobs } = json::read_envelope(read_body(request)?)?;
        let key = idempotency_key(request)?;
        if jobs.is_empty() || jobs.len() > BATCH_REQUEST_JOBS_MAX {
            let detail = format!("`jobs` must have 1 to {BATCH_REQUEST_JOBS_MAX} jobs; it has {}", jobs.len());
            return Err(Problem::invalid("jobs", detail));
        }
        self.check_not_cancelled(batch_id).await?;
        let request_id = &request_id(request);
        let answers = jobs.into_iter().enumerate().map(|(index, job)| {
            let key = key.as_ref().filter(|_| !has_job_id(&job));
            let of_key = key.map(|key| job_id_of_key(&KeyScope::JobOfBatch(batch_id, index), key));
            async move {
                let mut answer = match self.submit_one(&job, batch_id, of_key).await {
                    Ok(accepted) => accepted,
                    Err(problem) => json!({"error": problem.body(request_id)}),
                };
                answer["index"] = json!(index);
                Ok(answer)
            }
            .boxed()
        });
        let answers = run_concurrently(answers.collect()).await?;
        let rejected = answers.iter().filter(|answer| answer.get("error").is_some()).count();
        let body = json!({
            "batch_id": batch_id,
            "accepted": answers.len() - rejected,
            "rejected": rejected,
            "jobs": answers,
        });
        Ok(Answer::json(202, body))
    }

    async fn submit_one(&self, job: &RawValue, batch_id: &BatchId, of_key: Option<JobId>) -> Result<Value, Problem> {
        check_job_values(job.get())?;
        let mut fields: JobFields = json::read_strictly(job.get())?;
        if fields.batch_id.as_ref().is_some_and(|given| given != batch_id) {
            return Err(Problem::invalid("batch_id", "`batch_id` must be the batch of the path, or missing"));
        }
        fields.batch_id = Some(batch_id.clone());
        let (job_id, status) = self.accept_job(Submission::new(fields, of_key, &self.allowed)?).await?;
        Ok(json!({"job_id": job_id, "status": status}))
    }
}

fn has_job_id(job: &RawValue) -> bool {
    serde_json::from_str::<Map<String, Value>>(job.get())
        .is_ok_and(|fields| fields.get("job_id").is_some_and(|id| !id.is_null()))
}

/// Runs tasks, [`CONCURRENT_REQUEST_JOBS`] at a time, and returns their results in order.
/// A problem is returned only after every task has ended, so that none is interrupted.
pub(super) async fn run_concurrently<T>(tasks: Vec<BoxFuture<'_, Result<T, Problem>>>) -> Result<Vec<T>, Problem> {
    let results: Vec<_> = stream::iter(tasks).buffered(CONCURRENT_REQUEST_JOBS).collect().await;
    results.into_iter().collect()
}
