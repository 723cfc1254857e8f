//! The table, the queue, Bedrock and the workers, simulated.

use std::collections::BTreeSet;
use std::time::Duration;

use docket::domain::async_invocation::poll::{Poll, Step, next_step};
use docket::domain::async_invocation::request::InvocationArn;
use docket::domain::async_invocation::request::StartedInvocation;
use docket::domain::failure::Failure;
use docket::domain::ids::Owner;
use docket::domain::job::claim::{ClaimRejected, Claimant, Decision, decide};
use docket::domain::job::stored::{Completed, State, StoredJob, StoredResult};
use docket::domain::limits::ASYNC_POLL_MARGIN;
use jiff::Timestamp;

const LEASE: Duration = Duration::from_secs(30);
/// The first events of a run may be crashes and errors; later events have none.
const FAULTY_EVENTS: usize = 150;
const MAX_ATTEMPTS: u32 = 1_000;

/// The safeguard that a run leaves out: the negative control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovedSafeguard {
    None,
    /// A worker sends the poll before the stored job waits for it.
    SendBeforeWaiting,
    /// A worker resumes only a job that still waits at the attempt that it read.
    ResumeCondition,
    /// All attempts start the invocation with the same token.
    SameToken,
}

/// The next action of a worker.
#[derive(Debug, Clone)]
enum NextAction {
    ReadJob,
    Claim,
    Resume(u32),
    CallBedrock,
    SendPoll(StartedInvocation),
    WaitForPoll(StartedInvocation),
    Complete,
    DeadLetter,
    Fail,
    Release,
    Acknowledge,
}

#[derive(Debug, Clone)]
struct Worker {
    message: usize,
    owner: Owner,
    attempt: u32,
    /// The invocation that the claim found.
    invocation: Option<StartedInvocation>,
    next: NextAction,
}

pub struct Simulation {
    random: fastrand::Rng,
    removed: RemovedSafeguard,
    now: Timestamp,
    row: Option<StoredJob>,
    /// The poll of each message, `None` for the job's own message, and whether the
    /// message is acknowledged.
    messages: Vec<(Option<Poll>, bool)>,
    workers: Vec<Worker>,
    tokens: BTreeSet<u32>,
    /// Whether the invocation ends as failed.
    invocation_fails: bool,
    /// Polls that find the invocation still running.
    running_polls: u32,
    dead_letters: BTreeSet<u32>,
    /// The attempts at which a worker resumed the job.
    resumed: BTreeSet<u32>,
    violation: Option<&'static str>,
}

fn new_job() -> StoredJob {
    StoredJob::new("j".parse().unwrap(), Timestamp::UNIX_EPOCH)
}

fn sample_completion() -> Completed {
    Completed {
        result: StoredResult::Inline(serde_json::Value::Null),
        model_id: "m".into(),
        usage: Default::default(),
        label: None,
        repaired: false,
        evidence: None,
        stop_reason: "Completed".into(),
        model_latency_ms: 0,
        chunks: None,
        completed_at: Timestamp::UNIX_EPOCH,
        deduplicated_from: None,
        fingerprint: None,
    }
}

