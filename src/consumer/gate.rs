//! The gate: whether a call of a model may begin, and what its error shows.
//!
//! A call begins only while neither its model nor the store is on hold. An error of a call
//! is one of three kinds:
//!
//! | error | meaning | effect |
//! | --- | --- | --- |
//! | a fault of the account, by its table | every document would meet it | a hold |
//! | an unknown refusal, or no answer | depends on whether the model answers other requests | see below |
//! | any other | the document's own | as `domain::job::ending` says |
//!
//! The **evidence** for the second kind is an answer of the model, to another request, after
//! the failed call began. Without evidence, the gate asks the model with a canary, at most
//! one at a time in each environment. If the canary succeeds, the error is the document's
//! own. If it fails in the same way, a hold opens, and no attempt is charged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Mutex as AsyncMutex;
use tracing::{info, warn};

use super::canary::{Canary, CanaryVerdict};
use super::delivery::Delivery;
use super::gate_memory::{Known, insert_bounded};
use crate::aws::jobs::Jobs;
use crate::aws::queue::JobsQueue;
use crate::clock::{now, until};
use crate::domain::batch::Batch;
use crate::domain::hold::account_fault::normalised_message;
use crate::domain::hold::{Hold, HoldKind, HoldTarget};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::ending::{AttemptError, OnHold};
use crate::domain::job::{Job, Work};
use crate::domain::limits::{HOLD_TTL, OUTAGE_CANARIES, OWN_ERROR_TTL};
use crate::metrics::Meter;

/// Decides whether calls may begin. Clones share what this environment knows.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub jobs: Jobs,
    pub queue: JobsQueue,
    pub canary: Canary,
    known: Arc<Mutex<Known>>,
    /// Locks: one request for holds or a batch at a time, and one canary at a time.
    pub(super) reading: Arc<AsyncMutex<()>>,
    asking: Arc<AsyncMutex<()>>,
    pub(super) meter: Meter,
}

impl Gate {
    pub fn new(jobs: Jobs, queue: JobsQueue, canary: Canary, meter: Meter) -> Self {
        let (known, reading, asking) = Default::default();
        Self { jobs, queue, canary, known, reading, asking, meter }
    }

    /// The hold or pause that a job must wait for before its claim, if any. A table that does not answer
    /// blocks nothing here: the claim then fails by itself.
    pub async fn blocks(&self, job: &Job, default_model: &str) -> Option<OnHold> {
        let batch = match &job.batch_id {
            Some(batch_id) => self.batch(batch_id).await,
            None => None,
        };
        if let Some(paused) = batch.as_ref().and_then(Batch::paused_on_hold) {
            return Some(paused);
        }
        if let Work::AsyncInvocation(_) = job.work {
            return None;
        }
        let of_job = job.model_id.as_deref().or(job.analysis.as_ref().and_then(|own| own.model_id.as_deref()));
        let of_batch = batch.as_ref().and_then(|batch| batch.analysis.as_ref()?.model_id.as_deref());
        self.blocks_model(of_job.or(of_batch).unwrap_or(default_model)).await
    }

    /// The hold that a call of a model must wait for, if any.
    pub async fn blocks_model(&self, model_id: &str) -> Option<OnHold> {
        let targets = [HoldTarget::Store, HoldTarget::Model(model_id.to_owned())];
        if !targets.iter().all(|target| self.knows_hold(target)) {
            let _reading = self.reading.lock().await;
            let stale: Vec<HoldTarget> = targets.iter().filter(|target| !self.knows_hold(target)).cloned().collect();
            if !stale.is_empty() {
                match self.jobs.get_holds(&stale).await {
                    Ok(mut holds) => {
                        for target in stale {
                            let hold = holds.remove(&target);
                            self.remember_hold(target, hold);
                        }
                    }
                    // A table that does not answer is not asked again at once.
                    Err(error) => {
                        warn!(service = error.service, code = error.code, "the holds could not be read");
                        stale.into_iter().for_each(|target| self.remember_hold(target, None));
                    }
                }
            }
        }
        let known = self.known();
        let hold = targets.iter().find_map(|target| known.holds.get(target)?.0.clone())?;
        Some(OnHold { target: hold.target, reason: hold.reason, charged: false })
    }

    /// Remembers that a model answered a request.
    pub fn answered(&self, model_id: &str) {
        let mut known = self.known();
        known.in_doubt.remove(model_id);
        known.recent_calls(model_id).add_answered();
        insert_bounded(&mut known.answered, model_id.to_owned(), now());
    }

    /// Asks a model with a canary before a call, if an earlier error left it in doubt.
    ///
    /// # Errors
    /// The hold that the call must wait for, if the canary opened one.
    pub async fn resolve_doubt(&self, model_id: &str, delivery: &Delivery) -> Result<(), AttemptError> {
        let Some(doubted_at) = self.known().in_doubt.get(model_id).copied() else { return Ok(()) };
        match self.ask(model_id, doubted_at, delivery).await {
            Verdict::Answers | Verdict::Unknown => {
                self.known().in_doubt.remove(model_id);
                Ok(())
            }
            Verdict::Ends(error) => Err(error),
        }
    }

