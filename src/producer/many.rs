//! Many jobs in one request: an answer for each, and one bad one fails alone.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lambda_http::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::Problem;
use super::request::{Fields, Submission, body, idempotency_key};
use super::{Answer, Producer, request_id};
use crate::domain::ids::BatchId;
use crate::domain::json;
use crate::domain::limits::{BATCH_REQUEST_JOBS_MAX, REQUEST_SIDE_BY_SIDE};

#[derive(Deserialize)]
struct Many {
    jobs: Vec<Value>,
}

impl Producer {
    /// `POST /batches/{batch_id}/jobs`. With an Idempotency-Key, the key and the
    /// place make each job repeatable.
    pub(super) async fn submit_many(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let Many { jobs } = json::read_strictly(body(request)?)?;
        let key = idempotency_key(request)?;
        if jobs.is_empty() || jobs.len() > BATCH_REQUEST_JOBS_MAX {
            let detail = format!("has {} jobs; a request takes 1 to {BATCH_REQUEST_JOBS_MAX}", jobs.len());
            return Err(Problem::invalid("jobs", detail));
        }
        let batch = self.jobs.batch(batch_id).await?;
        if batch.is_some_and(|batch| batch.cancelled_at.is_some()) {
            return Err(Problem::invalid_state(None, "the batch is cancelled; take another batch_id"));
        }
        let request_id = &request_id(request);
        let answers = jobs.into_iter().enumerate().map(|(index, job)| {
            let key = key.as_ref().filter(|_| job.get("job_id").is_none()).map(|key| format!("{key}/{index}"));
            async move {
                let mut answer = match self.submit_one(job, batch_id, key).await {
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

    async fn submit_one(&self, job: Value, batch_id: &BatchId, key: Option<String>) -> Result<Value, Problem> {
        let mut fields: Fields = json::read_strictly(&job.to_string())?;
        if fields.batch_id.as_ref().is_some_and(|given| given != batch_id) {
            return Err(Problem::invalid("batch_id", "is another batch than the one of this request"));
        }
        fields.batch_id = Some(batch_id.clone());
        let (job_id, status) = self.accept(Submission::new(fields, key, &self.allowed)?).await?;
        Ok(json!({"job_id": job_id, "status": status}))
    }
}

/// Does many things, [`REQUEST_SIDE_BY_SIDE`] at a time; the answers keep their
/// order. All are heard out before a problem is told.
pub(super) async fn run_concurrently<T>(things: Vec<BoxFuture<'_, Result<T, Problem>>>) -> Result<Vec<T>, Problem> {
    let answers: Vec<_> = stream::iter(things).buffered(REQUEST_SIDE_BY_SIDE).collect().await;
    answers.into_iter().collect()
}
