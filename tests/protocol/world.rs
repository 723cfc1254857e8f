//! The state of the model: jobs, workers and delayed writes, and the effect of each step.

use docket::domain::ids::Owner;
use docket::domain::job::claim::{ClaimRejected, Claimant, Decision, decide};

use crate::job::{Job, Message, NOW, Status, Step, Task, stored_job, timestamp};

pub const MAX_ATTEMPTS: u32 = 2;
/// Ticks from a claim to the invocation's deadline.
pub const INVOCATION: u8 = 1;
/// Ticks from the deadline to the end of the lease. Clocks differ by no more.
pub const MARGIN: u8 = 1;

/// The safeguard that the negative control removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    Nothing,
    /// Endings are written at any attempt of the stored job.
    Fence,
    /// A job is marked failed before its dead letter is sent.
    DeadLetterFirst,
    /// The lease expires at the deadline, although clocks differ.
    LeaseMargin,
    /// A message is acknowledged when its write is sent, before the write is durable.
    DurableEnding,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub jobs: Vec<Job>,
    pub workers: Vec<Option<Task>>,
    /// Writes of workers that have ended, not yet arrived at the table.
    pub late_writes: Vec<Task>,
    pub remaining: Remaining,
}

/// The numbers of faults and redrives that may still happen. A worker may also reach its
/// deadline without an answer; that is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remaining {
    /// The sum of crashes, throttles and failures.
    pub faults: u8,
    pub crashes: u8,
    pub throttles: u8,
    pub failures: u8,
    pub redrives: u8,
}

impl Remaining {
    /// Uses one fault. No kind may remain more often than the sum allows.
    pub fn use_fault(&mut self, kind: impl Fn(&mut Self) -> &mut u8) {
        *kind(self) -= 1;
        self.faults -= 1;
        for kind in [&mut self.crashes, &mut self.throttles, &mut self.failures] {
            *kind = (*kind).min(self.faults);
        }
    }
}

/// Ticks by which a worker's clock is ahead. Clocks differ by one tick.
pub fn clock_ahead(worker: usize) -> u8 {
    (worker % 2) as u8
}

impl World {
    /// Ends a worker in the middle of its step.
    pub fn end_worker(&mut self, worker: usize) {
        let task = self.workers[worker].take().expect("the worker has a task");
        if task.step == Step::Call {
            self.jobs[task.job as usize].charges_without_call -= 1;
        }
        // A write that was sent may arrive later.
        if matches!(task.step, Step::Complete | Step::Release { .. } | Step::Fail { .. }) {
            self.late_writes.push(task);
        }
    }

    /// Applies a conditional write as it arrives; returns whether it took effect.
    pub fn write(&mut self, task: Task, removed: Removed) -> bool {
        let job = &mut self.jobs[task.job as usize];
        let lease_expired = matches!(task.step, Step::Fail { lease_expired: true });
        let is_fenced = job.status == Status::Processing && job.attempt == task.attempt;
        let holds = is_fenced && (!lease_expired || job.lease_left <= task.clock_ahead);
        if !holds && removed != Removed::Fence {
            return false;
        }
        job.had_stale_write |= !is_fenced;
        match task.step {
            Step::Complete => job.status = Status::Complete,
            Step::Release { charged } => {
                job.status = Status::Pending;
                if !charged {
                    job.charged_attempts = job.charged_attempts.saturating_sub(1);
                    job.charges_without_call -= 1;
                }
            }
            Step::Fail { .. } => job.status = Status::Failed,
            Step::Call | Step::SendDeadLetter { .. } | Step::Acknowledge => unreachable!("not a write"),
        }
        true
    }

