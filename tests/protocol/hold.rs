//! A model of holds: the chain of probes, the wait of jobs, and their resend. Workers crash
//! at every step, messages are delivered twice, and workers remember a hold that has ended.
//!
//! The decision about a probe is the real function. No delayed message of a job is needed: a
//! job runs again because of the hold's own messages.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::hold_state::{HoldWorld, Job, Message, Remaining, RemovedFromHold, Status, Worker};

/// Longest chain of probes.
const PROBES: u8 = 2;

#[derive(Debug, Clone, Copy)]
struct Bounds {
    workers: usize,
    jobs: usize,
    remaining: Remaining,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    BeginFault,
    EndFault,
    Deliver { worker: usize, message: Message, reads_hold: bool, is_copy: bool },
    DeliverDelayed { worker: usize, job: usize },
    Advance { worker: usize },
    Forget { worker: usize },
    Crash { worker: usize },
    ExpireLease,
}

#[derive(Debug, Clone, Copy)]
struct HoldProtocol {
    bounds: Bounds,
    removed: RemovedFromHold,
}

impl Model for HoldProtocol {
    type State = HoldWorld;
    type Action = Action;

    fn init_states(&self) -> Vec<HoldWorld> {
        let job = Job { status: Status::Pending, is_waiting: false, charged: 0, has_delayed: false };
        let messages = (0..self.bounds.jobs).map(|job| Message::Job { job, is_first_delivery: true });
        vec![HoldWorld {
            has_fault: true,
            hold: None,
            jobs: vec![job; self.bounds.jobs],
            queue: messages.collect(),
            invisible: Vec::new(),
            workers: vec![Worker::default(); self.bounds.workers],
            remaining: self.bounds.remaining,
        }]
    }

    fn actions(&self, world: &HoldWorld, actions: &mut Vec<Action>) {
        if world.has_fault {
            actions.push(Action::EndFault);
        } else if world.remaining.faults > 0 {
            actions.push(Action::BeginFault);
        }
        if world.lease_is_orphaned() {
            actions.push(Action::ExpireLease);
        }
        for (worker, Worker { knows_hold, task }) in world.workers.iter().enumerate() {
            if *knows_hold {
                actions.push(Action::Forget { worker });
            }
            if task.is_some() {
                actions.push(Action::Advance { worker });
                if world.remaining.crashes > 0 {
                    actions.push(Action::Crash { worker });
                }
                continue;
            }
            for message in world.queue.iter().copied() {
                let reads: &[bool] = if matches!(message, Message::Job { .. }) { &[true, false] } else { &[true] };
                for reads_hold in reads.iter().copied() {
                    actions.push(Action::Deliver { worker, message, reads_hold, is_copy: false });
                    if world.remaining.duplicates > 0 {
                        actions.push(Action::Deliver { worker, message, reads_hold, is_copy: true });
                    }
                }
            }
            if world.remaining.duplicates > 0 {
                let delayed = world.jobs.iter().enumerate().filter(|(_, job)| job.has_delayed);
                actions.extend(delayed.map(|(job, _)| Action::DeliverDelayed { worker, job }));
            }
        }
    }

    fn next_state(&self, last: &HoldWorld, action: Action) -> Option<HoldWorld> {
        let mut world = last.clone();
        match action {
            Action::BeginFault => {
                world.remaining.faults -= 1;
                world.has_fault = true;
            }
            Action::EndFault => world.has_fault = false,
            Action::Deliver { worker, message, reads_hold, is_copy } => {
                if is_copy {
                    world.remaining.duplicates -= 1;
                } else {
                    world.queue.retain(|other| *other != message);
                }
                world.deliver(worker, message, reads_hold, self.removed)?;
            }
            Action::DeliverDelayed { worker, job } => {
                world.remaining.duplicates -= 1;
                world.deliver(worker, Message::Job { job, is_first_delivery: false }, true, self.removed)?;
            }
            Action::Advance { worker } => world.advance(worker, self.removed)?,
            Action::Forget { worker } => world.workers[worker].knows_hold = false,
            Action::Crash { worker } => {
                world.remaining.crashes -= 1;
                world.crash(worker);
            }
            Action::ExpireLease => world.hold.as_mut()?.has_lease = false,
        }
        world.normalize();
        (world != *last).then_some(world)
    }

