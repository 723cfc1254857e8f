//! A long invocation in random orders of events: workers crash, sleep and wake late;
//! messages are delivered twice and at any time. The decisions are the real ones.
//! `simulation` replaces the table, the queue and Bedrock.
//!
//! `ASYNC_ORDER_SEED=7` repeats one order.

mod simulation;

use simulation::{RemovedSafeguard, Simulation};

fn find_violations(removed: RemovedSafeguard, seeds: std::ops::Range<u64>) -> Vec<(u64, &'static str)> {
    seeds.filter_map(|seed| Simulation::new(seed, removed).run().err().map(|violation| (seed, violation))).collect()
}

#[test]
fn long_job_ends_correctly_in_every_order_of_events() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("ASYNC_ORDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..20_000,
    };
    let violations = find_violations(RemovedSafeguard::None, seeds);
    assert!(
        violations.is_empty(),
        "{} orders violate a rule, such as {:?}",
        violations.len(),
        &violations[..violations.len().min(5)]
    );
}

#[test]
fn removed_safeguard_is_noticed_in_some_order() {
    for (removed, expected) in [
        (RemovedSafeguard::SendBeforeWaiting, "the last message was acknowledged before the job ended"),
        (RemovedSafeguard::ResumeCondition, "two workers resumed at the same poll"),
        (RemovedSafeguard::SameToken, "more than one invocation was started"),
    ] {
        let violations = find_violations(removed, 0..20_000);
        assert!(
            violations.iter().any(|(_, violation)| *violation == expected),
            "{removed:?}: {:?}",
            violations.first()
        );
    }
}
