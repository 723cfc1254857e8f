//! Who may take a job: the decision, as a pure function of what the row says,
//! the time, and who asks.
//!
//! The same decision stands as a conditional write in `aws::jobs`: the write
//! claims in one round trip, and where it is refused the row that it found
//! comes here to say why. One table of cases holds the two together.

use jiff::Timestamp;

use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::StartedInvocation;
use crate::domain::ids::{BatchId, Owner};
use crate::domain::job::stored::{State, Status, StoredJob};

/// Who asks for a job.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The random id of this claim.
    pub owner: &'a Owner,
    /// The failed attempt whose redrive the message is.
    pub redrive_of: Option<u32>,
    /// How many attempts may be charged to a job.
    pub max_attempts: u32,
}

/// A claim that was made: who holds the job, and until when.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The fencing token: every later write names it.
    pub attempt: u32,
    /// How many attempts are charged, this one included.
    pub charged_attempts: u32,
    /// Who made it.
    pub owner: Owner,
    /// When it ends by itself.
    pub lease_until: Timestamp,
    /// Whether an earlier worker fell silent, so that its call may have been
    /// made and paid for.
    pub took_over: bool,
    /// The row's batch.
    pub batch_id: Option<BatchId>,
    /// What the row says to ask of the model.
    pub analysis: Option<Box<AnalysisRequest>>,
    /// The model that the row asks for.
    pub model_id: Option<String>,
    /// The job's life: see [`StoredJob::generation`].
    pub generation: u32,
    /// The long-running model's invocation, if one was started in this life.
    pub invocation: Option<StartedInvocation>,
}

impl Claim {
    /// The claim that a row bears, held by `owner` until `lease_until`.
    pub fn from_stored(row: &StoredJob, owner: &Owner, lease_until: Timestamp) -> Self {
        Self {
            attempt: row.attempt,
            charged_attempts: row.charged_attempts,
            owner: owner.clone(),
            lease_until,
            took_over: row.claimed_from == Some(Status::Processing),
            batch_id: row.batch_id.clone(),
            analysis: row.analysis.clone().map(Box::new),
            model_id: row.model_id.clone(),
            generation: row.generation,
            invocation: row.invocation.clone(),
        }
    }
}

/// What the worker does with what it found.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The job is to be had: attempt + 1.
    Claim {
        /// What the claim charges: one more than before, or one after a redrive.
        charged_attempts: u32,
    },
    /// The row is our own claim, whose answer was lost: go on.
    Continue(Claim),
    /// The job is not to be had.
    Reject(ClaimRejected),
}

/// Why a job is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimRejected {
    /// No charged_attempts are left, and nobody holds the job: fail it.
    Exhausted {
        /// The attempt that fell silent.
        attempt: u32,
        /// The charged_attempts that are charged.
        charged_attempts: u32,
    },
    /// Somebody holds the job: have the message again when the lease is over.
    Busy {
        /// When the lease ends by itself.
        until: Timestamp,
    },
    /// The job has ended, and this message does not begin it again.
    Finished,
}

/// Decides, from what the table holds (`None`: no row).
///
/// A lease whose end is now is over.
pub fn decide(row: Option<&StoredJob>, now: Timestamp, claimant: &Claimant<'_>) -> Decision {
    let Some(row) = row else {
        return Decision::Claim { charged_attempts: 1 };
    };
    match &row.state {
        State::Pending => Decision::Claim { charged_attempts: row.charged_attempts + 1 },
        State::Processing { lease_until } if *lease_until <= now => {
            if row.charged_attempts < claimant.max_attempts {
                Decision::Claim { charged_attempts: row.charged_attempts + 1 }
            } else {
                Decision::Reject(ClaimRejected::Exhausted {
                    attempt: row.attempt,
                    charged_attempts: row.charged_attempts,
                })
            }
        }
        State::Processing { lease_until } => {
            if row.owner.as_ref() == Some(claimant.owner) {
                Decision::Continue(Claim::from_stored(row, claimant.owner, *lease_until))
            } else {
                Decision::Reject(ClaimRejected::Busy { until: *lease_until })
            }
        }
        State::Failed { .. } if claimant.redrive_of == Some(row.attempt) => Decision::Claim { charged_attempts: 1 },
        State::Failed { .. } | State::Complete(_) | State::Cancelled { .. } => {
            Decision::Reject(ClaimRejected::Finished)
        }
    }
}