impl Simulation {
    pub fn new(seed: u64, removed: RemovedSafeguard) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let (invocation_fails, running_polls) = (random.bool(), random.u32(0..6));
        Self {
            random,
            removed,
            now: Timestamp::UNIX_EPOCH,
            row: None,
            messages: vec![(None, false)],
            workers: Vec::new(),
            tokens: BTreeSet::new(),
            invocation_fails,
            running_polls,
            dead_letters: BTreeSet::new(),
            resumed: BTreeSet::new(),
            violation: None,
        }
    }

    fn unacknowledged(&self) -> Vec<usize> {
        (0..self.messages.len()).filter(|place| !self.messages[*place].1).collect()
    }

    fn has_ended(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.state.status().has_ended())
    }

    pub fn run(mut self) -> Result<(), &'static str> {
        for event in 0..FAULTY_EVENTS * 100 {
            let (has_faults, messages) = (event < FAULTY_EVENTS, self.unacknowledged());
            if messages.is_empty() && self.workers.is_empty() {
                break;
            }
            let workers_max = if has_faults { 3 } else { 1 };
            let chance = self.random.u32(..100);
            self.now += Duration::from_secs(self.random.u64(..4));
            if self.workers.is_empty() || (self.workers.len() < workers_max && chance < 20) {
                // Any message may be delivered, also one that a worker handles now.
                if let Some(message) = self.random.choice(messages) {
                    let owner = Owner::new(event.to_string());
                    self.workers.push(Worker {
                        message,
                        owner,
                        attempt: 0,
                        invocation: None,
                        next: NextAction::ReadJob,
                    });
                }
            } else if has_faults && chance < 27 {
                let worker = self.random.usize(..self.workers.len());
                self.workers.swap_remove(worker);
            } else if chance < 30 {
                // The lease of a claim expires, and sometimes also the lease of a waiting job.
                let is_long = self.random.u32(..8) == 0;
                self.now += if is_long { ASYNC_POLL_MARGIN * 2 } else { LEASE };
            } else {
                let worker = self.random.usize(..self.workers.len());
                let worker = self.workers.swap_remove(worker);
                self.advance(worker, has_faults);
            }
            if let Some(violation) = self.violation {
                return Err(violation);
            }
        }
        let Some(row) = self.row else { return Err("there is no stored job") };
        match &row.state {
            State::Complete(_) if self.invocation_fails => Err("the job is complete, but its invocation failed"),
            State::Failed { .. } if !self.invocation_fails => Err("the job failed, but its invocation completed"),
            State::Failed { .. } if !self.dead_letters.contains(&row.attempt) => {
                Err("the job failed without a dead letter")
            }
            State::Complete(_) | State::Failed { .. } if self.tokens.len() != 1 => {
                Err("more than one invocation was started")
            }
            State::Complete(_) | State::Failed { .. } => Ok(()),
            _ => Err("the job did not end"),
        }
    }

    /// Runs the worker's next action, and keeps the worker unless it has finished.
    fn advance(&mut self, mut worker: Worker, has_faults: bool) {
        let is_held = |row: &StoredJob| matches!(row.state, State::Processing { .. }) && row.attempt == worker.attempt;
        let holds_job = self.row.as_ref().is_some_and(is_held);
        worker.next = match worker.next.clone() {
            NextAction::ReadJob => match next_step(self.row.as_ref(), self.messages[worker.message].0, self.now) {
                Step::Claim => NextAction::Claim,
                Step::Resume { attempt } => NextAction::Resume(attempt),
                Step::Superseded => NextAction::Acknowledge,
            },
            NextAction::Claim => {
                let claimant =
                    Claimant { owner: &worker.owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
                match decide(self.row.as_ref(), self.now, &claimant) {
                    Decision::Claim { charged_attempts } | Decision::TakeOver { charged_attempts } => {
                        let row = self.row.get_or_insert_with(new_job);
                        row.charged_attempts = charged_attempts;
                        self.record_claim(&mut worker);
                        NextAction::CallBedrock
                    }
                    Decision::Reject(ClaimRejected::Finished) => NextAction::Acknowledge,
                    Decision::Reject(_) | Decision::Continue(_) => return,
                }
            }
            NextAction::Resume(attempt) => {
                let is_waiting_at = |row: &StoredJob| {
                    let is_waiting = row.invocation.as_ref().is_some_and(|invocation| invocation.is_waiting);
                    row.attempt == attempt && is_waiting && matches!(row.state, State::Processing { .. })
                };
                if !self.row.as_ref().is_some_and(is_waiting_at) && self.removed != RemovedSafeguard::ResumeCondition {
                    return;
                }
                if !self.resumed.insert(attempt) {
                    self.violation = Some("two workers resumed at the same poll");
                }
                self.record_claim(&mut worker);
                NextAction::CallBedrock
            }
            NextAction::CallBedrock => self.call_bedrock(&worker, has_faults),
            NextAction::SendPoll(started) => {
                self.messages.push((Some(Poll { generation: 0, number: started.poll }), false));
                if self.removed == RemovedSafeguard::SendBeforeWaiting {
                    NextAction::Acknowledge
                } else {
                    NextAction::WaitForPoll(started)
                }
            }
            NextAction::WaitForPoll(started) if holds_job => {
                let row = self.row.as_mut().expect("the worker holds the job");
                row.state = State::Processing { lease_until: self.now + ASYNC_POLL_MARGIN };
                row.invocation = Some(started.clone());
                if self.removed == RemovedSafeguard::SendBeforeWaiting {
                    NextAction::SendPoll(started)
                } else {
                    NextAction::Acknowledge
                }
            }
            NextAction::Complete if holds_job => {
                self.row.as_mut().expect("the worker holds the job").state =
                    State::Complete(Box::new(sample_completion()));
                NextAction::Acknowledge
            }
            NextAction::DeadLetter => {
                self.dead_letters.insert(worker.attempt);
                NextAction::Fail
            }
            NextAction::Fail if holds_job => {
                let error = Failure::new("c", "m");
                self.row.as_mut().expect("the worker holds the job").state =
                    State::Failed { error, completed_at: self.now };
                NextAction::Acknowledge
            }
            NextAction::Release if holds_job => {
                self.row.as_mut().expect("the worker holds the job").state = State::Pending;
                return;
            }
            // The lease is lost: the message is retried.
            NextAction::WaitForPoll(_) | NextAction::Complete | NextAction::Fail | NextAction::Release => return,
            NextAction::Acknowledge => {
                self.messages[worker.message].1 = true;
                if self.unacknowledged().is_empty() && !self.has_ended() {
                    self.violation = Some("the last message was acknowledged before the job ended");
                }
                return;
            }
        };
        self.workers.push(worker);
    }

    /// The writes that a claim and a resume share.
    fn record_claim(&mut self, worker: &mut Worker) {
        let row = self.row.as_mut().expect("a stored job");
        row.attempt += 1;
        row.owner = Some(worker.owner.clone());
        row.state = State::Processing { lease_until: self.now + LEASE };
        if let Some(invocation) = &mut row.invocation {
            invocation.is_waiting = false;
        }
        worker.attempt = row.attempt;
        worker.invocation = row.invocation.clone();
    }

    fn call_bedrock(&mut self, worker: &Worker, has_faults: bool) -> NextAction {
        let is_lost = has_faults && self.random.u32(..10) == 0;
        let Some(started) = worker.invocation.clone() else {
            self.tokens.insert(if self.removed == RemovedSafeguard::SameToken { worker.attempt } else { 0 });
            if is_lost {
                return NextAction::Release;
            }
            let arn = InvocationArn::new("arn");
            return self.schedule_poll(StartedInvocation { arn, started_at: self.now, poll: 1, is_waiting: true });
        };
        if self.running_polls > 0 || is_lost {
            self.running_polls = self.running_polls.saturating_sub(1);
            return self.schedule_poll(StartedInvocation { poll: started.poll + 1, is_waiting: true, ..started });
        }
        if self.invocation_fails { NextAction::DeadLetter } else { NextAction::Complete }
    }

    fn schedule_poll(&self, started: StartedInvocation) -> NextAction {
        if self.removed == RemovedSafeguard::SendBeforeWaiting {
            NextAction::WaitForPoll(started)
        } else {
            NextAction::SendPoll(started)
        }
    }
}
