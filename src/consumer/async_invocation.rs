//! The work of a long invocation: start it once, then follow it with delayed
//! messages, the polls. No function waits for the model.
//!
//! [`crate::domain::async_invocation::poll`] draws the order of events, and says
//! why no job is lost.

use std::time::Duration;

use serde_json::json;
use tracing::{info, warn};

use super::attempt::Attempt;
use super::delivery::Delivery;
use super::result_store::ResultStore;
use crate::aws::async_invoke::{AsyncModel, Start};
use crate::aws::jobs::Jobs;
use crate::aws::output_objects::OutputObjects;
use crate::aws::queue::JobsQueue;
use crate::clock::now;
use crate::domain::async_invocation::poll::{Poll, Step, next_step};
use crate::domain::async_invocation::request::{
    AsyncInvoke, Invocation, StartedInvocation, client_request_token, output_uri, poll_delay,
};
use crate::domain::backoff::full_jitter;
use crate::domain::batch::Batch;
use crate::domain::document::DocumentRecord;
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::Owner;
use crate::domain::job::Job;
use crate::domain::job::claim::Claim;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::outcome::{Acknowledged, Outcome};
use crate::domain::job::stored::{Completed, Usage};
use crate::domain::job::work_id::{WorkMatch, compare_work};
use crate::domain::limits::{ASYNC_MAX_AGE, ASYNC_POLL_MARGIN};
use crate::domain::message::attributes::{Attribute, poll_attributes};

/// Runs jobs of long invocations.
#[derive(Debug, Clone)]
pub(super) struct AsyncInvocations {
    pub jobs: Jobs,
    pub queue: JobsQueue,
    pub model: AsyncModel,
    pub outputs: OutputObjects,
    pub results: ResultStore,
    /// The bucket that receives the outputs.
    pub bucket: String,
    /// The time-out of one poll with everything that it stores.
    pub poll_timeout: Duration,
}

impl AsyncInvocations {
    /// Resumes a job that waits for a poll; `None` when the job must be claimed, and when
    /// the claim will refuse the message because it names another request.
    ///
    /// # Errors
    /// The outcome of a message that has nothing to do.
    pub async fn resume(&self, job: &Job, delivery: &Delivery, owner: &Owner) -> Result<Option<Claim>, Outcome> {
        let unavailable = |error| delivery.retry_unavailable(job, &error);
        let stored = self.jobs.get(&job.job_id).await.map_err(unavailable)?;
        if stored.as_ref().is_some_and(|row| compare_work(row, &job.work) != WorkMatch::Same) {
            return Ok(None);
        }
        match next_step(stored.as_ref(), delivery.poll, now()) {
            Step::Claim => Ok(None),
            Step::Superseded => Err(Outcome::Acknowledge(Acknowledged::Superseded)),
            Step::Resume { attempt } => {
                let resumed = self.jobs.resume(&job.job_id, attempt, owner, now(), delivery.lease_until()).await;
                match resumed.map_err(unavailable)? {
                    Some(claim) => Ok(Some(claim)),
                    // Another copy was faster. It may still fail, so this copy is kept.
                    None => Err(delivery.retry_lost_lease()),
                }
            }
        }
    }

    /// Starts the job's invocation, or polls it.
    pub async fn run(&self, attempt: &Attempt<'_>, request: &AsyncInvoke) -> Outcome {
        match attempt.claim.invocation.clone() {
            None => self.start(attempt, request).await,
            Some(started) => self.poll(attempt, request, started).await,
        }
    }

    async fn start(&self, attempt: &Attempt<'_>, request: &AsyncInvoke) -> Outcome {
        let (job_id, generation) = (&attempt.job.job_id, attempt.claim.generation);
        let token = client_request_token(&self.bucket, job_id, generation);
        let started = async {
            let batch = attempt.batch().await?;
            if batch.as_ref().is_some_and(|batch| batch.cancelled_at.is_some()) {
                return Err(AttemptError::Cancelled);
            }
            if let Some(paused) = batch.as_ref().and_then(Batch::paused_on_hold) {
                return Err(AttemptError::OnHold(paused));
            }
            if message_attributes(attempt, 1).is_none() {
                let message = "the job's message is too large to carry the attribute of a poll";
                return Err(AttemptError::Permanent(Failure::new(codes::MESSAGE_TOO_LARGE, message)));
            }
            if let Err(error) = request.check_inputs(&self.bucket) {
                return Err(AttemptError::Permanent(Failure::new(codes::DOCUMENT_FORBIDDEN, error.to_string())));
            }
            if !attempt.delivery.has_time() {
                return Err(AttemptError::NoTime);
            }
            let output_uri = &output_uri(&self.bucket, job_id);
            self.model.start(&Start { request, output_uri, token: &token }).await
        };
        match started.await {
            Ok(arn) => {
                info!(job_id = job_id.as_str(), generation, invocation_arn = arn.as_str(), "invocation started");
                let started = StartedInvocation { arn, started_at: now(), poll: 1, is_waiting: true };
                self.wait(attempt, started, poll_delay(1)).await
            }
            Err(error) => attempt.end(error).await,
        }
    }

