//! One job: claim → fetch → converse → complete, and every way it can end.

use jiff::Timestamp;
use tracing::warn;
use uuid::Uuid;

use super::Consumer;
use super::admission::{Asker, NotAdmitted, Permit};
use super::analyse::analyse;
use super::long_running;
use super::record::Handled;
use super::result::store_unavailable;
use super::room::Taken;
use crate::aws::Unavailable;
use crate::aws::jobs::{ClaimAnswer, CompleteError, Fenced};
use crate::aws::model::Call;
use crate::clock::{now, until};
use crate::domain::analysis::Analysis;
use crate::domain::backoff::full_jitter;
use crate::domain::batch::Batch;
use crate::domain::claim::{Claim, Claimant, Refusal};
use crate::domain::dead_letter::{Attribute, DeadLetter};
use crate::domain::document::{Document, DocumentRecord, sha256_hex};
use crate::domain::ending::{self, AttemptError, Ending, Situation};
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::Owner;
use crate::domain::job::{DocumentSource, Job, Work};
use crate::domain::limits::{ASYNC_CHECK_FIRST, FETCH_RESERVE, LEASE_MARGIN, NO_TIME_DELAY};
use crate::domain::outcome::{Acknowledged, Again, AgainReason, Outcome};
use crate::domain::row::{Completed, Row, State};

/// The message that brought a job, as far as its endings need it.
pub(super) struct Delivery {
    pub body: Option<String>,
    pub carried: Vec<Attribute>,
    pub receive_count: u32,
    pub deadline: Timestamp,
    /// The ARN of the queue that it came from.
    pub source: Option<String>,
}

impl Delivery {
    /// For whom a call is admitted: it must begin while there is time for a job.
    pub fn asker(&self, consumer: &Consumer) -> Asker<'_> {
        let latest_start = self.deadline - consumer.time_for_a_job();
        Asker { source: self.source.as_deref(), receive_count: self.receive_count, latest_start }
    }

    /// When a claim for it ends by itself.
    pub fn lease_until(&self) -> Timestamp {
        self.deadline + LEASE_MARGIN
    }
}

/// Handles one job.
pub(super) async fn handle(consumer: &Consumer, job: Job, delivery: Delivery) -> Handled {
    if !has_time(consumer, &delivery) {
        let after = NO_TIME_DELAY.mul_f64(fastrand::f64());
        return Handled::without_usage(Again::after(after, AgainReason::NoTime));
    }
    let owner = Owner::new(Uuid::new_v4());
    if let Work::LongRunning(_) = job.work {
        match long_running::take(consumer, &job, &delivery, &owner).await {
            Ok(Some(claim)) => return Attempt { consumer, job, delivery, claim }.run(None).await,
            Ok(None) => {}
            Err(outcome) => return Handled::without_usage(outcome),
        }
    }
    let permit = match admit(consumer, &job, &delivery).await {
        Ok(permit) => permit,
        Err(outcome) => return Handled::without_usage(outcome),
    };
    let claimant = Claimant { owner: &owner, redrive_of: job.redrive_of, max_tries: consumer.max_tries };
    match consumer.jobs.claim(&job, &claimant, now(), delivery.lease_until()).await {
        Ok(ClaimAnswer::Claimed(claim)) => Attempt { consumer, job, delivery, claim }.run(permit).await,
        Ok(ClaimAnswer::Refused(refusal)) => Handled::without_usage(refused(consumer, &job, delivery, refusal).await),
        Err(error) => Handled::without_usage(unavailable(&job, &delivery, &error)),
    }
}

/// Admits a document whose call is kept to a quota. What waits has no claim, and
/// its row is as it is.
async fn admit(consumer: &Consumer, job: &Job, delivery: &Delivery) -> Result<Option<Permit>, Outcome> {
    let (Some(admission), Work::Document(source)) = (&consumer.admission, &job.work) else { return Ok(None) };
    let asked = job.analysis.as_ref();
    let named = job.model_id.as_deref().or(asked.and_then(|asked| asked.model_id.as_deref()));
    if named.is_some_and(|named| !admission.is_of(named)) {
        return Ok(None);
    }
    let input_bytes = match source {
        DocumentSource::Inline(text) => {
            Some(text.len().min(consumer.part_max_bytes) + Analysis::standard().prompt_bytes())
        }
        DocumentSource::S3(_) => None,
    };
    let max_tokens = asked.and_then(|asked| asked.max_tokens);
    match admission.admit(None, input_bytes, max_tokens, delivery.asker(consumer)).await {
        Ok(permit) => Ok(Some(permit)),
        Err(NotAdmitted::OverQuota(after)) => Err(Again::after(after, AgainReason::OverQuota)),
        Err(NotAdmitted::Unavailable(error)) => Err(unavailable(job, delivery, &error)),
        Err(NotAdmitted::NoTime) => Err(Again::after(NO_TIME_DELAY.mul_f64(fastrand::f64()), AgainReason::NoTime)),
        // It fails with its reason once it is claimed.
        Err(NotAdmitted::NeverFits) => Ok(None),
    }
}

