//! The claim: whether a worker may take a job, as a pure function of the stored job,
//! the time and the claimant.
//!
//! `aws::jobs` makes the same decision as a conditional write, which claims the job in
//! one round trip. If DynamoDB rejects the write, [`decide`] finds the reason from the
//! stored job. `tests/claim.rs` checks both with one table of cases.

use jiff::Timestamp;

use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::StartedInvocation;
use crate::domain::ids::{BatchId, Owner};
use crate::domain::job::Work;
use crate::domain::job::stored::{EndedAttempt, State, Status, StoredJob};
use crate::domain::job::work_id::{WorkMatch, compare_work};

/// A worker that wants to claim a job.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The random id of this claim.
    pub owner: &'a Owner,
    /// The failed attempt whose redrive the message is; `None` for other messages.
    pub redrive_of: Option<u32>,
    /// The most attempts that a job may be charged.
    pub max_attempts: u32,
    /// Whether the worker runs no other job at the same time.
    pub is_alone: bool,
}

/// A claim: the right to change the job until the lease expires.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The fencing token, which every later write names.
    pub attempt: u32,
    /// The charged attempts, including this one.
    pub charged_attempts: u32,
    /// The random id of this claim.
    pub owner: Owner,
    /// The time at which the lease expires.
    pub lease_until: Timestamp,
    /// Whether the lease of an earlier worker had expired. Its call may have been made
    /// and billed.
    pub took_over: bool,
    /// Whether the job is a suspect: see [`StoredJob::suspect`].
    pub suspect: bool,
    /// The batch of the stored job.
    pub batch_id: Option<BatchId>,
    /// The analysis of the stored job.
    pub analysis: Option<Box<AnalysisRequest>>,
    /// The model that the stored job requests.
    pub model_id: Option<String>,
    /// The job's generation; see [`StoredJob::generation`].
    pub generation: u32,
    /// The async invocation, if this generation started one.
    pub invocation: Option<StartedInvocation>,
    /// The ends of earlier attempts; see [`StoredJob::attempts`].
    pub attempts: Vec<EndedAttempt>,
    /// The errors without evidence of earlier attempts; see [`StoredJob::unproven_errors`].
    pub unproven_errors: u32,
}

impl Claim {
    /// The claim on a stored job, held by `owner` until `lease_until`.
    pub fn from_stored(row: &StoredJob, owner: &Owner, lease_until: Timestamp) -> Self {
        Self {
            attempt: row.attempt,
            charged_attempts: row.charged_attempts,
            owner: owner.clone(),
            lease_until,
            took_over: row.claimed_from == Some(Status::Processing),
            suspect: row.suspect,
            batch_id: row.batch_id.clone(),
            analysis: row.analysis.clone().map(Box::new),
            model_id: row.model_id.clone(),
            generation: row.generation,
            invocation: row.invocation.clone(),
            attempts: row.attempts.clone(),
            unproven_errors: row.unproven_errors,
        }
    }
}

/// The decision about a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The worker may claim the job, as attempt + 1.
    Claim {
        /// The charged attempts after the claim: one more than before, or one after a
        /// redrive.
        charged_attempts: u32,
    },
    /// The worker may claim the job, as attempt + 1. The earlier attempt fell silent
    /// together with other jobs, so it is not charged, and the job becomes a suspect.
    TakeOver {
        /// The charged attempts after the claim, which are those before it.
        charged_attempts: u32,
    },
    /// The stored job has this worker's claim, whose response was lost. The worker
    /// continues.
    Continue(Claim),
    /// The worker may not claim the job.
    Reject(ClaimRejected),
}

/// The reason why a worker may not claim a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimRejected {
    /// The job crashed its worker when it ran alone, and no attempts are left: the job must
    /// be failed.
    Exhausted {
        /// The attempt whose lease expired.
        attempt: u32,
        /// The charged attempts of the job.
        charged_attempts: u32,
    },
    /// Another worker holds the lease: the message is retried when the lease expires.
    Busy {
        /// The time at which the lease expires.
        until: Timestamp,
    },
    /// The backoff of the job has not passed, and the message is a copy: it is retried
    /// afterwards.
    TooEarly {
        /// The end of the backoff.
        until: Timestamp,
    },
    /// The job has ended, and the message is not a redrive of its last attempt.
    Finished,
    /// The message names another document than the stored job. The message is refused, and
    /// the stored job does not change.
    OtherDocument,
    /// The document of the job was uploaded again: see [`WorkMatch::UploadedAgain`].
    UploadedAgain,
}

/// Decides whether a worker may claim a job for a message's work: see [`decide`].
pub fn decide_for_work(row: Option<&StoredJob>, work: &Work, now: Timestamp, claimant: &Claimant<'_>) -> Decision {
    match row.map(|row| compare_work(row, work)) {
        Some(WorkMatch::Different) => Decision::Reject(ClaimRejected::OtherDocument),
        Some(WorkMatch::UploadedAgain) => Decision::Reject(ClaimRejected::UploadedAgain),
        Some(WorkMatch::Same) | None => decide(row, now, claimant),
    }
}

/// Decides whether a worker may claim a job whose message has the job's work. `row` is
/// `None` if no job is stored.
///
/// A lease that ends at `now` has expired.
pub fn decide(row: Option<&StoredJob>, now: Timestamp, claimant: &Claimant<'_>) -> Decision {
    let Some(row) = row else {
        return Decision::Claim { charged_attempts: 1 };
    };
    match &row.state {
        State::Pending => match row.not_before {
            Some(until) if until > now => Decision::Reject(ClaimRejected::TooEarly { until }),
            _ => Decision::Claim { charged_attempts: row.charged_attempts + 1 },
        },
        State::Processing { lease_until } if *lease_until <= now => {
            if !row.ran_alone {
                Decision::TakeOver { charged_attempts: row.charged_attempts }
            } else if row.charged_attempts < claimant.max_attempts {
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
