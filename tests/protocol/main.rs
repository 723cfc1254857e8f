//! A model of the protocol, all of whose states are explored: workers that
//! crash and clocks that differ, messages that are delivered twice, writes that
//! arrive late, leases that end, dead letters that are moved back.
//!
//! The claim's decision is the real one. What the model adds is the world around
//! it. With a fence taken out, the same exploration finds what goes wrong: that
//! is the negative control.

mod job;
mod world;

use std::time::Instant;

use job::{Job, Message, Status, Step};
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::{Left, MAX_ATTEMPTS, Without, World};

/// What bounds the exploration.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    workers: usize,
    jobs: usize,
    left: Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Tick,
    Deliver { worker: usize, job: usize, message: Message },
    Answer { worker: usize },
    Throttle { worker: usize },
    FailOnce { worker: usize, permanent: bool },
    Go { worker: usize },
    Crash { worker: usize },
    Arrive { late: usize },
    Redrive { job: usize, attempt: u8 },
}

#[derive(Debug, Clone, Copy)]
struct Protocol {
    bounds: Bounds,
    without: Without,
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
            original: true,
            redriven: None,
            letters: 0,
            letters_ever: 0,
            uncalled: 0,
            called_after_complete: false,
            stale_write: false,
        };
        vec![World {
            jobs: vec![job; self.bounds.jobs],
            workers: vec![None; self.bounds.workers],
            late: Vec::new(),
            left: self.bounds.left,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        for (worker, task) in world.workers.iter().enumerate() {
            let Some(task) = task else {
                for (job, row) in world.jobs.iter().enumerate() {
                    if row.original {
                        actions.push(Action::Deliver { worker, job, message: Message::Original });
                    }
                    if row.redriven.is_some() {
                        actions.push(Action::Deliver { worker, job, message: Message::Redriven });
                    }
                }
                continue;
            };
            if world.left.crashes > 0 {
                actions.push(Action::Crash { worker });
            }
            match task.step {
                Step::Call => {
                    actions.push(Action::Answer { worker });
                    if world.left.throttles > 0 {
                        actions.push(Action::Throttle { worker });
                    }
                    if world.left.failures > 0 {
                        actions.extend([true, false].map(|permanent| Action::FailOnce { worker, permanent }));
                    }
                }
                _ => actions.push(Action::Go { worker }),
            }
        }
        actions.extend((0..world.late.len()).map(|late| Action::Arrive { late }));
        if world.left.redrives > 0 {
            for (job, row) in world.jobs.iter().enumerate().filter(|(_, row)| row.redriven.is_none()) {
                let lying = (0..8).filter(|attempt| row.letters & (1 << attempt) != 0);
                actions.extend(lying.map(|attempt| Action::Redrive { job, attempt }));
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
                        world.lose(worker);
                    }
                }
            }
            Action::Deliver { worker, job, message } => world.deliver(worker, job, message, self.without)?,
            Action::Answer { worker } => {
                let task = world.workers[worker].as_mut()?;
                task.step = Step::Complete;
                let job = &mut world.jobs[task.job as usize];
                job.uncalled -= 1;
                job.called_after_complete |= job.status == Status::Complete;
            }
            Action::Throttle { worker } => {
                world.left.fault(|left| &mut left.throttles);
                world.workers[worker].as_mut()?.step = Step::Release { charged: false };
            }
            Action::FailOnce { worker, permanent } => {
                world.left.fault(|left| &mut left.failures);
                let task = world.workers[worker].as_mut()?;
                world.jobs[task.job as usize].uncalled -= 1;
                let gives_up = permanent || u32::from(task.charged_attempts) >= MAX_ATTEMPTS;
                task.step = if gives_up { Step::SendLetter { silent: false } } else { Step::Release { charged: true } };
            }
            Action::Go { worker } => world.go(worker, self.without)?,
            Action::Crash { worker } => {
                world.left.fault(|left| &mut left.crashes);
                world.lose(worker);
            }
            Action::Arrive { late } => {
                let task = world.late.remove(late);
                world.write(task, self.without);
            }
            Action::Redrive { job, attempt } => {
                world.left.redrives -= 1;
                world.jobs[job].letters &= !(1 << attempt);
                world.jobs[job].redriven = Some(attempt);
            }
        }
        world.settle(self.without);
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn each(world: &World, holds: impl Fn(&Job) -> bool) -> bool {
            world.jobs.iter().all(holds)
        }
        let mut properties = vec![
            Property::always("1: nothing is lost", |_, world: &World| {
                let ended = |job: &Job| matches!(job.status, Status::Complete | Status::Failed);
                each(world, |job| job.original || job.redriven.is_some() || job.letters != 0 || ended(job))
            }),
            Property::always("2: a worker that lost its lease changes nothing", |_, world: &World| {
                each(world, |job| !job.stale_write)
            }),
            Property::always("3: a completed job is never sent to the model again", |_, world: &World| {
                each(world, |job| !job.called_after_complete)
            }),
            Property::always("3: a job is sent at most once for each charged try", |_, world: &World| {
                each(world, |job| job.uncalled >= 0)
            }),
            Property::always("4: the dead letter comes before the row says failed", |_, world: &World| {
                each(world, |job| job.status != Status::Failed || job.letters_ever & (1 << job.attempt) != 0)
            }),
            Property::sometimes("a job completes", |_, world: &World| {
                world.jobs.iter().any(|job| job.status == Status::Complete)
            }),
            Property::sometimes("a job whose worker fell silent is failed", |_, world: &World| {
                world.workers.iter().flatten().any(|task| task.step == Step::Fail { silent: true })
            }),
            Property::sometimes("a lease ends and another worker completes", |model: &Self, world: &World| {
                let no_fault = world.left.faults == model.bounds.left.faults;
                let is_second = |job: &Job| job.status == Status::Complete && job.attempt == 2 && job.letters_ever == 0;
                no_fault && world.jobs.iter().any(is_second)
            }),
        ];
        if self.bounds.left.redrives > 0 {
            properties.push(Property::sometimes("a job fails, is redriven and completes", |_, world: &World| {
                world.jobs.iter().any(|job| job.status == Status::Complete && job.letters_ever != 0)
            }));
        }
        properties
    }
}