    /// Polls the invocation. A poll without an answer is repeated with a growing
    /// delay, until the invocation reaches [`ASYNC_MAX_AGE`].
    async fn poll(&self, attempt: &Attempt<'_>, request: &AsyncInvoke, started: StartedInvocation) -> Outcome {
        let number = started.poll.saturating_add(1);
        let next = StartedInvocation { poll: number, is_waiting: true, ..started };
        let after = match self.fetch_result(attempt, &next).await {
            Ok(Some(completed)) => {
                let completed = Completed { model_id: request.model_id.clone(), ..completed };
                return attempt.complete(completed, DocumentRecord::default()).await;
            }
            Err(AttemptError::Permanent(failure) | AttemptError::Refused(failure)) => {
                return attempt.end(AttemptError::Permanent(failure)).await;
            }
            Ok(None) => poll_delay(number),
            Err(
                AttemptError::Throttled(failure)
                | AttemptError::Transient(failure)
                | AttemptError::StoreUnavailable(failure)
                | AttemptError::AccountFault(failure)
                | AttemptError::NoAnswer(failure)
                | AttemptError::Unproven { error: failure, .. }
                | AttemptError::NotStored(failure),
            ) => {
                let job_id = attempt.job.job_id.as_str();
                warn!(job_id, code = failure.code, "a poll got no answer");
                full_jitter(number, fastrand::f64())
            }
            Err(
                AttemptError::NoTime
                | AttemptError::NotAlone
                | AttemptError::OverQuota(_)
                | AttemptError::OnHold(_)
                | AttemptError::Cancelled,
            ) => full_jitter(1, fastrand::f64()),
        };
        if now() >= next.started_at + ASYNC_MAX_AGE {
            let message = format!(
                "the invocation did not end within {} h; ask Bedrock for the state of {}",
                ASYNC_MAX_AGE.as_secs() / 3600,
                next.arn.as_str()
            );
            return attempt.end(AttemptError::Permanent(Failure::new(codes::INVOCATION_TIMED_OUT, message))).await;
        }
        self.wait(attempt, next, after).await
    }

    /// The result; `None` while the invocation runs.
    async fn fetch_result(
        &self,
        attempt: &Attempt<'_>,
        started: &StartedInvocation,
    ) -> Result<Option<Completed>, AttemptError> {
        if !attempt.delivery.has_time() {
            return Err(AttemptError::NoTime);
        }
        let polled = async {
            match self.model.poll(&started.arn).await? {
                Invocation::InProgress => Ok(None),
                Invocation::Failed { message, .. } => {
                    Err(AttemptError::Permanent(Failure::new(codes::INVOCATION_FAILED, message)))
                }
                Invocation::Completed { output_uri, ended_at } => {
                    let elapsed = ended_at.unwrap_or_else(now).duration_since(started.started_at);
                    let output = self.outputs.list(&output_uri).await?;
                    let (job_id, number) = (&attempt.job.job_id, attempt.claim.attempt);
                    Ok(Some(Completed {
                        label: None,
                        result: self.results.store(job_id, number, json!({"output": output})).await?,
                        repaired: false,
                        evidence: None,
                        model_id: String::new(),
                        usage: Usage::default(),
                        stop_reason: "Completed".to_owned(),
                        model_latency_ms: elapsed.as_millis().try_into().unwrap_or_default(),
                        chunks: None,
                        completed_at: now(),
                        deduplicated_from: None,
                        fingerprint: None,
                    }))
                }
            }
        };
        // `has_time` above checked that this time remains.
        tokio::time::timeout(self.poll_timeout, polled).await.unwrap_or(Err(AttemptError::NoTime))
    }

    /// Sends the message of the next poll, then lets the stored job wait for it.
    async fn wait(&self, attempt: &Attempt<'_>, started: StartedInvocation, after: Duration) -> Outcome {
        let Attempt { job, delivery, claim, .. } = attempt;
        // The first poll's attributes fit, so these fit too.
        let attributes = message_attributes(attempt, started.poll).unwrap_or_default();
        let body = delivery.body.clone().unwrap_or_default();
        if let Err(error) = self.queue.send_delayed(delivery.source.as_deref(), body, &attributes, after).await {
            return delivery.retry_unavailable(job, &error);
        }
        let lease_until = now() + after + ASYNC_POLL_MARGIN;
        let written = self.jobs.wait(&job.job_id, claim, &started, lease_until, now()).await;
        attempt.after_write(written, Outcome::Acknowledge(Acknowledged::Waiting))
    }
}

/// The attributes of a poll's message; `None` when the body leaves no space for them.
fn message_attributes(attempt: &Attempt<'_>, number: u32) -> Option<Vec<Attribute>> {
    let poll = Poll { generation: attempt.claim.generation, number };
    poll_attributes(poll, attempt.delivery.body.as_deref().unwrap_or_default(), &attempt.delivery.carried)
}
