//! A model of the protocol. The tests explore all its states: crashed workers, different
//! clocks, duplicate deliveries, late writes, expired leases and redrives.
//!
//! The claim's decision is the real function; the model adds the environment. The negative
//! control removes one safeguard at a time, and the exploration must then find an error.

mod deaths;
mod hold;
mod hold_state;
mod hold_world;
mod job;
mod world;

use std::time::Instant;

use job::{Job, Message, Status, Step};
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::{MAX_ATTEMPTS, Remaining, Removed, World};

/// The bounds of an exploration.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    workers: usize,
    jobs: usize,
    remaining: Remaining,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Tick,
    Deliver { worker: usize, job: usize, message: Message },
    Answer { worker: usize },
    Throttle { worker: usize },
    Fail { worker: usize, permanent: bool },
    Advance { worker: usize },
    Crash { worker: usize },
    ArriveLate { write: usize },
    Redrive { job: usize, attempt: u8 },
}

#[derive(Debug, Clone, Copy)]
struct Protocol {
    bounds: Bounds,
    removed: Removed,
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let job = Job {
            status: Status::None,
            attempt: 0,
            charged_attempts: 0,
            lease_left: 0,
            has_original: true,
            redriven: None,
            dead_letters: 0,
            sent_dead_letters: 0,
            charges_without_call: 0,
            was_called_after_complete: false,
            had_stale_write: false,
        };
        vec![World {
            jobs: vec![job; self.bounds.jobs],
            workers: vec![None; self.bounds.workers],
            late_writes: Vec::new(),
            remaining: self.bounds.remaining,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        for (worker, task) in world.workers.iter().enumerate() {
            let Some(task) = task else {
                for (job, stored) in world.jobs.iter().enumerate() {
                    if stored.has_original {
                        actions.push(Action::Deliver { worker, job, message: Message::Original });
                    }
                    if stored.redriven.is_some() {
                        actions.push(Action::Deliver { worker, job, message: Message::Redriven });
                    }
                }
                continue;
            };
            if world.remaining.crashes > 0 {
                actions.push(Action::Crash { worker });
            }
            match task.step {
                Step::Call => {
                    actions.push(Action::Answer { worker });
                    if world.remaining.throttles > 0 {
                        actions.push(Action::Throttle { worker });
                    }
                    if world.remaining.failures > 0 {
                        actions.extend([true, false].map(|permanent| Action::Fail { worker, permanent }));
                    }
                }
                _ => actions.push(Action::Advance { worker }),
            }
        }
        actions.extend((0..world.late_writes.len()).map(|write| Action::ArriveLate { write }));
        if world.remaining.redrives > 0 {
            for (job, stored) in world.jobs.iter().enumerate().filter(|(_, stored)| stored.redriven.is_none()) {
                let attempts = (0..8).filter(|attempt| stored.dead_letters & (1 << attempt) != 0);
                actions.extend(attempts.map(|attempt| Action::Redrive { job, attempt }));
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Tick => {
                for job in &mut world.jobs {
                    job.lease_left = job.lease_left.saturating_sub(1);
                }
                for worker in 0..world.workers.len() {
                    let Some(task) = &mut world.workers[worker] else { continue };
                    task.time_left -= 1;
                    if task.time_left == 0 {
                        world.end_worker(worker);
                    }
                }
            }
            Action::Deliver { worker, job, message } => world.deliver(worker, job, message, self.removed)?,
            Action::Answer { worker } => {
                let task = world.workers[worker].as_mut()?;
                task.step = Step::Complete;
                let job = &mut world.jobs[task.job as usize];
                job.charges_without_call -= 1;
                job.was_called_after_complete |= job.status == Status::Complete;
            }
            Action::Throttle { worker } => {
                world.remaining.use_fault(|remaining| &mut remaining.throttles);
                world.workers[worker].as_mut()?.step = Step::Release { charged: false };
            }
            Action::Fail { worker, permanent } => {
                world.remaining.use_fault(|remaining| &mut remaining.failures);
                let task = world.workers[worker].as_mut()?;
                world.jobs[task.job as usize].charges_without_call -= 1;
                let is_final = permanent || u32::from(task.charged_attempts) >= MAX_ATTEMPTS;
                task.step = if is_final {
                    Step::SendDeadLetter { lease_expired: false }
                } else {
                    Step::Release { charged: true }
                };
            }
            Action::Advance { worker } => world.advance(worker, self.removed)?,
            Action::Crash { worker } => {
                world.remaining.use_fault(|remaining| &mut remaining.crashes);
                world.end_worker(worker);
            }
            Action::ArriveLate { write } => {
                let task = world.late_writes.remove(write);
                world.write(task, self.removed);
            }
            Action::Redrive { job, attempt } => {
                world.remaining.redrives -= 1;
                world.jobs[job].dead_letters &= !(1 << attempt);
                world.jobs[job].redriven = Some(attempt);
            }
        }
        world.normalize(self.removed);
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn each(world: &World, holds: impl Fn(&Job) -> bool) -> bool {
            world.jobs.iter().all(holds)
        }
        let mut properties = vec![
            Property::always("1: no job is lost", |_, world: &World| {
                let ended = |job: &Job| matches!(job.status, Status::Complete | Status::Failed);
                each(world, |job| job.has_original || job.redriven.is_some() || job.dead_letters != 0 || ended(job))
            }),
            Property::always("2: a worker without a lease changes nothing", |_, world: &World| {
                each(world, |job| !job.had_stale_write)
            }),
            Property::always("3: a completed job is never sent to the model again", |_, world: &World| {
                each(world, |job| !job.was_called_after_complete)
            }),
            Property::always("3: each charged attempt makes at most one call", |_, world: &World| {
                each(world, |job| job.charges_without_call >= 0)
            }),
            Property::always("4: a dead letter is sent before its job is failed", |_, world: &World| {
                each(world, |job| job.status != Status::Failed || job.sent_dead_letters & (1 << job.attempt) != 0)
            }),
            Property::sometimes("a job completes", |_, world: &World| {
                world.jobs.iter().any(|job| job.status == Status::Complete)
            }),
            Property::sometimes("a job with an expired lease is failed", |_, world: &World| {
                world.workers.iter().flatten().any(|task| task.step == Step::Fail { lease_expired: true })
            }),
            Property::sometimes("after a lease expires, another worker completes", |model: &Self, world: &World| {
                let had_no_fault = world.remaining.faults == model.bounds.remaining.faults;
                let is_second =
                    |job: &Job| job.status == Status::Complete && job.attempt == 2 && job.sent_dead_letters == 0;
                had_no_fault && world.jobs.iter().any(is_second)
            }),
        ];
        if self.bounds.remaining.redrives > 0 {
            properties.push(Property::sometimes("a job fails, is redriven and completes", |_, world: &World| {
                world.jobs.iter().any(|job| job.status == Status::Complete && job.sent_dead_letters != 0)
            }));
        }
        properties
    }
}

fn explore(bounds: Bounds) {
    let begun = Instant::now();
    let checker = Protocol { bounds, removed: Removed::Nothing }.checker().threads(2).spawn_bfs().join();
    println!("protocol: {} states in {} s with {bounds:?}", checker.unique_state_count(), begun.elapsed().as_secs());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000);
}

#[test]
fn invariants_hold_for_one_job() {
    let remaining = Remaining { faults: 4, crashes: 1, throttles: 1, failures: 2, redrives: 1 };
    explore(Bounds { workers: 3, jobs: 1, remaining });
}

#[test]
fn invariants_hold_for_two_jobs_with_one_fault_and_a_redrive() {
    let remaining = Remaining { faults: 1, crashes: 1, throttles: 1, failures: 1, redrives: 1 };
    explore(Bounds { workers: 3, jobs: 2, remaining });
}

#[test]
fn invariants_hold_for_two_jobs_with_three_faults() {
    let remaining = Remaining { faults: 3, crashes: 1, throttles: 1, failures: 2, redrives: 0 };
    explore(Bounds { workers: 3, jobs: 2, remaining });
}

#[test]
fn removed_safeguard_breaks_its_invariant() {
    let remaining = Remaining { faults: 3, crashes: 1, throttles: 1, failures: 1, redrives: 1 };
    let bounds = Bounds { workers: 2, jobs: 1, remaining };
    for (removed, broken) in [
        (Removed::Fence, "2: "),
        (Removed::DeadLetterFirst, "4: "),
        (Removed::LeaseMargin, "3: "),
        (Removed::DurableEnding, "1: "),
    ] {
        let model = Protocol { bounds, removed };
        let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found: Vec<&str> = checker.discoveries().into_keys().collect();
        assert!(
            found.iter().any(|name| name.starts_with(broken)),
            "without {removed:?}: a property {broken:?} must fail; failed: {found:?}"
        );
    }
}
