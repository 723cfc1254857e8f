//! Jobs by how they end without faults, and the faults that one run injects.

use std::collections::BTreeMap;

use crate::proxy::{FAULTS, Fault};

/// How many attempts may be charged to a job in these tests.
pub const MAX_ATTEMPTS: u32 = 3;

/// A job, by how it ends without faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Succeeds,
    ThrottledFirst,
    PermanentlyBad,
    Malformed,
    AsyncInvocation,
    /// The account's access to the model is denied at the first call, then granted.
    AccountFault,
}

pub const SCENARIOS: [Scenario; 6] = [
    Scenario::Succeeds,
    Scenario::ThrottledFirst,
    Scenario::PermanentlyBad,
    Scenario::Malformed,
    Scenario::AsyncInvocation,
    Scenario::AccountFault,
];

/// The faults of requests during a hold. Its delays make the runs long, so the usual tests
/// have only those of the first [`FEW`].
const FAULTS_OF_HOLDS: [Fault; 5] =
    [Fault::LoseResponse, Fault::KillBefore, Fault::KillAfter, Fault::Error500, Fault::Hang];
const FEW: usize = 3;

impl Scenario {
    /// The number of requests without faults.
    pub fn requests(self) -> usize {
        match self {
            Self::Succeeds => 6,         // two holds, claim, get document, converse, complete
            Self::ThrottledFirst => 11,  // two holds; claim, get document, converse, release, visibility; a success
            Self::PermanentlyBad => 9,   // two holds, claim, get document, converse, canary, get, dead letter, fail
            Self::Malformed => 1,        // dead letter
            Self::AsyncInvocation => 10, // get, claim, start, send, wait; get, resume, poll, list, complete
            // two holds, claim, get document, converse, probe, hold, release, visibility; get, lease,
            // canary, end, resend; get, 4 queries, rows, send, end of the wait, resend; get, 4
            // queries, last look
            Self::AccountFault => 29,
        }
    }

    /// The faults of single requests.
    pub fn faults(self, is_long: bool) -> &'static [Fault] {
        match self {
            Self::AccountFault if is_long => &FAULTS_OF_HOLDS,
            Self::AccountFault => &FAULTS_OF_HOLDS[..FEW],
            _ => &FAULTS,
        }
    }

    /// The number of Converse calls without faults.
    pub fn calls(self) -> usize {
        match self {
            Self::Succeeds | Self::PermanentlyBad => 1,
            Self::ThrottledFirst | Self::AccountFault => 2,
            Self::Malformed | Self::AsyncInvocation => 0,
        }
    }

    /// The start of the job id. The stand-in selects its own faults by it.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Succeeds => "succeeds",
            Self::ThrottledFirst => "throttled-first",
            Self::PermanentlyBad => "permanently-bad",
            Self::Malformed => "malformed",
            Self::AsyncInvocation => "async-invocation",
            Self::AccountFault => "account-fault",
        }
    }
}

/// One job, with the faults of its requests.
#[derive(Debug, Clone)]
pub struct Case {
    pub scenario: Scenario,
    /// The fault of each request, by the request's number from 1.
    pub faults: BTreeMap<usize, Fault>,
    /// Whether each Converse call kills the process.
    pub kills_every_call: bool,
    /// The end of the job id.
    pub name: String,
}

impl Case {
    pub fn job_id(&self) -> String {
        format!("{}-{}", self.scenario.slug(), self.name)
    }
}