    /// Says what the error of a job's call shows: the document's own error, a hold, or
    /// neither.
    ///
    /// `begun` is the time at which the call began.
    pub async fn judge(
        &self,
        (job_id, model_id): (&JobId, &str),
        error: AttemptError,
        begun: Timestamp,
        delivery: &Delivery,
    ) -> AttemptError {
        let failure = match &error {
            AttemptError::AccountFault(reason) => {
                let target = HoldTarget::Model(model_id.to_owned());
                return self.open(target, HoldKind::AccountFault, reason.clone()).await;
            }
            AttemptError::Refused(failure) | AttemptError::NoAnswer(failure) => failure.clone(),
            _ => return error,
        };
        let is_refusal = matches!(error, AttemptError::Refused(_));
        if !is_refusal {
            self.known().recent_calls(model_id).add_unanswered(job_id.clone());
        }
        let own = if is_refusal { AttemptError::Permanent } else { AttemptError::Transient };
        let name = (model_id.to_owned(), failure.code.clone(), normalised_message(&failure.message));
        if is_refusal && self.known().own_errors.get(&name).is_some_and(|at| now() < *at + OWN_ERROR_TTL) {
            return own(failure);
        }
        match self.ask(model_id, begun, delivery).await {
            Verdict::Answers => {
                if is_refusal {
                    insert_bounded(&mut self.known().own_errors, name, now());
                }
                own(failure)
            }
            Verdict::Ends(error) => error,
            Verdict::Unknown => {
                insert_bounded(&mut self.known().in_doubt, model_id.to_owned(), begun);
                AttemptError::Unproven { error: failure, is_refusal }
            }
        }
    }

    /// Whether the model answers other requests: it answered one after `since`, or it
    /// answers the canary.
    async fn ask(&self, model_id: &str, since: Timestamp, delivery: &Delivery) -> Verdict {
        if self.is_answering(model_id, since) {
            return Verdict::Answers;
        }
        let time = until(delivery.deadline).saturating_sub(Delivery::time_after_call());
        if time < self.canary.timeout {
            return Verdict::Unknown;
        }
        let Ok(_asking) = tokio::time::timeout(time - self.canary.timeout, self.asking.lock()).await else {
            return Verdict::Unknown;
        };
        // Another record's canary may have answered the question.
        if self.is_answering(model_id, since) {
            return Verdict::Answers;
        }
        if let Some(on_hold) = self.blocks_model(model_id).await {
            return Verdict::Ends(AttemptError::OnHold(on_hold));
        }
        let verdict = self.ask_canaries(model_id, since, delivery).await;
        info!(model_id, verdict = verdict.name(), "canaries asked whether the model answers");
        match verdict {
            CanaryVerdict::Answered => {
                self.known().recent.remove(model_id);
                self.answered(model_id);
                Verdict::Answers
            }
            CanaryVerdict::Throttled => Verdict::Unknown,
            // The hold is open before the next record may ask.
            CanaryVerdict::Failed(kind, reason) => {
                Verdict::Ends(self.open(HoldTarget::Model(model_id.to_owned()), kind, reason).await)
            }
        }
    }

    /// Sends canaries until they decide, or until no time is left for another one.
    ///
    /// One failure is enough while most calls fail. Otherwise two must fail, because a
    /// model that fails few of its calls may fail a canary too.
    async fn ask_canaries(&self, model_id: &str, since: Timestamp, delivery: &Delivery) -> CanaryVerdict {
        let is_failing = self.known().recent_calls(model_id).mostly_fail();
        let failures_needed = if is_failing { 1 } else { 2 };
        let (mut asked, mut failures) = (0, 0);
        loop {
            let verdict = self.canary.ask(model_id).await;
            asked += 1;
            failures += u32::from(matches!(verdict, CanaryVerdict::Failed(..)));
            let is_decided = match verdict {
                CanaryVerdict::Answered => !is_failing,
                CanaryVerdict::Failed(HoldKind::Outage, _) => failures == failures_needed,
                CanaryVerdict::Failed(..) | CanaryVerdict::Throttled => true,
            };
            let has_time = until(delivery.deadline).saturating_sub(Delivery::time_after_call()) >= self.canary.timeout;
            if is_decided || asked == OUTAGE_CANARIES || !has_time {
                return verdict;
            }
            if !is_failing && self.has_answered(model_id, since) {
                return CanaryVerdict::Answered;
            }
        }
    }

    /// Whether the model answered another request after `since`, and does not fail most
    /// calls.
    fn is_answering(&self, model_id: &str, since: Timestamp) -> bool {
        self.has_answered(model_id, since) && !self.known().recent_calls(model_id).mostly_fail()
    }

    fn has_answered(&self, model_id: &str, since: Timestamp) -> bool {
        self.known().answered.get(model_id).is_some_and(|at| *at >= since)
    }

    pub(super) fn knows_hold(&self, target: &HoldTarget) -> bool {
        self.known().holds.get(target).is_some_and(|(_, read_at)| now() < *read_at + HOLD_TTL)
    }

    pub(super) fn remember_hold(&self, target: HoldTarget, hold: Option<Hold>) {
        insert_bounded(&mut self.known().holds, target, (hold, now()));
    }

    /// A batch, read at most every [`HOLD_TTL`].
    async fn batch(&self, batch_id: &BatchId) -> Option<Batch> {
        let find = || {
            let known = self.known();
            known
                .batches
                .get(batch_id)
                .filter(|(_, read_at)| now() < *read_at + HOLD_TTL)
                .map(|(batch, _)| batch.clone())
        };
        if let Some(batch) = find() {
            return batch;
        }
        let _reading = self.reading.lock().await;
        if let Some(batch) = find() {
            return batch;
        }
        match self.jobs.get_batch(batch_id).await {
            Ok(batch) => {
                insert_bounded(&mut self.known().batches, batch_id.clone(), (batch.clone(), now()));
                batch
            }
            Err(error) => {
                warn!(service = error.service, code = error.code, "the batch could not be read");
                None
            }
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a model after an error.
enum Verdict {
    /// The model answers other requests.
    Answers,
    /// The model is on hold: it does not answer the canary either, or another error
    /// showed that.
    Ends(AttemptError),
    /// There was no time to ask, or the model throttled.
    Unknown,
}
