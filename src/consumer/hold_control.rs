//! The work of control messages: probe a hold, send the messages of waiting jobs, sweep, and
//! continue the retry of a batch.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tracing::{info, warn};

use super::batch_retry;
use super::canary::CanaryVerdict;
use super::gate::Gate;
use super::store_probe::StoreProbe;
use super::sweep::Sweep;
use crate::aws::Unavailable;
use crate::clock::{now, until};
use crate::domain::failure::Failure;
use crate::domain::hold::probe::{ProbeStep, probe_step};
use crate::domain::hold::{Hold, HoldTarget, probe_delay};
use crate::domain::job::outcome::{Acknowledged, Outcome, Retry, RetryReason};
use crate::domain::limits::{
    CONCURRENT_RESENDS, LEASE_MARGIN, NO_TIME_DELAY, RESEND_JOBS, RESEND_LAST_LOOK, RESPONSE_MARGIN, STORE_RESERVE,
};
use crate::domain::message::control::Control;
use crate::metrics::table;

/// Handles control messages.
#[derive(Debug, Clone)]
pub(super) struct HoldControl {
    pub gate: Gate,
    pub store: StoreProbe,
    pub sweep: Sweep,
}

/// The result of a probe.
enum Probed {
    Works,
    Fails(Failure),
    /// The model throttled or the invocation has no time; nothing is known.
    Unknown,
}

impl HoldControl {
    /// Handles one control message.
    pub async fn handle(&self, control: Control, deadline: Timestamp) -> Outcome {
        let handled = match control {
            Control::Probe { target, number } => self.probe(&target, number, deadline).await,
            Control::Resend { target, last_look } => self.resend(&target, last_look).await,
            Control::Sweep(walk) => self.sweep.run(walk, deadline, &self.gate.meter).await,
            Control::Retry(retry) => batch_retry::run(&self.sweep.requeue, retry, deadline).await,
        };
        handled.unwrap_or_else(|error| {
            warn!(service = error.service, code = error.code, "a control message could not be handled");
            Retry::at_visibility_timeout(RetryReason::StoreUnavailable).with_cause(Some(error.cause()))
        })
    }

    async fn probe(&self, target: &HoldTarget, number: u32, deadline: Timestamp) -> Result<Outcome, Unavailable> {
        let jobs = &self.gate.jobs;
        let hold = jobs.get_hold(target).await?;
        match (probe_step(hold.as_ref(), number, now()), hold) {
            (ProbeStep::Superseded, _) => Ok(Outcome::Acknowledge(Acknowledged::Superseded)),
            (ProbeStep::Busy { until: lease_until }, _) => Ok(Retry::after(until(lease_until), RetryReason::ProbeBusy)),
            (ProbeStep::Probe, Some(hold)) => {
                if until(deadline) < self.gate.canary.timeout + STORE_RESERVE + RESPONSE_MARGIN {
                    return Ok(Retry::after(NO_TIME_DELAY, RetryReason::NoTime));
                }
                if !jobs.take_probe(target, number, deadline + LEASE_MARGIN, now()).await? {
                    return Ok(Retry::after(until(deadline) + LEASE_MARGIN, RetryReason::ProbeBusy));
                }
                self.probe_now(hold).await
            }
            (ProbeStep::Ended | ProbeStep::Probe, _) => self.start_resend(target).await,
        }
    }

    async fn probe_now(&self, hold: Hold) -> Result<Outcome, Unavailable> {
        let reason = match self.ask(&hold.target).await {
            Probed::Works => {
                self.gate.jobs.end_hold(&hold.target).await?;
                info!(target = %hold.target, "a probe succeeded, and the hold ended");
                return self.start_resend(&hold.target).await;
            }
            Probed::Fails(reason) => reason,
            Probed::Unknown => hold.reason.clone(),
        };
        let next = hold.probe.saturating_add(1);
        let probe = Control::Probe { target: hold.target.clone(), number: next };
        self.gate.queue.send_control(&probe, probe_delay(hold.kind, next)).await?;
        self.gate.jobs.expect_next_probe(&hold, &reason, now()).await?;
        self.gate.meter.raise(table::HOLDS_OPEN, 1.0);
        warn!(target = %hold.target, probe = hold.probe, code = reason.code, "a probe failed");
        Ok(Outcome::Acknowledge(Acknowledged::Probed))
    }