    /// Delivers a message to an idle worker. `None` if the worker only retries it.
    pub fn deliver(&mut self, worker: usize, index: usize, message: Message, removed: Removed) -> Option<()> {
        let clock_ahead = clock_ahead(worker);
        let job = &mut self.jobs[index];
        let owner = Owner::new("me");
        let redrive_of = if message == Message::Redriven { job.redriven.map(u32::from) } else { None };
        let claimant = Claimant { owner: &owner, redrive_of, max_attempts: MAX_ATTEMPTS, is_alone: true };
        let margin = if removed == Removed::LeaseMargin { 0 } else { MARGIN };
        let task = |attempt, charged_attempts, step| Task {
            job: index as u8,
            message,
            attempt,
            charged_attempts,
            time_left: INVOCATION,
            clock_ahead,
            step,
        };
        let new = match decide(stored_job(job).as_ref(), timestamp(NOW + clock_ahead), &claimant) {
            Decision::TakeOver { .. } => unreachable!("each worker of this model runs one job"),
            Decision::Claim { charged_attempts } => {
                job.status = Status::Processing;
                job.attempt += 1;
                job.charges_without_call += 1;
                job.charged_attempts = charged_attempts as u8;
                // Lambda's own clock sets the deadline, so the lease counts true time.
                job.lease_left = INVOCATION + margin;
                task(job.attempt, job.charged_attempts, Step::Call)
            }
            Decision::Reject(ClaimRejected::OtherDocument | ClaimRejected::UploadedAgain) => {
                unreachable!("each job of this model has one document")
            }
            Decision::Reject(ClaimRejected::Finished) => task(job.attempt, job.charged_attempts, Step::Acknowledge),
            Decision::Reject(ClaimRejected::Exhausted { attempt, charged_attempts }) => {
                task(attempt as u8, charged_attempts as u8, Step::SendDeadLetter { lease_expired: true })
            }
            Decision::Reject(ClaimRejected::Busy { .. } | ClaimRejected::TooEarly { .. }) | Decision::Continue(_) => {
                return None;
            }
        };
        self.workers[worker] = Some(new);
        Some(())
    }

    /// Takes a worker's next step, if it needs no choice.
    pub fn advance(&mut self, worker: usize, removed: Removed) -> Option<()> {
        let mut task = self.workers[worker]?;
        let next = match task.step {
            Step::Call => return None,
            Step::SendDeadLetter { lease_expired } => {
                let failed_first = removed == Removed::DeadLetterFirst;
                if failed_first && !self.write(Task { step: Step::Fail { lease_expired }, ..task }, removed) {
                    self.workers[worker] = None;
                    return Some(());
                }
                if failed_first {
                    // The later dead letter is left out: the invariant is already broken.
                    task.step = Step::Acknowledge;
                    self.workers[worker] = Some(task);
                    return Some(());
                }
                let job = &mut self.jobs[task.job as usize];
                job.dead_letters |= 1 << task.attempt;
                job.sent_dead_letters |= 1 << task.attempt;
                Some(Step::Fail { lease_expired })
            }
            Step::Complete | Step::Fail { .. } if removed == Removed::DurableEnding => {
                self.acknowledge(task);
                self.late_writes.push(task);
                None
            }
            Step::Complete | Step::Fail { .. } => self.write(task, removed).then_some(Step::Acknowledge),
            Step::Release { .. } => {
                self.write(task, removed);
                None
            }
            Step::Acknowledge => {
                self.acknowledge(task);
                None
            }
        };
        self.workers[worker] = next.map(|step| Task { step, ..task });
        Some(())
    }

    /// Maps equivalent states to one. It clears irrelevant state, and sorts workers with the
    /// same clock and jobs, which are interchangeable. The symmetry reduction of stateright
    /// works only depth first; this one also works breadth first.
    pub fn normalize(&mut self, removed: Removed) {
        self.jobs.iter_mut().for_each(Job::drop_irrelevant);
        self.workers.iter_mut().flatten().for_each(Task::drop_irrelevant);
        for task in &mut self.late_writes {
            (task.time_left, task.message) = (0, Message::Original);
            if task.step != (Step::Fail { lease_expired: true }) {
                task.clock_ahead = 0;
            }
            task.drop_irrelevant();
        }
        if removed != Removed::Fence {
            // A stored job never returns to `processing` at an attempt that it left, so such a
            // write is refused at any time.
            let jobs = &self.jobs;
            self.late_writes.retain(|task| {
                let job = &jobs[task.job as usize];
                job.status == Status::Processing && job.attempt == task.attempt
            });
        }
        self.sort_workers_and_writes();
        if self.jobs.len() == 2 && self.jobs[1] <= self.jobs[0] {
            let mut other = self.clone();
            other.jobs.swap(0, 1);
            other.workers.iter_mut().flatten().chain(&mut other.late_writes).for_each(|task| task.job = 1 - task.job);
            other.sort_workers_and_writes();
            let is_first = |world: &Self, than: &Self| {
                (&world.jobs, &world.workers, &world.late_writes) < (&than.jobs, &than.workers, &than.late_writes)
            };
            if is_first(&other, self) {
                *self = other;
            }
        }
    }

    fn sort_workers_and_writes(&mut self) {
        self.late_writes.sort_unstable();
        self.late_writes.dedup();
        if self.workers.len() > 2 && self.workers[2] < self.workers[0] {
            self.workers.swap(0, 2);
        }
    }

    /// Deletes the message of a task from the queue.
    pub fn acknowledge(&mut self, task: Task) {
        let job = &mut self.jobs[task.job as usize];
        match task.message {
            Message::Original => job.has_original = false,
            Message::Redriven => job.redriven = None,
        }
    }
}