    fn within_boundary(&self, world: &HoldWorld) -> bool {
        world.hold.is_none_or(|hold| hold.probe <= PROBES)
            && world.queue.iter().all(|message| !matches!(message, Message::Probe(probe) if *probe > PROBES))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("1: each job runs again without its delayed messages", |_, world: &HoldWorld| {
                (0..world.jobs.len()).all(|job| world.is_supported(job))
            }),
            Property::always("2: a hold has the message of its next probe", |_, world: &HoldWorld| {
                world.hold.is_none_or(|hold| world.messages().any(|message| message == Message::Probe(hold.probe)))
            }),
            Property::always("3: a wait charges no attempt", |_, world: &HoldWorld| {
                world.jobs.iter().all(|job| {
                    job.charged
                        == u8::from(!matches!(
                            job.status,
                            Status::Pending | Status::Processing { worker_is_alive: false }
                        ))
                })
            }),
            Property::sometimes("all jobs complete after a hold", |_, world: &HoldWorld| {
                world.jobs.iter().all(|job| job.status == Status::Complete && job.has_delayed)
            }),
            Property::sometimes("a hold reaches its last probe", |_, world: &HoldWorld| {
                world.hold.is_some_and(|hold| hold.probe == PROBES)
            }),
        ]
    }
}

fn explore(bounds: Bounds) {
    let begun = Instant::now();
    let model = HoldProtocol { bounds, removed: RemovedFromHold::Nothing };
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("hold: {} states in {} s with {bounds:?}", checker.unique_state_count(), begun.elapsed().as_secs());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000);
}

#[test]
fn held_job_is_never_stranded() {
    explore(Bounds { workers: 3, jobs: 1, remaining: Remaining { crashes: 1, duplicates: 0, faults: 0 } });
}

#[test]
fn held_job_is_never_stranded_by_two_crashes() {
    explore(Bounds { workers: 2, jobs: 1, remaining: Remaining { crashes: 2, duplicates: 0, faults: 0 } });
}

#[test]
fn held_job_is_never_stranded_by_a_second_fault() {
    explore(Bounds { workers: 2, jobs: 1, remaining: Remaining { crashes: 1, duplicates: 0, faults: 1 } });
}

#[test]
fn held_job_is_never_stranded_by_a_repeated_message() {
    explore(Bounds { workers: 2, jobs: 1, remaining: Remaining { crashes: 1, duplicates: 1, faults: 0 } });
}

#[test]
fn two_held_jobs_are_never_stranded() {
    explore(Bounds { workers: 2, jobs: 2, remaining: Remaining { crashes: 1, duplicates: 0, faults: 0 } });
}

#[test]
fn removed_safeguard_of_holds_strands_or_charges_a_job() {
    let bounds = Bounds { workers: 2, jobs: 1, remaining: Remaining { crashes: 1, duplicates: 1, faults: 1 } };
    for (removed, broken) in [
        (RemovedFromHold::NextProbeFirst, "2: "),
        (RemovedFromHold::FirstProbeFirst, "2: "),
        (RemovedFromHold::ResendWithoutHold, "1: "),
        (RemovedFromHold::LastLook, "1: "),
        (RemovedFromHold::UnchangedJob, "1: "),
        (RemovedFromHold::WaitAfterCrash, "1: "),
        (RemovedFromHold::FreeRelease, "3: "),
    ] {
        let checker = HoldProtocol { bounds, removed }.checker().threads(2);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found: Vec<&str> = checker.discoveries().into_keys().collect();
        assert!(
            found.iter().any(|name| name.starts_with(broken)),
            "without {removed:?}: a property {broken:?} must fail; failed: {found:?}"
        );
    }
}
