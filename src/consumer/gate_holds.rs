//! The holds of the gate: they are opened here, and their lost probes are sent again.

use std::time::Duration;

use tracing::warn;

use super::gate::Gate;
use crate::clock::now;
use crate::domain::failure::Failure;
use crate::domain::hold::{Hold, HoldKind, HoldTarget, probe_delay};
use crate::domain::job::ending::{AttemptError, OnHold};
use crate::domain::limits::HOLD_PROBE_MARGIN;
use crate::domain::message::control::Control;
use crate::metrics::table;

impl Gate {
    /// Opens a hold, unless one exists for its target: sends its first probe, then stores
    /// it. A crash between the two leaves a probe that finds no hold.
    pub async fn open(&self, target: HoldTarget, kind: HoldKind, reason: Failure) -> AttemptError {
        let waiting = AttemptError::OnHold(OnHold { target: target.clone(), reason: reason.clone(), charged: false });
        // One record of the batch opens the hold; the others find it. A hold that was read
        // long ago may have ended.
        let _reading = self.reading.lock().await;
        if self.knows_hold(&target) && self.known().holds.get(&target).is_some_and(|(hold, _)| hold.is_some()) {
            return waiting;
        }
        let hold = Hold::new(target.clone(), kind, reason, now());
        let probe = Control::Probe { target: target.clone(), number: hold.probe };
        let opened = async {
            self.queue.send_control(&probe, probe_delay(kind, hold.probe)).await?;
            self.jobs.open_hold(&hold).await
        };
        match opened.await {
            Ok(is_new) => {
                if is_new {
                    self.meter.raise(table::HOLDS_OPEN, 1.0);
                    warn!(target = %target, kind = ?kind, code = hold.reason.code, "a hold was opened");
                }
                self.remember_hold(target, Some(hold));
                waiting
            }
            // No probe may be in the queue, so the job must not wait for one. The next error
            // opens the hold.
            Err(error) => {
                warn!(service = error.service, code = error.code, "a hold could not be opened");
                error.into()
            }
        }
    }

    /// Sends the probe of a hold again if its message seems lost.
    pub async fn revive_probe(&self, target: &HoldTarget) {
        let hold = self.known().holds.get(target).and_then(|(hold, _)| hold.clone());
        let Some(hold) = hold.filter(|hold| now() > hold.next_probe_at + HOLD_PROBE_MARGIN) else { return };
        // The environment sends it once for each read of the hold.
        self.known().holds.remove(target);
        let probe = Control::Probe { target: target.clone(), number: hold.probe };
        if let Err(error) = self.queue.send_control(&probe, Duration::ZERO).await {
            warn!(service = error.service, code = error.code, "the probe of a hold could not be sent again");
        }
    }

    /// Forgets a hold, so that the next look reads it again.
    pub fn forget_hold(&self, target: &HoldTarget) {
        self.known().holds.remove(target);
    }
}
