//! A model of deaths: a document that ends its worker, among innocent ones. Batches have any
//! messages, workers run at the same time, and throttling releases jobs.
//!
//! The decision of the claim and the rule for suspects are the real functions. The negative
//! control removes one safeguard at a time, and the exploration must then find an innocent job
//! that is charged for a death or fails.

use docket::domain::ids::Owner;
use docket::domain::job::claim::{ClaimRejected, Claimant, Decision, decide};
use docket::domain::job::stored::{State, StoredJob};
use docket::domain::job::suspect::is_suspect;
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::job::{NOW, timestamp};

const MAX_ATTEMPTS: u32 = 2;
/// The job whose call ends its worker; the others are innocent.
const CULPRIT: usize = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removed {
    Nothing,
    /// Every job that falls silent is charged, also together with others.
    ChargeOfLoneJobs,
    /// A batch with a suspect runs all its jobs at the same time, as if each were alone.
    Solitude,
    /// A release clears the mark of a suspect.
    Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Status {
    Pending,
    /// A worker holds the job.
    Running,
    /// The worker died. `is_over` says whether the lease has expired.
    Silent {
        is_over: bool,
    },
    Complete,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Job {
    status: Status,
    charged_attempts: u8,
    suspect: bool,
    ran_alone: bool,
    /// How often the job's worker died, at most 2: each costs a repeated call.
    deaths: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    jobs: Vec<Job>,
    /// For each worker, the jobs that it holds, one bit each.
    workers: Vec<u8>,
    throttles: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A worker receives the messages of these jobs. `first` is the suspect that runs, if any.
    Deliver {
        worker: usize,
        batch: u8,
        first: Option<usize>,
    },
    /// The culprit's call ends the worker.
    Die {
        worker: usize,
    },
    Complete {
        worker: usize,
        job: usize,
    },
    Throttle {
        worker: usize,
        job: usize,
    },
    ExpireLease {
        job: usize,
    },
}

#[derive(Debug, Clone, Copy)]
struct Deaths {
    jobs: usize,
    workers: usize,
    removed: Removed,
}

fn has(set: u8, job: usize) -> bool {
    set & (1 << job) != 0
}

fn stored(job: &Job) -> StoredJob {
    let lease = |ticks| State::Processing { lease_until: timestamp(ticks) };
    let state = match job.status {
        Status::Pending => State::Pending,
        Status::Running | Status::Silent { is_over: false } => lease(NOW + 1),
        Status::Silent { is_over: true } => lease(NOW),
        Status::Complete | Status::Failed => State::Cancelled { completed_at: timestamp(0) },
    };
    StoredJob {
        state,
        attempt: 1,
        charged_attempts: job.charged_attempts.into(),
        suspect: job.suspect,
        ran_alone: job.ran_alone,
        ..StoredJob::new("j".parse().expect("a valid job id"), timestamp(0))
    }
}

impl Deaths {
    fn batches(&self, world: &World) -> impl Iterator<Item = u8> {
        let ended = |job: &Job| matches!(job.status, Status::Complete | Status::Failed);
        let unfinished = (0..self.jobs).filter(|job| !ended(&world.jobs[*job])).fold(0, |set, job| set | 1 << job);
        (1..1u8 << self.jobs).filter(move |batch| batch & !unfinished == 0)
    }

    /// Lets a worker claim a job of its batch.
    fn claim(&self, world: &mut World, worker: usize, index: usize, is_alone: bool) {
        let job = &mut world.jobs[index];
        let owner = Owner::new("me");
        let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone };
        let mut row = stored(job);
        row.ran_alone |= self.removed == Removed::ChargeOfLoneJobs;
        let (charged_attempts, suspect) = match decide(Some(&row), timestamp(NOW), &claimant) {
            Decision::Claim { charged_attempts } => (charged_attempts, job.suspect),
            Decision::TakeOver { charged_attempts } => (charged_attempts, true),
            Decision::Reject(ClaimRejected::Exhausted { .. }) => {
                job.status = Status::Failed;
                return;
            }
            Decision::Reject(_) | Decision::Continue(_) => return,
        };
        let charged_attempts = charged_attempts as u8;
        *job = Job { status: Status::Running, charged_attempts, suspect, ran_alone: is_alone, ..*job };
        // The consumer releases a suspect that does not run alone before its call.
        if suspect && !is_alone {
            *job = Job { status: Status::Pending, charged_attempts: charged_attempts.saturating_sub(1), ..*job };
            return;
        }
        world.workers[worker] |= 1 << index;
    }
}

impl Model for Deaths {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let job = Job { status: Status::Pending, charged_attempts: 0, suspect: false, ran_alone: false, deaths: 0 };
        vec![World { jobs: vec![job; self.jobs], workers: vec![0; self.workers], throttles: 2 }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (worker, held) in world.workers.iter().copied().enumerate() {
            for job in (0..self.jobs).filter(|job| has(held, *job)) {
                if job != CULPRIT {
                    actions.push(Action::Complete { worker, job });
                }
                if world.throttles > 0 {
                    actions.push(Action::Throttle { worker, job });
                }
            }
            if has(held, CULPRIT) {
                actions.push(Action::Die { worker });
            }
            if held != 0 {
                continue;
            }
            for batch in self.batches(world) {
                let is_suspect =
                    |job: &usize| has(batch, *job) && is_suspect(&stored(&world.jobs[*job]), timestamp(NOW));
                let suspects: Vec<usize> = (0..self.jobs).filter(is_suspect).collect();
                match suspects.is_empty() || self.removed == Removed::Solitude {
                    true => actions.push(Action::Deliver { worker, batch, first: None }),
                    false => actions.extend(suspects.into_iter().map(|job| Action::Deliver {
                        worker,
                        batch,
                        first: Some(job),
                    })),
                }
            }
        }
        let silent = |job: &usize| world.jobs[*job].status == Status::Silent { is_over: false };
        actions.extend((0..self.jobs).filter(silent).map(|job| Action::ExpireLease { job }));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Deliver { worker, first: Some(job), .. } => self.claim(&mut world, worker, job, true),
            Action::Deliver { worker, batch, first: None } => {
                let is_alone = batch.count_ones() == 1 || self.removed == Removed::Solitude;
                (0..self.jobs)
                    .filter(|job| has(batch, *job))
                    .for_each(|job| self.claim(&mut world, worker, job, is_alone));
            }
            Action::Die { worker } => {
                let held = std::mem::take(&mut world.workers[worker]);
                for (index, job) in world.jobs.iter_mut().enumerate().filter(|(index, _)| has(held, *index)) {
                    debug_assert!(job.status == Status::Running, "{index}");
                    job.status = Status::Silent { is_over: false };
                    job.deaths = (job.deaths + 1).min(2);
                }
            }
            Action::Complete { worker, job } => {
                world.workers[worker] &= !(1 << job);
                world.jobs[job].status = Status::Complete;
            }
            Action::Throttle { worker, job: index } => {
                world.throttles -= 1;
                world.workers[worker] &= !(1 << index);
                let job = &mut world.jobs[index];
                job.status = Status::Pending;
                job.charged_attempts = job.charged_attempts.saturating_sub(1);
                job.suspect &= self.removed != Removed::Mark;
            }
            Action::ExpireLease { job } => world.jobs[job].status = Status::Silent { is_over: true },
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn innocent(world: &World) -> &[Job] {
            &world.jobs[CULPRIT + 1..]
        }
        vec![
            Property::always("no innocent job fails", |_, world: &World| {
                innocent(world).iter().all(|job| job.status != Status::Failed)
            }),
            Property::always("no innocent job is charged for a death", |_, world: &World| {
                innocent(world).iter().all(|job| job.charged_attempts <= 1)
            }),
            Property::always("no innocent job loses two workers", |_, world: &World| {
                innocent(world).iter().all(|job| job.deaths <= 1)
            }),
            Property::always("no suspect runs with another job of its worker", |_, world: &World| {
                let held = world.workers.iter().filter(|held| held.count_ones() > 1);
                held.into_iter().all(|held| {
                    let mut jobs = world.jobs.iter().enumerate();
                    jobs.all(|(job, stored)| !has(*held, job) || !stored.suspect)
                })
            }),
            Property::sometimes("the culprit fails", |_, world: &World| world.jobs[CULPRIT].status == Status::Failed),
            Property::sometimes("all innocent jobs complete after the culprit", |_, world: &World| {
                let ended = innocent(world).iter().all(|job| job.status == Status::Complete && job.suspect);
                ended && world.jobs[CULPRIT].status == Status::Failed
            }),
        ]
    }
}

fn explore(jobs: usize, removed: Removed) -> Vec<&'static str> {
    let model = Deaths { jobs, workers: 2, removed };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("deaths without {removed:?}: {} states of {jobs} jobs", checker.unique_state_count());
    let properties = checker.model().properties();
    let holds = |name: &'static str| {
        let property = properties.iter().find(|property| property.name == name).expect("a property");
        match property.expectation {
            stateright::Expectation::Sometimes => checker.discovery(name).is_some(),
            _ => checker.discovery(name).is_none(),
        }
    };
    properties.iter().map(|property| property.name).filter(|name| !holds(name)).collect()
}

#[test]
fn innocent_jobs_survive_every_death_of_the_culprit() {
    for jobs in [2, 3] {
        assert_eq!(explore(jobs, Removed::Nothing), [""; 0]);
    }
}

#[test]
fn model_of_deaths_notices_each_removed_safeguard() {
    for removed in [Removed::ChargeOfLoneJobs, Removed::Solitude, Removed::Mark] {
        let broken = explore(2, removed);
        assert!(broken.iter().any(|name| name.starts_with("no ")), "{removed:?}: {broken:?}");
    }
}