/// What becomes of a message whose job is not to be had.
async fn refused(consumer: &Consumer, job: &Job, delivery: Delivery, refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Finished => Outcome::Acknowledge(Acknowledged::AlreadyFinished),
        Refusal::Busy { until: lease_until } => {
            let after = match job.work {
                Work::Document(_) => until(lease_until),
                // Its row waits soon, and then this copy is one too many.
                Work::LongRunning(_) => until(lease_until).min(ASYNC_CHECK_FIRST),
            };
            Again::after(after, AgainReason::Busy)
        }
        Refusal::Exhausted { attempt, tries } => {
            let failure = Failure::tries_exhausted(tries, None);
            let write = consumer.jobs.fail_silent(&job.job_id, attempt, &failure, now());
            dead_letter_then(consumer, job, &delivery, &failure, attempt, write).await
        }
    }
}

/// A claimed job.
pub(super) struct Attempt<'a> {
    pub consumer: &'a Consumer,
    pub job: Job,
    pub delivery: Delivery,
    pub claim: Claim,
}

impl Attempt<'_> {
    async fn run(mut self, permit: Option<Permit>) -> Handled {
        if let Work::LongRunning(_) = self.job.work {
            // Its token or its row finds the invocation again: none is paid for twice.
            self.claim.took_over = false;
        }
        let (job_id, attempt) = (self.job.job_id.as_str(), self.claim.attempt);
        if self.claim.took_over {
            warn!(job_id, attempt, "took over from a worker that fell silent: its call may have been made");
        }
        let source = match &self.job.work {
            Work::Document(source) => source,
            Work::LongRunning(request) => return Handled::without_usage(self.invoke(request).await),
        };
        match self.work(source, permit).await {
            Ok((completed, document)) => {
                let usage = Some(completed.usage);
                Handled { outcome: self.complete(completed, document).await, usage }
            }
            Err(error) => Handled::without_usage(self.end(error).await),
        }
    }

    /// Everything between the claim and its ending. The row is not written here.
    async fn work(
        &self,
        source: &DocumentSource,
        permit: Option<Permit>,
    ) -> Result<(Completed, DocumentRecord), AttemptError> {
        let batch = self.batch().await?;
        if batch.as_ref().is_some_and(|batch| batch.cancelled_at.is_some()) {
            return Err(AttemptError::Cancelled);
        }
        let of_batch = batch.as_ref().and_then(|batch| batch.analysis.as_ref());
        let asked = self.claim.analysis.as_deref().or(of_batch);
        let own = asked.map(Analysis::new).transpose();
        let own = own.map_err(|invalid| AttemptError::Permanent(invalid.into()))?;
        let analysis = own.as_ref().unwrap_or_else(|| Analysis::standard());
        let of_analysis = asked.and_then(|asked| asked.model_id.as_deref());
        let model_id = self.claim.model_id.as_deref().or(of_analysis).unwrap_or(self.consumer.model.model_id());
        let time = until(self.delivery.deadline).saturating_sub(self.consumer.time_for_a_job());
        let fetched = tokio::time::timeout(time, self.fetch(source)).await;
        let (document, record, _room) = fetched.map_err(|_| {
            // What began late is not the document's fault, nor the bucket's.
            if time < FETCH_RESERVE {
                return AttemptError::NoTime;
            }
            let message = "the document could not be read in the time that was left for it";
            AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
        })??;
        if !has_time(self.consumer, &self.delivery) {
            return Err(AttemptError::NoTime);
        }
        let deduplicate = batch.as_ref().and_then(|batch| batch.deduplicate).unwrap_or(self.consumer.deduplicate);
        let sha256 = record.sha256.as_deref().unwrap_or_default();
        let call = Call { job_id: &self.job.job_id, attempt: self.claim.attempt, model_id, analysis };
        let fingerprint = self.consumer.fingerprint(&call, sha256);
        if deduplicate
            && let Some(completed) = self.consumer.same_as_before(call.job_id, call.attempt, &fingerprint).await?
        {
            return Ok((completed, record));
        }
        let answer = analyse(self.consumer, &call, document, &fingerprint, permit, &self.delivery).await?;
        let completed = self.consumer.answered(&self.job.job_id, self.claim.attempt, answer, fingerprint).await?;
        Ok((completed, record))
    }

    /// What was said about the job's batch.
    pub(super) async fn batch(&self) -> Result<Option<Batch>, AttemptError> {
        match &self.claim.batch_id {
            Some(batch_id) => self.consumer.jobs.batch(batch_id).await.map_err(store_unavailable),
            None => Ok(None),
        }
    }

    /// The document, what the row keeps of it, and its room in memory. One that
    /// came in the message is in memory already.
    async fn fetch(&self, source: &DocumentSource) -> Result<(Document, DocumentRecord, Option<Taken>), AttemptError> {
        let mut record = DocumentRecord::default();
        let (name, bytes, room) = match source {
            DocumentSource::Inline(text) => (None, text.clone().into_bytes(), None),
            DocumentSource::S3(at) => {
                record.bucket = Some(at.bucket.clone());
                record.key = Some(at.key.clone());
                record.version_id = at.version_id.clone();
                let (bytes, room) = self.consumer.read(at, self.delivery.deadline).await?;
                (Some(at.key.as_str()), bytes, Some(room))
            }
        };
        record.size_bytes = Some(bytes.len() as u64);
        record.sha256 = Some(sha256_hex(&bytes));
        Ok((Document::new(name, bytes).map_err(AttemptError::Permanent)?, record, room))
    }

    pub(super) async fn complete(&self, completed: Completed, document: DocumentRecord) -> Outcome {
        let written = match self.consumer.jobs.complete(&self.job.job_id, &self.claim, &completed, &document).await {
            Ok(fenced) => Ok(fenced),
            Err(CompleteError::Unavailable(error)) => Err(error),
            Err(CompleteError::Rejected(failure)) => return self.end(AttemptError::Permanent(failure)).await,
        };
        after_write(&self.job, &self.delivery, written, Outcome::Acknowledge(Acknowledged::Completed))
    }

    /// Ends an attempt that gave no result.
    pub(super) async fn end(&self, error: AttemptError) -> Outcome {
        let situation = Situation {
            tries: self.claim.tries,
            max_tries: self.consumer.max_tries,
            receive_count: self.delivery.receive_count,
            random: fastrand::f64(),
        };
        match ending::of(error, situation) {
            Ending::Release { charged, after, reason } => {
                let written = self.consumer.jobs.release(&self.job.job_id, &self.claim, charged, now()).await;
                after_write(&self.job, &self.delivery, written, Again::after(after, reason))
            }
            Ending::Fail(failure) => self.fail(failure).await,
            Ending::GiveUp => {
                let written = self.consumer.jobs.give_up(&self.job.job_id, &self.claim, now()).await;
                after_write(&self.job, &self.delivery, written, Outcome::Acknowledge(Acknowledged::Cancelled))
            }
        }
    }

    /// A worker that slept past its lease sends nothing: the job may be another's.
    async fn fail(&self, failure: Failure) -> Outcome {
        let (job_id, attempt) = (&self.job.job_id, self.claim.attempt);
        warn!(job_id = job_id.as_str(), attempt, code = failure.code, "job failed");
        if now() >= self.claim.lease_until {
            return lease_lost(&self.delivery);
        }
        // Cancelled while it ran: dropped, and no dead letter.
        if let Ok(Some(Row { state: State::Cancelled, .. })) = self.consumer.jobs.get(job_id).await {
            return Outcome::Acknowledge(Acknowledged::AlreadyFinished);
        }
        let write = self.consumer.jobs.fail(job_id, &self.claim, &failure, now());
        dead_letter_then(self.consumer, &self.job, &self.delivery, &failure, attempt, write).await
    }
}

