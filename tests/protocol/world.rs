//! The world of the protocol: rows, messages, workers, and what each step does
//! to them.

use docket::domain::claim::{Claimant, Decision, Refusal, decide};
use docket::domain::failure::Failure;
use docket::domain::ids::Owner;
use docket::domain::row::{Completed, Row, State, StoredResult, Usage};
use jiff::Timestamp;

pub const MAX_TRIES: u32 = 2;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    None,
    Pending,
    Processing,
    Complete,
    Failed,
}

/// A job's row, its messages, and what has happened to it, for the properties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    pub status: Status,
    pub attempt: u8,
    pub tries: u8,
    /// Ticks until the lease ends, in true time.
    pub lease_left: u8,
    /// The message as it was sent.
    pub original: bool,
    /// A dead letter that was moved back, with its attempt.
    pub redriven: Option<u8>,
    /// Attempts whose dead letters lie in the queue (bits).
    pub letters: u8,
    /// Attempts whose dead letters were ever sent (bits).
    pub letters_ever: u8,
    /// Calls that were answered, and attempts that were charged.
    pub calls: u8,
    pub charged: u8,
    pub crashed: bool,
    pub called_after_complete: bool,
    pub stale_write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    Original,
    Redriven,
}

/// What a worker is about to do. `Write`s are under way: they may arrive after
/// the worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Call,
    Complete,
    Release { charged: bool },
    SendLetter { silent: bool },
    Fail { silent: bool },
    Acknowledge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    pub job: u8,
    pub message: Message,
    pub attempt: u8,
    pub tries: u8,
    /// Ticks until Lambda ends the worker, in true time.
    pub time_left: u8,
    /// How far the worker's clock is ahead.
    pub ahead: u8,
    pub step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub jobs: Vec<Job>,
    pub workers: Vec<Option<Task>>,
    /// Writes of workers that have ended, still under way.
    pub late: Vec<Task>,
    pub crashes: u8,
    pub redrives: u8,
    pub throttles: u8,
    pub failures: u8,
}

/// Times are told from a now that stands still: what a state holds is how much is
/// left, so that there is no end of time to explore to.
pub const NOW: u8 = 10;

/// Workers' clocks differ by one tick.
pub fn ahead(worker: usize) -> u8 {
    (worker % 2) as u8
}

pub fn time(ticks: u8) -> Timestamp {
    Timestamp::from_second(ticks.into()).expect("a time")
}

/// The model's row as the real one, for the real decision.
pub fn row(job: &Job) -> Option<Row> {
    let state = match job.status {
        Status::None => return None,
        Status::Pending => State::Pending,
        Status::Processing => State::Processing { lease_until: time(NOW + job.lease_left) },
        Status::Complete => State::Complete(Box::new(Completed {
            result: StoredResult::Row(Default::default()),
            model_id: String::new(),
            usage: Usage::default(),
            stop_reason: String::new(),
            model_ms: 0,
            parts: None,
            completed_at: time(0),
            deduplicated_from: None,
            fingerprint: None,
        })),
        Status::Failed => State::Failed { error: Failure::new("c", "m"), completed_at: time(0) },
    };
    Some(Row {
        job_id: "j".parse().expect("a job id"),
        state,
        attempt: job.attempt.into(),
        tries: job.tries.into(),
        owner: Some(Owner::new("another")),
        claimed_from: None,
        earlier_call_possible: false,
        batch_id: None,
        analysis: None,
        model_id: None,
        priority: Default::default(),
        document: Default::default(),
        request_hash: None,
        metadata: None,
        generation: 0,
        invocation: None,
        async_request: None,
        created_at: time(0),
        updated_at: time(0),
    })
}

impl World {
    pub fn lose(&mut self, worker: usize) {
        let task = self.workers[worker].take().expect("it works");
        self.jobs[task.job as usize].crashed = true;
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
                    job.tries = job.tries.saturating_sub(1);
                    job.charged = job.charged.saturating_sub(1);
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
        let claimant = Claimant { owner: &owner, redrive_of, max_tries: MAX_TRIES };
        let margin = if without == Without::Margin { 0 } else { MARGIN };
        let task = |attempt, tries, step| Task {
            job: place as u8,
            message,
            attempt,
            tries,
            time_left: INVOCATION,
            ahead,
            step,
        };
        let new = match decide(row(job).as_ref(), time(NOW + ahead), &claimant) {
            Decision::Claim { tries } => {
                job.status = Status::Processing;
                job.attempt += 1;
                job.charged += 1;
                job.tries = tries as u8;
                // The deadline is Lambda's, by a clock of its own.
                job.lease_left = INVOCATION + margin;
                task(job.attempt, job.tries, Step::Call)
            }
            Decision::Refuse(Refusal::Finished) => task(job.attempt, job.tries, Step::Acknowledge),
            Decision::Refuse(Refusal::Exhausted { attempt, tries }) => {
                task(attempt as u8, tries as u8, Step::SendLetter { silent: true })
            }
            Decision::Refuse(Refusal::Busy { .. }) | Decision::GoOn(_) => return None,
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
    /// workers with the same clock are interchangeable, and so are jobs.
    pub fn settle(&mut self, without: Without) {
        for job in &mut self.jobs {
            if job.status != Status::Processing {
                job.lease_left = 0;
            }
            if job.crashed {
                (job.calls, job.charged) = (0, 0);
            }
        }
        if self.jobs.len() == 2 && self.jobs[1] < self.jobs[0] {
            self.jobs.swap(0, 1);
            self.workers.iter_mut().flatten().chain(&mut self.late).for_each(|task| task.job = 1 - task.job);
        }
        for task in &mut self.late {
            task.time_left = 0;
        }
        self.late.sort_unstable();
        self.late.dedup();
        if without != Without::Fence {
            // A row never comes back to an attempt that it has left: these writes
            // will be refused whenever they arrive.
            let jobs = &self.jobs;
            self.late.retain(|task| {
                let job = &jobs[task.job as usize];
                job.status == Status::Processing && job.attempt == task.attempt
            });
        }
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
