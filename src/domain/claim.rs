//! Who may take a job: the decision, as a pure function of what the row says,
//! the time, and who asks.
//!
//! The same decision stands as a conditional write in `aws::jobs`: the write
//! claims in one round trip, and where it is refused the row that it found
//! comes here to say why. One table of cases holds the two together.

use jiff::Timestamp;

use super::analysis::AnalysisRequest;
use super::check::StartedInvocation;
use super::ids::{BatchId, Owner};
use super::row::{Row, State, Status};

/// Who asks for a job.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The random id of this claim.
    pub owner: &'a Owner,
    /// The failed attempt whose redrive the message is.
    pub redrive_of: Option<u32>,
    /// How many attempts may be charged to a job.
    pub max_tries: u32,
}

/// A claim that was made: who holds the job, and until when.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The fencing token: every later write names it.
    pub attempt: u32,
    /// How many attempts are charged, this one included.
    pub tries: u32,
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
    /// The job's life: see [`Row::generation`].
    pub generation: u32,
    /// The long-running model's invocation, if one was started in this life.
    pub invocation: Option<StartedInvocation>,
}

impl Claim {
    /// The claim that a row bears, held by `owner` until `lease_until`.
    pub fn of(row: &Row, owner: &Owner, lease_until: Timestamp) -> Self {
        Self {
            attempt: row.attempt,
            tries: row.tries,
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
        tries: u32,
    },
    /// The row is our own claim, whose answer was lost: go on.
    GoOn(Claim),
    /// The job is not to be had.
    Refuse(Refusal),
}

/// Why a job is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No tries are left, and nobody holds the job: fail it.
    Exhausted {
        /// The attempt that fell silent.
        attempt: u32,
        /// The tries that are charged.
        tries: u32,
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
pub fn decide(row: Option<&Row>, now: Timestamp, claimant: &Claimant<'_>) -> Decision {
    let Some(row) = row else {
        return Decision::Claim { tries: 1 };
    };
    match &row.state {
        State::Pending => Decision::Claim { tries: row.tries + 1 },
        State::Processing { lease_until } if *lease_until <= now => {
            if row.tries < claimant.max_tries {
                Decision::Claim { tries: row.tries + 1 }
            } else {
                Decision::Refuse(Refusal::Exhausted { attempt: row.attempt, tries: row.tries })
            }
        }
        State::Processing { lease_until } => {
            if row.owner.as_ref() == Some(claimant.owner) {
                Decision::GoOn(Claim::of(row, claimant.owner, *lease_until))
            } else {
                Decision::Refuse(Refusal::Busy { until: *lease_until })
            }
        }
        State::Failed { .. } if claimant.redrive_of == Some(row.attempt) => Decision::Claim { tries: 1 },
        State::Failed { .. } | State::Complete(_) | State::Cancelled => Decision::Refuse(Refusal::Finished),
    }
}