/// The dead-letter queue first, then the row, then the acknowledgement: a crash
/// between two of them repeats the first and never loses. `write` marks the row
/// `failed`; it does nothing until it is awaited here.
async fn dead_letter_then(
    consumer: &Consumer,
    job: &Job,
    delivery: &Delivery,
    failure: &Failure,
    attempt: u32,
    write: impl Future<Output = Result<Fenced, Unavailable>>,
) -> Outcome {
    let (body, carried) = (delivery.body.as_deref(), delivery.carried.clone());
    let letter = DeadLetter::new(body, carried, failure, Some((&job.job_id, attempt)));
    if let Err(error) = consumer.dead_letters.send(letter).await {
        return unavailable(job, delivery, &error);
    }
    after_write(job, delivery, write.await, Outcome::Acknowledge(Acknowledged::DeadLettered))
}

/// What becomes of a message after the write that ends its attempt.
pub(super) fn after_write(
    job: &Job,
    delivery: &Delivery,
    write: Result<Fenced, Unavailable>,
    written: Outcome,
) -> Outcome {
    match write {
        Ok(Fenced::Written) => written,
        Ok(Fenced::Lost) => lease_lost(delivery),
        Err(error) => unavailable(job, delivery, &error),
    }
}

pub(super) fn has_time(consumer: &Consumer, delivery: &Delivery) -> bool {
    until(delivery.deadline) >= consumer.time_for_a_job()
}

fn lease_lost(delivery: &Delivery) -> Outcome {
    Again::after(full_jitter(delivery.receive_count, fastrand::f64()), AgainReason::LeaseLost)
}

/// The row is as it is; a lease on it ends by itself.
pub(super) fn unavailable(job: &Job, delivery: &Delivery, error: &Unavailable) -> Outcome {
    warn!(job_id = job.job_id.as_str(), service = error.service, code = error.code, "a service did not answer");
    Again::after(full_jitter(delivery.receive_count, fastrand::f64()), AgainReason::StoreUnavailable)
}
