//! The state of the model of holds: the hold, its messages, the jobs that wait for it, and
//! the workers with what they remember.

use docket::domain::failure::Failure;
use docket::domain::hold::{Hold, HoldKind, HoldTarget};

use crate::job::{NOW, timestamp};

/// The safeguard that the negative control removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovedFromHold {
    Nothing,
    /// The hold expects the next probe before its message is sent.
    NextProbeFirst,
    /// The hold is stored before its first probe is sent.
    FirstProbeFirst,
    /// A probe that finds no hold resends no jobs.
    ResendWithoutHold,
    /// No last look follows a resend.
    LastLook,
    /// The end of a resend ends a wait that began after the resend read the job.
    UnchangedJob,
    /// A job that a crashed worker left does not wait.
    WaitAfterCrash,
    /// A release during a hold keeps its charge.
    FreeRelease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Message {
    Probe(u8),
    Resend,
    /// Not visible before the workers of this set forgot the hold that ended.
    LastLook {
        waits_for: u8,
    },
    Job {
        job: usize,
        is_first_delivery: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Pending,
    Processing { worker_is_alive: bool },
    Complete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    pub status: Status,
    pub is_waiting: bool,
    /// Charged attempts, without those of crashed workers.
    pub charged: u8,
    /// Whether a message of the job is delayed for a long time.
    pub has_delayed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredHold {
    pub probe: u8,
    pub has_lease: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Call {
        job: usize,
        fails: bool,
    },
    SendFirstProbe {
        job: usize,
    },
    StoreHold {
        job: usize,
    },
    Release {
        job: usize,
    },
    Park {
        job: usize,
    },
    Ask {
        probe: u8,
    },
    SendNextProbe {
        probe: u8,
    },
    ExpectNextProbe {
        probe: u8,
    },
    EndHold,
    SendResend,
    SendLastLook,
    /// Sends the message of a job, then ends its wait. `left` and `unchanged` are sets.
    SendJob {
        left: u8,
        unchanged: u8,
    },
    Unpark {
        left: u8,
        unchanged: u8,
    },
    Acknowledge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Worker {
    /// Whether the worker remembers a hold.
    pub knows_hold: bool,
    /// The message that the worker handles, and its next step.
    pub task: Option<(Message, Step)>,
}

/// The numbers of events that may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remaining {
    pub crashes: u8,
    /// Deliveries of a message that another worker handles, or of a delayed one.
    pub duplicates: u8,
    /// Begins of the fault.
    pub faults: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HoldWorld {
    pub has_fault: bool,
    pub hold: Option<StoredHold>,
    pub jobs: Vec<Job>,
    /// The messages that no worker handles, without copies.
    pub queue: Vec<Message>,
    /// The messages of crashed workers, each with the other workers that were busy. The
    /// visibility time-out is longer than an invocation, so they end first.
    pub invisible: Vec<(Message, u8)>,
    pub workers: Vec<Worker>,
    pub remaining: Remaining,
}

/// The real hold for the real decision.
pub fn real_hold(stored: &StoredHold) -> Hold {
    Hold {
        probe: stored.probe.into(),
        probe_lease_until: stored.has_lease.then(|| timestamp(NOW + 1)),
        ..Hold::new(HoldTarget::Store, HoldKind::StoreRefusal, Failure::new("c", "m"), timestamp(0))
    }
}
