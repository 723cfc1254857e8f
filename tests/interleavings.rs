//! Random interleavings of workers that claim, complete, fail and release jobs, early
//! and late, on the real table. A simple model of the rules predicts each write. A
//! worker that lost its lease changes nothing.
//!
//! `INTERLEAVINGS=1000000` runs more of them (`make faults`), and
//! `INTERLEAVING_SEED=7` repeats one.

use std::time::Duration;

use docket::aws::jobs::{ClaimAnswer, Fenced};
use docket::clock::now;
use docket::domain::failure::Failure;
use docket::domain::ids::Owner;
use docket::domain::job::claim::{Claim, Claimant};
use docket::domain::job::stored::{Completed, StoredResult, Usage};
use jiff::Timestamp;
use test_support::aws::World;
use test_support::{inline_job, released};
use tokio::task::JoinSet;

const MAX_ATTEMPTS: u32 = 3;
const LEASE: Duration = Duration::from_secs(60);
const STEPS: usize = 6;
const WORKERS: usize = 3;
const CONCURRENT_TASKS: u64 = 8;

/// The job that the rules predict.
#[derive(Debug, Clone, PartialEq)]
struct ExpectedJob {
    status: &'static str,
    attempt: u32,
    charged_attempts: u32,
    lease_until: Timestamp,
}

impl ExpectedJob {
    fn is_claimable(&self, at: Timestamp) -> bool {
        match self.status {
            "none" | "pending" => true,
            "processing" => self.lease_until <= at && self.charged_attempts < MAX_ATTEMPTS,
            _ => false,
        }
    }

    fn is_held_by(&self, claim: &Claim) -> bool {
        self.status == "processing" && self.attempt == claim.attempt
    }
}

fn describe_violation(seed: u64, violation: &str, expected: &ExpectedJob, actions: &[String]) -> String {
    format!("seed {seed}: {violation}; the rules predict {expected:?}; actions: {actions:?}")
}

async fn interleave(world: &World, seed: u64) -> Result<(), String> {
    let jobs = world.jobs();
    let job = inline_job(&format!("interleaved-{seed}"));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut at = now();
    let mut expected = ExpectedJob { status: "none", attempt: 0, charged_attempts: 0, lease_until: at };
    let mut claims: [Option<Claim>; WORKERS] = [None, None, None];
    let mut actions = Vec::new();
    for step in 0..STEPS {
        let worker = random.usize(..WORKERS);
        let choice = random.u8(..6);
        actions.push(format!("worker {worker} runs action {choice}"));
        if choice == 0 {
            at += LEASE;
            continue;
        }
        let Some(claim) = claims[worker].clone().filter(|_| choice > 1) else {
            let owner = Owner::new(format!("{seed}-{step}"));
            let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
            let answer = jobs.claim(&job, &claimant, at, at + LEASE).await.map_err(|error| error.to_string())?;
            match (expected.is_claimable(at), answer) {
                (true, ClaimAnswer::Claimed(claim)) => {
                    let (attempt, charged_attempts) = (expected.attempt + 1, expected.charged_attempts + 1);
                    expected = ExpectedJob { status: "processing", attempt, charged_attempts, lease_until: at + LEASE };
                    if (claim.attempt, claim.charged_attempts) != (attempt, charged_attempts) {
                        return Err(describe_violation(
                            seed,
                            "the claim has another attempt or count",
                            &expected,
                            &actions,
                        ));
                    }
                    claims[worker] = Some(claim);
                }
                (false, ClaimAnswer::Rejected(_)) => {}
                (is_claimable, answer) => {
                    return Err(describe_violation(
                        seed,
                        &format!("claimable: {is_claimable}, answer: {answer:?}"),
                        &expected,
                        &actions,
                    ));
                }
            }
            continue;
        };
        // A claim that ends the job twice in the same way finds its own write.
        let is_repeated = |status| expected.status == status && expected.attempt == claim.attempt;
        let (is_held, is_own_write, written) = match choice {
            2 => {
                let done = Completed {
                    result: StoredResult::Inline(serde_json::json!({"by": claim.attempt})),
                    model_id: "m".into(),
                    usage: Usage::default(),
                    label: None,
                    repaired: false,
                    evidence: None,
                    stop_reason: "tool_use".into(),
                    model_latency_ms: 0,
                    chunks: None,
                    completed_at: at,
                    deduplicated_from: None,
                    fingerprint: None,
                };
                let written = jobs.complete(&job.job_id, &claim, &done, &Default::default()).await;
                (expected.is_held_by(&claim), is_repeated("complete"), written.map_err(|_| "unavailable".to_owned())?)
            }
            3 => {
                let written = jobs.fail(&job.job_id, &claim, &Failure::new("c", "m"), at).await;
                (expected.is_held_by(&claim), is_repeated("failed"), written.map_err(|error| error.to_string())?)
            }
            _ => {
                let written = jobs.release(&job.job_id, &claim, &released(choice == 4), None, at).await;
                (expected.is_held_by(&claim), is_repeated("pending"), written.map_err(|error| error.to_string())?)
            }
        };
        if (written == Fenced::Written) != (is_held || is_own_write) {
            return Err(describe_violation(
                seed,
                &format!("held: {is_held}, answer: {written:?}"),
                &expected,
                &actions,
            ));
        }
        if is_held {
            expected.status = ["", "", "complete", "failed", "pending", "pending"][usize::from(choice)];
            expected.charged_attempts -= u32::from(choice == 5);
        }
    }
    let row = world.row(job.job_id.as_str()).await;
    let status = row.as_ref().map_or("none", |row| row.state.status().as_str());
    let counts = row.as_ref().map_or((0, 0), |row| (row.attempt, row.charged_attempts));
    if (status, counts) != (expected.status, (expected.attempt, expected.charged_attempts)) {
        return Err(describe_violation(seed, &format!("the stored job is {status} {counts:?}"), &expected, &actions));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn stale_worker_changes_nothing_in_any_interleaving() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("INTERLEAVING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("INTERLEAVINGS").unwrap_or(10_000),
    };
    println!("interleavings: seeds {seeds:?}; INTERLEAVING_SEED=n repeats one");
    let world = std::sync::Arc::new(World::new().await);
    let mut tasks = JoinSet::new();
    for task in 0..CONCURRENT_TASKS {
        let (world, seeds) = (world.clone(), seeds.clone());
        tasks.spawn(async move {
            for seed in seeds.filter(|seed| seed % CONCURRENT_TASKS == task) {
                interleave(&world, seed).await?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        if let Err(violation) = task.expect("no panic") {
            panic!("{violation}");
        }
    }
}