    /// Sends the first resend message of an ended hold.
    async fn start_resend(&self, target: &HoldTarget) -> Result<Outcome, Unavailable> {
        self.gate.forget_hold(target);
        let resend = Control::Resend { target: target.clone(), last_look: false };
        self.gate.queue.send_control(&resend, std::time::Duration::ZERO).await?;
        Ok(Outcome::Acknowledge(Acknowledged::HoldEnded))
    }

    async fn ask(&self, target: &HoldTarget) -> Probed {
        match target {
            HoldTarget::Model(model_id) => match self.gate.canary.ask(model_id).await {
                CanaryVerdict::Answered => {
                    self.gate.answered(model_id);
                    Probed::Works
                }
                CanaryVerdict::Throttled => Probed::Unknown,
                CanaryVerdict::Failed(_, reason) => Probed::Fails(reason),
            },
            HoldTarget::Store => match self.store.ask().await {
                Ok(()) => Probed::Works,
                Err(reason) => Probed::Fails(reason),
            },
            // A batch has no hold.
            HoldTarget::Batch(_) => Probed::Works,
        }
    }

    /// Sends the messages of at most [`RESEND_JOBS`] waiting jobs, then a further resend
    /// message, until no job waits.
    async fn resend(&self, target: &HoldTarget, last_look: bool) -> Result<Outcome, Unavailable> {
        let resent = Outcome::Acknowledge(Acknowledged::Resent);
        if self.is_blocked(target).await? {
            // The jobs wait again. The end of that wait sends its own resend message.
            return Ok(resent);
        }
        let jobs = &self.gate.jobs;
        let waiting = jobs.waiting_jobs(target, RESEND_JOBS).await?;
        if waiting.is_empty() {
            if !last_look {
                let look = Control::Resend { target: target.clone(), last_look: true };
                self.gate.queue.send_control(&look, RESEND_LAST_LOOK).await?;
            }
            return Ok(resent);
        }
        // The index may show jobs that no longer wait.
        let rows = jobs.get_many_without_results(&waiting).await?;
        let rows = rows.into_iter().filter(|row| row.waiting_for.as_ref() == Some(target));
        let sent = stream::iter(rows)
            .map(async |row| {
                // A job whose document came in its message and is not in the bucket waits for
                // that message.
                if !row.state.status().has_ended() {
                    self.sweep.requeue.send(&row, None).await?;
                }
                jobs.unpark(&row, target).await
            })
            .buffer_unordered(CONCURRENT_RESENDS)
            .collect::<Vec<_>>()
            .await;
        info!(target = %target, jobs = sent.len(), "messages of waiting jobs were sent");
        sent.into_iter().collect::<Result<(), Unavailable>>()?;
        let further = Control::Resend { target: target.clone(), last_look: false };
        // A second gives the index time to drop the jobs that no longer wait.
        self.gate.queue.send_control(&further, std::time::Duration::from_secs(1)).await?;
        Ok(resent)
    }

    async fn is_blocked(&self, target: &HoldTarget) -> Result<bool, Unavailable> {
        match target {
            HoldTarget::Batch(batch_id) => {
                Ok(self.gate.jobs.get_batch(batch_id).await?.is_some_and(|batch| batch.paused.is_some()))
            }
            HoldTarget::Model(_) | HoldTarget::Store => Ok(self.gate.jobs.get_hold(target).await?.is_some()),
        }
    }
}
