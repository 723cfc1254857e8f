//! The decision about the message of a probe, as a pure function of the stored hold and
//! the message.

use jiff::Timestamp;

use super::Hold;

/// The next step of a worker that received the message of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeStep {
    /// The hold expects this probe: the worker takes the probe's lease, and probes.
    Probe,
    /// Another worker has the lease. It may crash, so the message is retried when the
    /// lease expires.
    Busy {
        /// The time at which the lease expires.
        until: Timestamp,
    },
    /// The hold expects a later probe, whose message is in the queue.
    Superseded,
    /// The hold has ended. The worker sends the waiting jobs' messages, because the
    /// worker that ended the hold may have crashed before it did.
    Ended,
}

/// Decides about the message of probe `number`.
pub fn probe_step(hold: Option<&Hold>, number: u32, now: Timestamp) -> ProbeStep {
    match hold {
        None => ProbeStep::Ended,
        Some(hold) if hold.probe != number => ProbeStep::Superseded,
        Some(hold) => match hold.probe_lease_until {
            Some(until) if until > now => ProbeStep::Busy { until },
            _ => ProbeStep::Probe,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Failure;
    use crate::domain::hold::{HoldKind, HoldTarget};

    #[test]
    fn probe_runs_if_the_hold_expects_it_and_no_lease_is_held() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = now + std::time::Duration::from_secs(1);
        let hold = |probe, probe_lease_until| Hold {
            probe,
            probe_lease_until,
            ..Hold::new(HoldTarget::Store, HoldKind::StoreRefusal, Failure::new("c", "m"), now)
        };
        let step = |hold: Hold| probe_step(Some(&hold), 2, now);
        assert_eq!(step(hold(2, None)), ProbeStep::Probe);
        assert_eq!(step(hold(2, Some(now))), ProbeStep::Probe);
        assert_eq!(step(hold(2, Some(later))), ProbeStep::Busy { until: later });
        assert_eq!(step(hold(3, None)), ProbeStep::Superseded);
        assert_eq!(step(hold(0, None)), ProbeStep::Superseded);
        assert_eq!(probe_step(None, 2, now), ProbeStep::Ended);
    }
}
