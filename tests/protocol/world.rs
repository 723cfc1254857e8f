//! The world of the protocol: jobs, workers, writes under way, and what each step
//! does to them.

use docket::domain::ids::Owner;
use docket::domain::job::claim::{ClaimRejected, Claimant, Decision, decide};

use crate::job::{Job, Message, NOW, Status, Step, Task, row, time};

pub const MAX_ATTEMPTS: u32 = 2;
/// From a claim to the invocation's deadline, in ticks.
pub const INVOCATION: u8 = 1;
/// From the deadline to the end of the lease: more than clocks differ by.
pub const MARGIN: u8 = 1;

/// What is taken out, for the negative control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// Endings are written whatever the row's attempt.
    Fence,
    /// A job is marked failed before its dead letter is sent.
    LetterFirst,
    /// The lease ends with the invocation, though clocks differ.
    Margin,
    /// A message is acknowledged when its write is sent, not when it is done.
    DurableEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub jobs: Vec<Job>,
    pub workers: Vec<Option<Task>>,
    /// Writes of workers that have ended, still under way.
    pub late: Vec<Task>,
    pub left: Left,
}

/// How much may still happen. A worker that does not answer until its deadline
/// is no fault here: that may happen at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Left {
    /// Crashes, throttles and failures in all.
    pub faults: u8,
    pub crashes: u8,
    pub throttles: u8,
    pub failures: u8,
    pub redrives: u8,
}

impl Left {
    /// Takes one fault. With no more in all, there are no more of any kind.
    pub fn fault(&mut self, kind: impl Fn(&mut Self) -> &mut u8) {
        *kind(self) -= 1;
        self.faults -= 1;
        for kind in [&mut self.crashes, &mut self.throttles, &mut self.failures] {
            *kind = (*kind).min(self.faults);
        }
    }
}

/// Workers' clocks differ by one tick.
pub fn ahead(worker: usize) -> u8 {
    (worker % 2) as u8
}

impl World {
    pub fn lose(&mut self, worker: usize) {
        let task = self.workers[worker].take().expect("it works");
        if task.step == Step::Call {
            self.jobs[task.job as usize].uncalled -= 1;
        }
        // A write that was sent may still arrive.
        if matches!(task.step, Step::Complete | Step::Release { .. } | Step::Fail { .. }) {
            self.late.push(task);
        }
    }

    /// A conditional write, as it arrives. Whether it took effect.
    pub fn write(&mut self, task: Task, without: Without) -> bool {
        let job = &mut self.jobs[task.job as usize];
        let silent = matches!(task.step, Step::Fail { silent: true });
        let is_ours = job.status == Status::Processing && job.attempt == task.attempt;
        let holds = is_ours && (!silent || job.lease_left <= task.ahead);
        if !holds && without != Without::Fence {
            return false;
        }
        job.stale_write |= !is_ours;
        match task.step {
            Step::Complete => job.status = Status::Complete,
            Step::Release { charged } => {
                job.status = Status::Pending;
                if !charged {
                    job.charged_attempts = job.charged_attempts.saturating_sub(1);
                    job.uncalled -= 1;
                }
            }
            Step::Fail { .. } => job.status = Status::Failed,
            Step::Call | Step::SendLetter { .. } | Step::Acknowledge => unreachable!("not a write"),
        }
        true
    }

