//! One claimed job, and every way in which its attempt ends.

use tracing::warn;

use super::batches::Batches;
use super::delivery::Delivery;
use super::parking::Parking;
use crate::aws::Unavailable;
use crate::aws::jobs::{CompleteError, Fenced, Jobs};
use crate::aws::queue::DeadLetterQueue;
use crate::clock::now;
use crate::domain::batch::Batch;
use crate::domain::document::DocumentRecord;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::Job;
use crate::domain::job::claim::Claim;
use crate::domain::job::ending::{AttemptContext, AttemptError, Ending, decide_ending};
use crate::domain::job::outcome::{Acknowledged, Outcome, Retry};
use crate::domain::job::stored::{Completed, State, StoredJob};
use crate::domain::message::dead_letter::DeadLetter;

/// Writes the endings of attempts.
#[derive(Debug, Clone)]
pub(super) struct Endings {
    pub jobs: Jobs,
    pub batches: Batches,
    pub dead_letters: DeadLetterQueue,
    pub max_attempts: u32,
}

/// A claimed job.
pub(super) struct Attempt<'a> {
    pub endings: &'a Endings,
    pub job: Job,
    pub delivery: Delivery,
    pub claim: Claim,
    /// Stores a document that came in the message, before its job waits.
    pub parking: &'a Parking,
}

impl Attempt<'_> {
    /// The settings of the job's batch, if the API stored any.
    pub async fn batch(&self) -> Result<Option<Batch>, AttemptError> {
        match &self.claim.batch_id {
            Some(batch_id) => Ok(self.endings.batches.get_or_register(batch_id).await?),
            None => Ok(None),
        }
    }

    /// Stores the result.
    pub async fn complete(&self, completed: Completed, document: DocumentRecord) -> Outcome {
        let written = match self.endings.jobs.complete(&self.job.job_id, &self.claim, &completed, &document).await {
            Ok(fenced) => Ok(fenced),
            Err(CompleteError::Unavailable(error)) => Err(error),
            Err(CompleteError::Rejected(failure)) => return self.end(AttemptError::Permanent(failure)).await,
        };
        self.after_write(written, Outcome::Acknowledge(Acknowledged::Completed))
    }

    /// Ends an attempt that has no result.
    pub async fn end(&self, error: AttemptError) -> Outcome {
        let context = AttemptContext {
            charged_attempts: self.claim.charged_attempts,
            max_attempts: self.endings.max_attempts,
            unproven_errors: self.claim.unproven_errors,
            receive_count: self.delivery.receive_count,
            random: fastrand::f64(),
        };
        let (jobs, job_id) = (&self.endings.jobs, &self.job.job_id);
        match decide_ending(error, context) {
            Ending::Release(release) => {
                let document = match &release.waiting_for {
                    Some(_) => self.parking.store_document(&self.job).await,
                    None => None,
                };
                let written = jobs.release(job_id, &self.claim, &release, document.as_ref(), now()).await;
                let retried = Retry::after(release.after, release.reason).with_cause(release.cause());
                let retried = retried.with_charge(release.charged);
                self.after_write(written, retried)
            }
            Ending::Fail(failure) => self.fail(failure).await,
            Ending::Cancel => {
                let written = jobs.mark_cancelled(job_id, &self.claim, now()).await;
                self.after_write(written, Outcome::Acknowledge(Acknowledged::Cancelled))
            }
        }
    }

    /// The outcome of a message after a write that is fenced by this attempt.
    pub fn after_write(&self, write: Result<Fenced, Unavailable>, written: Outcome) -> Outcome {
        outcome_of_write(&self.job, &self.delivery, write, written)
    }

    /// A worker that slept past its lease sends no dead letter: another worker may
    /// have the job.
    async fn fail(&self, failure: Failure) -> Outcome {
        let (job_id, attempt) = (&self.job.job_id, self.claim.attempt);
        warn!(job_id = job_id.as_str(), attempt, code = failure.code, "job failed");
        if now() >= self.claim.lease_until {
            return self.delivery.retry_lost_lease();
        }
        // A job that was cancelled while it ran gets no dead letter.
        if let Ok(Some(StoredJob { state: State::Cancelled { .. }, .. })) = self.endings.jobs.get(job_id).await {
            return Outcome::Acknowledge(Acknowledged::AlreadyFinished);
        }
        let write = self.endings.jobs.fail(job_id, &self.claim, &failure, now());
        self.endings.send_dead_letter_then(&self.job, &self.delivery, &failure, attempt, write).await
    }
}

impl Endings {
    /// Fails a job whose last allowed attempt fell silent.
    pub async fn fail_exhausted(&self, job: &Job, delivery: &Delivery, attempt: u32, charged_attempts: u32) -> Outcome {
        let failure = Failure::attempts_exhausted(charged_attempts, None);
        let write = self.jobs.fail_expired_lease(&job.job_id, attempt, &failure, now());
        self.send_dead_letter_then(job, delivery, &failure, attempt, write).await
    }

    /// Sends a message to the dead-letter queue that names another document than the stored
    /// job. The stored job does not change.
    pub async fn refuse_message(&self, job: &Job, delivery: &Delivery) -> Outcome {
        let failure = Failure::new(
            codes::DOCUMENT_MISMATCH,
            "the job with this id has another document or request; send the message with another job_id",
        );
        warn!(job_id = job.job_id.as_str(), code = failure.code, "a message was refused");
        let letter = DeadLetter::new(delivery.body.as_deref(), delivery.carried.clone(), &failure, None);
        match self.dead_letters.send(letter).await {
            Ok(()) => Outcome::Acknowledge(Acknowledged::DeadLettered),
            Err(error) => delivery.retry_unavailable(job, &error),
        }
    }

    /// Sends the dead letter, then marks the job `failed`, then acknowledges. A crash
    /// between two of these steps repeats the first and loses nothing.
    ///
    /// `write` marks the stored job `failed`; it runs only when it is awaited here.
    async fn send_dead_letter_then(
        &self,
        job: &Job,
        delivery: &Delivery,
        failure: &Failure,
        attempt: u32,
        write: impl Future<Output = Result<Fenced, Unavailable>>,
    ) -> Outcome {
        let (body, carried) = (delivery.body.as_deref(), delivery.carried.clone());
        let letter = DeadLetter::new(body, carried, failure, Some((&job.job_id, attempt)));
        if let Err(error) = self.dead_letters.send(letter).await {
            return delivery.retry_unavailable(job, &error);
        }
        outcome_of_write(job, delivery, write.await, Outcome::Acknowledge(Acknowledged::DeadLettered))
    }
}

fn outcome_of_write(job: &Job, delivery: &Delivery, write: Result<Fenced, Unavailable>, written: Outcome) -> Outcome {
    match write {
        Ok(Fenced::Written) => written,
        Ok(Fenced::Lost) => delivery.retry_lost_lease(),
        Err(error) => delivery.retry_unavailable(job, &error),
    }
}
