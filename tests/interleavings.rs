//! Random interleavings of workers that claim, complete, fail and release, early
//! and late, on the real table: each write does what a plain account of the rules
//! says, and a worker that lost its lease changes nothing.
//!
//! `INTERLEAVINGS=1000000` runs more (`make faults`), `INTERLEAVING_SEED=7` runs
//! one again.

use std::time::Duration;

use docket::aws::jobs::{ClaimAnswer, Fenced};
use docket::clock::now;
use docket::domain::failure::Failure;
use docket::domain::ids::Owner;
use docket::domain::job::claim::{Claim, Claimant};
use docket::domain::job::stored::{Completed, StoredResult, Usage};
use jiff::Timestamp;
use test_support::aws::World;
use test_support::inline_job;
use tokio::task::JoinSet;

const MAX_ATTEMPTS: u32 = 3;
const LEASE: Duration = Duration::from_secs(60);
const STEPS: usize = 6;
const WORKERS: usize = 3;
const SIDE_BY_SIDE: u64 = 8;

/// The rules, told once more and plainly.
#[derive(Debug, Clone, PartialEq)]
struct Account {
    status: &'static str,
    attempt: u32,
    charged_attempts: u32,
    lease_until: Timestamp,
}

impl Account {
    fn may_be_claimed(&self, at: Timestamp) -> bool {
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

fn wrong(seed: u64, what: &str, account: &Account, story: &[String]) -> String {
    format!("seed {seed}: {what}; by the rules it is {account:?}; {story:?}")
}

async fn interleave(world: &World, seed: u64) -> Result<(), String> {
    let jobs = world.jobs();
    let job = inline_job(&format!("interleaved-{seed}"));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut at = now();
    let mut account = Account { status: "none", attempt: 0, charged_attempts: 0, lease_until: at };
    let mut claims: [Option<Claim>; WORKERS] = [None, None, None];
    let mut story = Vec::new();
    for step in 0..STEPS {
        let worker = random.usize(..WORKERS);
        let choice = random.u8(..6);
        story.push(format!("worker {worker} does {choice}"));
        if choice == 0 {
            at += LEASE;
            continue;
        }
        let Some(claim) = claims[worker].clone().filter(|_| choice > 1) else {
            let owner = Owner::new(format!("{seed}-{step}"));
            let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS };
            let answer = jobs.claim(&job, &claimant, at, at + LEASE).await.map_err(|error| error.to_string())?;
            match (account.may_be_claimed(at), answer) {
                (true, ClaimAnswer::Claimed(claim)) => {
                    let (attempt, charged_attempts) = (account.attempt + 1, account.charged_attempts + 1);
                    account = Account { status: "processing", attempt, charged_attempts, lease_until: at + LEASE };
                    if (claim.attempt, claim.charged_attempts) != (attempt, charged_attempts) {
                        return Err(wrong(seed, "the claim counts otherwise", &account, &story));
                    }
                    claims[worker] = Some(claim);
                }
                (false, ClaimAnswer::Rejected(_)) => {}
                (expected, answer) => {
                    return Err(wrong(seed, &format!("claimable: {expected}, and {answer:?}"), &account, &story));
                }
            }
            continue;
        };
        // The same end twice, by the same claim, is its own write seen again.
        let again = |status| account.status == status && account.attempt == claim.attempt;
        let (held, repeated, written) = match choice {
            2 => {
                let done = Completed {
                    result: StoredResult::Inline(serde_json::json!({"by": claim.attempt})),
                    model_id: "m".into(),
                    usage: Usage::default(),
                    stop_reason: "tool_use".into(),
                    model_latency_ms: 0,
                    chunks: None,
                    completed_at: at,
                    deduplicated_from: None,
                    fingerprint: None,
                };
                let written = jobs.complete(&job.job_id, &claim, &done, &Default::default()).await;
                (account.is_held_by(&claim), again("complete"), written.map_err(|_| "unavailable".to_owned())?)
            }
            3 => {
                let written = jobs.fail(&job.job_id, &claim, &Failure::new("c", "m"), at).await;
                (account.is_held_by(&claim), again("failed"), written.map_err(|error| error.to_string())?)
            }
            _ => {
                let written = jobs.release(&job.job_id, &claim, choice == 4, at).await;
                (account.is_held_by(&claim), again("pending"), written.map_err(|error| error.to_string())?)
            }
        };
        if (written == Fenced::Written) != (held || repeated) {
            return Err(wrong(seed, &format!("held: {held}, and {written:?}"), &account, &story));
        }
        if held {
            account.status = ["", "", "complete", "failed", "pending", "pending"][usize::from(choice)];
            account.charged_attempts -= u32::from(choice == 5);
        }
    }
    let row = world.row(job.job_id.as_str()).await;
    let status = row.as_ref().map_or("none", |row| row.state.status().as_str());
    let counts = row.as_ref().map_or((0, 0), |row| (row.attempt, row.charged_attempts));
    if (status, counts) != (account.status, (account.attempt, account.charged_attempts)) {
        return Err(wrong(seed, &format!("the row is {status} {counts:?}"), &account, &story));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn in_every_interleaving_a_stale_worker_changes_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("INTERLEAVING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("INTERLEAVINGS").unwrap_or(10_000),
    };
    println!("interleavings: seeds {seeds:?}; INTERLEAVING_SEED=n runs one again");
    let world = std::sync::Arc::new(World::new().await);
    let mut parts = JoinSet::new();
    for part in 0..SIDE_BY_SIDE {
        let (world, seeds) = (world.clone(), seeds.clone());
        parts.spawn(async move {
            for seed in seeds.filter(|seed| seed % SIDE_BY_SIDE == part) {
                interleave(&world, seed).await?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(part) = parts.join_next().await {
        if let Err(wrong) = part.expect("no panic") {
            panic!("{wrong}");
        }
    }
}
