//! A job for a model that works for minutes: its invocation is started, and
//! then checked by messages with a delay, so that no function waits for it.
//!
//! `domain::check` draws the order of events, and says why no job is lost.

use std::time::Duration;

use serde_json::json;
use tracing::{info, warn};

use super::Consumer;
use super::job::{Attempt, Delivery, after_write, has_time, unavailable};
use super::result::store_unavailable;
use crate::aws::async_invoke::Start;
use crate::clock::now;
use crate::domain::async_job::{AsyncInvoke, Invocation, check_delay, client_request_token, output_uri};
use crate::domain::backoff::full_jitter;
use crate::domain::check::{Check, StartedInvocation, Step, step};
use crate::domain::claim::Claim;
use crate::domain::dead_letter::Attribute;
use crate::domain::document::DocumentRecord;
use crate::domain::ending::AttemptError;
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::Owner;
use crate::domain::job::Job;
use crate::domain::limits::{ASYNC_CHECK_MARGIN, ASYNC_MAX_AGE};
use crate::domain::outcome::{Acknowledged, Again, AgainReason, Outcome};
use crate::domain::row::{Completed, Usage};

/// What comes before the claim: `None` when the job is claimed as any other is.
///
/// # Errors
/// What becomes of a message that has nothing to take.
pub(super) async fn take(
    consumer: &Consumer,
    job: &Job,
    delivery: &Delivery,
    owner: &Owner,
) -> Result<Option<Claim>, Outcome> {
    let unavailable = |error| unavailable(job, delivery, &error);
    let row = consumer.jobs.get(&job.job_id).await.map_err(unavailable)?;
    match step(row.as_ref(), job.check, now()) {
        Step::Claim => Ok(None),
        Step::Superseded => Err(Outcome::Acknowledge(Acknowledged::Superseded)),
        Step::Take { attempt } => {
            let taken = consumer.jobs.take(&job.job_id, attempt, owner, now(), delivery.lease_until()).await;
            match taken.map_err(unavailable)? {
                Some(claim) => Ok(Some(claim)),
                // Another copy was faster. It may fail yet, so this one stays.
                None => Err(Again::after(full_jitter(delivery.receive_count, fastrand::f64()), AgainReason::LeaseLost)),
            }
        }
    }
}