fn explore(bounds: Bounds) {
    let begun = Instant::now();
    let checker = Protocol { bounds, without: Without::Nothing }.checker().threads(2).spawn_bfs().join();
    println!("protocol: {} states in {} s with {bounds:?}", checker.unique_state_count(), begun.elapsed().as_secs());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000);
}

#[test]
fn the_invariants_hold_in_every_state_of_three_workers_on_one_job() {
    let left = Left { faults: 4, crashes: 1, throttles: 1, failures: 2, redrives: 1 };
    explore(Bounds { workers: 3, jobs: 1, left });
}

#[test]
fn the_invariants_hold_in_every_state_of_three_workers_on_two_jobs_with_any_fault_and_a_redrive() {
    let left = Left { faults: 1, crashes: 1, throttles: 1, failures: 1, redrives: 1 };
    explore(Bounds { workers: 3, jobs: 2, left });
}

#[test]
fn the_invariants_hold_in_every_state_of_three_workers_on_two_jobs_with_faults_on_both() {
    let left = Left { faults: 3, crashes: 1, throttles: 1, failures: 2, redrives: 0 };
    explore(Bounds { workers: 3, jobs: 2, left });
}

#[test]
fn with_a_safeguard_taken_out_the_exploration_finds_what_goes_wrong() {
    let left = Left { faults: 3, crashes: 1, throttles: 1, failures: 1, redrives: 1 };
    let bounds = Bounds { workers: 2, jobs: 1, left };
    for (without, broken) in
        [(Without::Fence, "2: "), (Without::LetterFirst, "4: "), (Without::Margin, "3: "), (Without::DurableEnd, "1: ")]
    {
        let model = Protocol { bounds, without };
        let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found: Vec<&str> = checker.discoveries().into_keys().collect();
        assert!(found.iter().any(|name| name.starts_with(broken)), "{without:?} breaks {broken}, not {found:?}");
    }
}