    pub fn deliver(&mut self, worker: usize, place: usize, message: Message, without: Without) -> Option<()> {
        let ahead = ahead(worker);
        let job = &mut self.jobs[place];
        let owner = Owner::new("me");
        let redrive_of = if message == Message::Redriven { job.redriven.map(u32::from) } else { None };
        let claimant = Claimant { owner: &owner, redrive_of, max_attempts: MAX_ATTEMPTS };
        let margin = if without == Without::Margin { 0 } else { MARGIN };
        let task = |attempt, charged_attempts, step| Task {
            job: place as u8,
            message,
            attempt,
            charged_attempts,
            time_left: INVOCATION,
            ahead,
            step,
        };
        let new = match decide(row(job).as_ref(), time(NOW + ahead), &claimant) {
            Decision::Claim { charged_attempts } => {
                job.status = Status::Processing;
                job.attempt += 1;
                job.uncalled += 1;
                job.charged_attempts = charged_attempts as u8;
                // The deadline is Lambda's, by a clock of its own.
                job.lease_left = INVOCATION + margin;
                task(job.attempt, job.charged_attempts, Step::Call)
            }
            Decision::Reject(ClaimRejected::Finished) => task(job.attempt, job.charged_attempts, Step::Acknowledge),
            Decision::Reject(ClaimRejected::Exhausted { attempt, charged_attempts }) => {
                task(attempt as u8, charged_attempts as u8, Step::SendLetter { silent: true })
            }
            Decision::Reject(ClaimRejected::Busy { .. }) | Decision::Continue(_) => return None,
        };
        self.workers[worker] = Some(new);
        Some(())
    }

    /// The worker's next step, when there is nothing to choose.
    pub fn go(&mut self, worker: usize, without: Without) -> Option<()> {
        let mut task = self.workers[worker]?;
        let next = match task.step {
            Step::Call => return None,
            Step::SendLetter { silent } => {
                let failed_first = without == Without::LetterFirst;
                if failed_first && !self.write(Task { step: Step::Fail { silent }, ..task }, without) {
                    self.workers[worker] = None;
                    return Some(());
                }
                if failed_first {
                    // The crash between the two is the worker's, a step later.
                    task.step = Step::Acknowledge;
                    self.workers[worker] = Some(task);
                    return Some(());
                }
                let job = &mut self.jobs[task.job as usize];
                job.letters |= 1 << task.attempt;
                job.letters_ever |= 1 << task.attempt;
                Some(Step::Fail { silent })
            }
            Step::Complete | Step::Fail { .. } if without == Without::DurableEnd => {
                self.acknowledge(task);
                self.late.push(task);
                None
            }
            Step::Complete | Step::Fail { .. } => self.write(task, without).then_some(Step::Acknowledge),
            Step::Release { .. } => {
                self.write(task, without);
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

    /// One state for what is the same: what no longer matters is forgotten, and
    /// workers with the same clock are interchangeable, and so are jobs. (The
    /// checker's own symmetry reduction searches depth first; this serves both.)
    pub fn settle(&mut self, without: Without) {
        self.jobs.iter_mut().for_each(Job::forget);
        self.workers.iter_mut().flatten().for_each(Task::forget);
        for task in &mut self.late {
            (task.time_left, task.message) = (0, Message::Original);
            if task.step != (Step::Fail { silent: true }) {
                task.ahead = 0;
            }
            task.forget();
        }
        if without != Without::Fence {
            // A row never comes back to an attempt that it has left: these writes
            // will be refused whenever they arrive.
            let jobs = &self.jobs;
            self.late.retain(|task| {
                let job = &jobs[task.job as usize];
                job.status == Status::Processing && job.attempt == task.attempt
            });
        }
        self.order();
        if self.jobs.len() == 2 && self.jobs[1] <= self.jobs[0] {
            let mut other = self.clone();
            other.jobs.swap(0, 1);
            other.workers.iter_mut().flatten().chain(&mut other.late).for_each(|task| task.job = 1 - task.job);
            other.order();
            let is_first = |world: &Self, than: &Self| {
                (&world.jobs, &world.workers, &world.late) < (&than.jobs, &than.workers, &than.late)
            };
            if is_first(&other, self) {
                *self = other;
            }
        }
    }

    fn order(&mut self) {
        self.late.sort_unstable();
        self.late.dedup();
        if self.workers.len() > 2 && self.workers[2] < self.workers[0] {
            self.workers.swap(0, 2);
        }
    }

    pub fn acknowledge(&mut self, task: Task) {
        let job = &mut self.jobs[task.job as usize];
        match task.message {
            Message::Original => job.original = false,
            Message::Redriven => job.redriven = None,
        }
    }
}