impl Attempt<'_> {
    /// Starts the job's invocation, or asks how it goes.
    pub(super) async fn invoke(&self, request: &AsyncInvoke) -> Outcome {
        match self.claim.invocation.clone() {
            None => self.start(request).await,
            Some(started) => self.check(request, started).await,
        }
    }

    async fn start(&self, request: &AsyncInvoke) -> Outcome {
        let (consumer, job_id, generation) = (self.consumer, &self.job.job_id, self.claim.generation);
        let token = client_request_token(&consumer.bucket, job_id, generation);
        let started = async {
            if self.batch().await?.is_some_and(|batch| batch.cancelled_at.is_some()) {
                return Err(AttemptError::Cancelled);
            }
            if self.check_message(1).is_none() {
                let message = "the job's message is so large that none can be sent to check its invocation";
                return Err(AttemptError::Permanent(Failure::new(codes::MESSAGE_TOO_LARGE, message)));
            }
            if !has_time(consumer, &self.delivery) {
                return Err(AttemptError::NoTime);
            }
            let output_uri = &output_uri(&consumer.bucket, job_id);
            consumer.async_model.start(&Start { request, output_uri, token: &token }).await
        };
        match started.await {
            Ok(arn) => {
                info!(job_id = job_id.as_str(), generation, invocation_arn = arn.as_str(), "invocation started");
                let started = StartedInvocation { arn, started_at: now(), check: 1, is_waiting: true };
                self.wait(started, check_delay(1)).await
            }
            Err(error) => self.end(error).await,
        }
    }

    /// A check that gets no answer is made again, later each time; the age that
    /// an invocation may have ends that.
    async fn check(&self, request: &AsyncInvoke, started: StartedInvocation) -> Outcome {
        let number = started.check.saturating_add(1);
        let next = StartedInvocation { check: number, is_waiting: true, ..started };
        let after = match self.ask(&next).await {
            Ok(Some(completed)) => {
                let completed = Completed { model_id: request.model_id.clone(), ..completed };
                return self.complete(completed, DocumentRecord::default()).await;
            }
            Err(AttemptError::Permanent(failure)) => return self.end(AttemptError::Permanent(failure)).await,
            Ok(None) => check_delay(number),
            Err(AttemptError::Throttled(failure) | AttemptError::Transient(failure)) => {
                let job_id = self.job.job_id.as_str();
                warn!(job_id, code = failure.code, "a check got no answer");
                full_jitter(number, fastrand::f64())
            }
            Err(AttemptError::NoTime | AttemptError::OverQuota(_) | AttemptError::Cancelled) => {
                full_jitter(1, fastrand::f64())
            }
        };
        if now() >= next.started_at + ASYNC_MAX_AGE {
            let message = format!(
                "it had no end within {} h; Bedrock may tell more of {}",
                ASYNC_MAX_AGE.as_secs() / 3600,
                next.arn.as_str()
            );
            return self.end(AttemptError::Permanent(Failure::new(codes::INVOCATION_TIMED_OUT, message))).await;
        }
        self.wait(next, after).await
    }

    /// The result; `None` while it runs.
    async fn ask(&self, started: &StartedInvocation) -> Result<Option<Completed>, AttemptError> {
        if !has_time(self.consumer, &self.delivery) {
            return Err(AttemptError::NoTime);
        }
        let asked = async {
            match self.consumer.async_model.check(&started.arn).await? {
                Invocation::InProgress => Ok(None),
                Invocation::Failed { message, .. } => {
                    Err(AttemptError::Permanent(Failure::new(codes::INVOCATION_FAILED, message)))
                }
                Invocation::Completed { output_uri, ended_at } => {
                    let took = ended_at.unwrap_or_else(now).duration_since(started.started_at);
                    let output = self.consumer.documents.list(&output_uri).await.map_err(store_unavailable)?;
                    let (job_id, attempt) = (&self.job.job_id, self.claim.attempt);
                    Ok(Some(Completed {
                        result: self.consumer.store(job_id, attempt, json!({"output": output})).await?,
                        model_id: String::new(),
                        usage: Usage::default(),
                        stop_reason: "Completed".to_owned(),
                        model_ms: took.as_millis().try_into().unwrap_or_default(),
                        parts: None,
                        completed_at: now(),
                        deduplicated_from: None,
                        fingerprint: None,
                    }))
                }
            }
        };
        // The time that was looked for before.
        tokio::time::timeout(self.consumer.model.timeout(), asked).await.unwrap_or(Err(AttemptError::NoTime))
    }

    /// Sends the message of the next check, then has the row wait for it.
    async fn wait(&self, started: StartedInvocation, after: Duration) -> Outcome {
        let (job, delivery) = (&self.job, &self.delivery);
        // It had room for the first.
        let attributes = self.check_message(started.check).unwrap_or_default();
        let body = delivery.body.clone().unwrap_or_default();
        let sent = self.consumer.queue.send_later(delivery.source.as_deref(), body, &attributes, after).await;
        if let Err(error) = sent {
            return unavailable(job, delivery, &error);
        }
        let lease_until = now() + after + ASYNC_CHECK_MARGIN;
        let written = self.consumer.jobs.wait(&job.job_id, &self.claim, &started, lease_until, now()).await;
        after_write(job, delivery, written, Outcome::Acknowledge(Acknowledged::Waiting))
    }

    /// The attributes of a check's message, if there is room for them.
    fn check_message(&self, number: u32) -> Option<Vec<Attribute>> {
        let check = Check { generation: self.claim.generation, number };
        check.attributes(self.delivery.body.as_deref().unwrap_or_default(), &self.delivery.carried)
    }
}
