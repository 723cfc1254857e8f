//! The claim in both of its forms: one table of cases runs through the pure decision
//! and through the real conditional write.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use docket::aws::jobs::{ClaimAnswer, CompleteError, Fenced, Jobs};
use docket::clock::now;
use docket::domain::document::location::S3Location;
use docket::domain::failure::Failure;
use docket::domain::ids::Owner;
use docket::domain::job::claim::{Claim, Claimant, Decision, decide};
use docket::domain::job::stored::{Completed, StoredResult};
use docket::domain::job::{DocumentSource, Job, Work};
use jiff::Timestamp;
use test_support::aws::World;
use test_support::{inline_job as job, released, sample_completion};

const MAX_ATTEMPTS: u32 = 3;
const LEASE: Duration = Duration::from_secs(60);

type Item = HashMap<String, AttributeValue>;

struct Case {
    name: String,
    item: Option<Item>,
    redrive_of: Option<u32>,
}

/// Every combination of the job's status, lease or backoff, owner and charged attempts with
/// a message: 483 cases.
fn cases(now: Timestamp, mine: &Owner) -> Vec<Case> {
    let mut cases = Vec::new();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |n: i64| AttributeValue::N(n.to_string());
    let at = |offset: i64| number(now.as_millisecond() + offset);
    let error = AttributeValue::M(HashMap::from([("code".into(), text("c")), ("message".into(), text("m"))]));
    let alone = |ran_alone| ("ran_alone".to_owned(), AttributeValue::Bool(ran_alone));
    let states: Vec<(&str, Vec<(String, AttributeValue)>)> = [
        vec![("pending", vec![])],
        [-1, 0, 1].map(|backoff| ("pending", vec![("not_before".into(), at(backoff))])).into(),
        [-1, 0, 1].map(|lease| ("processing", vec![("lease_until".into(), at(lease))])).into(),
        [-1, 0, 1].map(|lease| ("processing", vec![("lease_until".into(), at(lease)), alone(false)])).into(),
        [-1, 0, 1].map(|lease| ("processing", vec![("lease_until".into(), at(lease)), alone(true)])).into(),
        vec![("complete", vec![("result".into(), AttributeValue::M(HashMap::new())), ("model_id".into(), text("m"))])],
        vec![("failed", vec![("error".into(), error)])],
        vec![("cancelled", vec![])],
    ]
    .concat();
    for redrive_of in [None, Some(4), Some(5)] {
        let name = format!("no stored job, redrive of {redrive_of:?}");
        cases.push(Case { name, item: None, redrive_of });
        for (status, attributes) in &states {
            for owner in [mine.as_str(), "another"] {
                for charged_attempts in [0, 1, MAX_ATTEMPTS - 1, MAX_ATTEMPTS, MAX_ATTEMPTS + 1] {
                    let name = format!(
                        "{status} {attributes:?}, {owner}, {charged_attempts} charged attempts, redrive of {redrive_of:?}"
                    );
                    let mut item = Item::from([
                        ("job_id".into(), text(&format!("case-{}", cases.len()))),
                        ("status".into(), text(status)),
                        ("attempt".into(), number(5)),
                        ("charged_attempts".into(), number(charged_attempts.into())),
                        ("owner".into(), text(owner)),
                    ]);
                    item.extend(attributes.iter().cloned());
                    cases.push(Case { name, item: Some(item), redrive_of });
                }
            }
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn claim_decision_and_conditional_write_agree_on_every_case() {
    let world = World::new().await;
    let jobs = world.jobs();
    let (at, owner) = (now(), Owner::new("mine"));
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (place, Case { name, item, redrive_of }) in cases(at, &owner).into_iter().enumerate() {
        let job_id = format!("case-{place}");
        if let Some(item) = item {
            world
                .put_item(item.into_iter().chain([("job_id".into(), AttributeValue::S(job_id.clone()))]).collect())
                .await;
        }
        let claimant = Claimant { owner: &owner, redrive_of, max_attempts: MAX_ATTEMPTS, is_alone: true };
        let before = world.item(&job_id).await;
        let row = world.row(&job_id).await;
        let decision = decide(row.as_ref(), at, &claimant);
        let answer = jobs.claim(&job(&job_id), &claimant, at, at + LEASE).await.expect("the table answers");
        let after = world.item(&job_id).await;
        match (decision.clone(), answer) {
            (
                Decision::Claim { charged_attempts } | Decision::TakeOver { charged_attempts },
                ClaimAnswer::Claimed(claim),
            ) => {
                let takes_over = matches!(decision, Decision::TakeOver { .. });
                *seen.entry(if takes_over { "taken over" } else { "claimed" }).or_default() += 1;
                assert_eq!(claim.suspect, takes_over, "{name}");
                assert_eq!(claim.attempt, row.as_ref().map_or(0, |row| row.attempt) + 1, "{name}");
                assert_eq!((claim.charged_attempts, claim.lease_until), (charged_attempts, at + LEASE), "{name}");
                let written = world.row(&job_id).await.expect("a stored job");
                assert_eq!((written.attempt, written.charged_attempts), (claim.attempt, charged_attempts), "{name}");
                assert_eq!(written.owner.as_ref(), Some(&owner), "{name}");
                assert_eq!(after["status"], AttributeValue::S("processing".into()), "{name}");
            }
            (Decision::Continue(expected), ClaimAnswer::Claimed(claim)) => {
                *seen.entry("own write").or_default() += 1;
                assert_eq!(claim, expected, "{name}");
                assert_eq!(after, before, "{name}: the claim repeated its own write");
            }
            (Decision::Reject(expected), ClaimAnswer::Rejected(rejection)) => {
                *seen.entry("rejected").or_default() += 1;
                assert_eq!(rejection, expected, "{name}");
                assert_eq!(after, before, "{name}: a rejected claim changed the stored job");
            }
            (decision, answer) => panic!("{name}: the decision is {decision:?}, and the write returned {answer:?}"),
        }
    }
    assert!(
        seen.len() == 4 && seen.values().all(|count| *count > 10),
        "each answer needs more than ten cases: {seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn one_of_sixty_four_concurrent_claims_wins() {
    let world = World::new().await;
    let (at, jobs) = (now(), world.jobs());
    let keys = std::env::var("CLAIM_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(50);
    for key in 0..keys {
        let job_id = format!("contested-{key}");
        let claims = (0..64).map(|n| {
            let (jobs, job_id) = (jobs.clone(), job_id.clone());
            tokio::spawn(async move {
                let owner = Owner::new(format!("claimer-{n}"));
                let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
                jobs.claim(&job(&job_id), &claimant, at, at + LEASE).await.expect("the table answers")
            })
        });
        let mut winners = 0;
        for claim in claims.collect::<Vec<_>>() {
            winners += u32::from(matches!(claim.await.unwrap(), ClaimAnswer::Claimed(_)));
        }
        assert_eq!(winners, 1, "{job_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn stale_worker_changes_nothing() {
    let world = World::new().await;
    let jobs = world.jobs();
    let at = now();
    let claim_job = async |job_id: &str, owner: &str, at: Timestamp| -> Claim {
        let owner = Owner::new(owner);
        let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
        match jobs.claim(&job(job_id), &claimant, at, at + LEASE).await.expect("the table answers") {
            ClaimAnswer::Claimed(claim) => claim,
            ClaimAnswer::Rejected(rejection) => panic!("{rejection:?}"),
        }
    };
    for second in ["processing", "complete", "failed", "pending"] {
        let job_id = format!("stale-{second}");
        let stale = claim_job(&job_id, "first", at).await;
        let newer = claim_job(&job_id, "second", at + LEASE).await;
        assert!(!stale.took_over && newer.took_over && newer.attempt == 2);
        let id = job_id.parse().unwrap();
        let error = Failure::new("c", "m");
        let (done, document) = (sample_completion(), Default::default());
        match second {
            "complete" => assert_eq!(jobs.complete(&id, &newer, &done, &document).await.unwrap(), Fenced::Written),
            "failed" => assert_eq!(jobs.fail(&id, &newer, &error, at).await.unwrap(), Fenced::Written),
            "pending" => {
                assert_eq!(jobs.release(&id, &newer, &released(true), None, at).await.unwrap(), Fenced::Written)
            }
            _ => {}
        }
        let before = world.item(&job_id).await;
        assert_eq!(jobs.complete(&id, &stale, &done, &document).await.unwrap(), Fenced::Lost);
        assert_eq!(jobs.fail(&id, &stale, &error, at).await.unwrap(), Fenced::Lost);
        assert_eq!(jobs.release(&id, &stale, &released(true), None, at).await.unwrap(), Fenced::Lost);
        assert_eq!(jobs.release(&id, &stale, &released(false), None, at).await.unwrap(), Fenced::Lost);
        assert_eq!(jobs.fail_expired_lease(&id, stale.attempt, &error, at + LEASE * 9).await.unwrap(), Fenced::Lost);
        assert_eq!(world.item(&job_id).await, before, "{job_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn own_write_with_a_lost_response_is_recognised() {
    let world = World::new().await;
    let (jobs, at) = (world.jobs(), now());
    for ending in ["complete", "failed", "pending"] {
        let job_id = format!("twice-{ending}");
        let (id, owner) = (job_id.parse().unwrap(), Owner::new("me"));
        let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
        let first = jobs.claim(&job(&job_id), &claimant, at, at + LEASE).await.unwrap();
        let repeated = jobs.claim(&job(&job_id), &claimant, at, at + LEASE).await.unwrap();
        assert_eq!(first, repeated);
        let ClaimAnswer::Claimed(claim) = repeated else { panic!("{repeated:?}") };
        assert_eq!((claim.attempt, claim.charged_attempts), (1, 1));
        let done = sample_completion();
        for _ in 0..2 {
            let written = match ending {
                "complete" => jobs.complete(&id, &claim, &done, &Default::default()).await.unwrap(),
                "failed" => jobs.fail(&id, &claim, &Failure::new("c", "m"), at).await.unwrap(),
                _ => jobs.release(&id, &claim, &released(false), None, at).await.unwrap(),
            };
            assert_eq!(written, Fenced::Written);
        }
        assert_eq!(world.status(&job_id).await, ending);
        assert_eq!(world.row(&job_id).await.unwrap().charged_attempts, u32::from(ending != "pending"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn fail_expired_lease_checks_the_attempt_and_the_lease() {
    let world = World::new().await;
    let (jobs, at, owner) = (world.jobs(), now(), Owner::new("silent"));
    let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
    let id = "silent".parse().unwrap();
    let error = Failure::new("attempts_exhausted", "m");
    jobs.claim(&job("silent"), &claimant, at, at + LEASE).await.expect("the table answers");
    let just_before = at + LEASE - Duration::from_millis(1);
    assert_eq!(
        jobs.fail_expired_lease(&id, 1, &error, just_before).await.unwrap(),
        Fenced::Lost,
        "the lease has not expired"
    );
    assert_eq!(jobs.fail_expired_lease(&id, 2, &error, at + LEASE).await.unwrap(), Fenced::Lost, "another attempt");
    assert_eq!(world.status("silent").await, "processing");
    assert_eq!(jobs.fail_expired_lease(&id, 1, &error, at + LEASE).await.unwrap(), Fenced::Written);
    // Another delivery fails the job in the same way.
    assert_eq!(jobs.fail_expired_lease(&id, 1, &error, at + LEASE).await.unwrap(), Fenced::Written);
    assert_eq!(world.status("silent").await, "failed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn claim_of_a_new_job_stores_the_document_location() {
    let world = World::new().await;
    let (at, owner) = (now(), Owner::new("me"));
    let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
    let text = |text: &str| Some(text.to_owned());
    let source =
        DocumentSource::S3(S3Location { bucket: "b".into(), key: "k".into(), version_id: text("v"), sha256: None });
    let job = Job { work: Work::Document(source), ..job("located") };
    world.jobs().claim(&job, &claimant, at, at + LEASE).await.expect("the table answers");
    let document = world.row("located").await.expect("a stored job").document;
    assert_eq!(
        document.location().map(|at| (at.bucket, at.key, at.version_id)),
        Some(("b".into(), "k".into(), text("v")))
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn end_written_by_another_claim_is_not_an_own_write() {
    let world = World::new().await;
    let (jobs, at) = (world.jobs(), now());
    let claim = Claim {
        attempts: Vec::new(),
        unproven_errors: 0,
        attempt: 1,
        charged_attempts: 1,
        owner: Owner::new("me"),
        lease_until: at + LEASE,
        took_over: false,
        suspect: false,
        batch_id: None,
        analysis: None,
        model_id: None,
        generation: 0,
        invocation: None,
    };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for (job_id, owner, attempt, status) in
        [("owner", "another", "1", "complete"), ("attempt", "me", "2", "complete"), ("status", "me", "1", "cancelled")]
    {
        world
            .put_item(Item::from([
                ("job_id".into(), text(job_id)),
                ("status".into(), text(status)),
                ("attempt".into(), AttributeValue::N(attempt.into())),
                ("owner".into(), text(owner)),
                ("result".into(), AttributeValue::M(HashMap::new())),
                ("model_id".into(), text("m")),
            ]))
            .await;
        let written = jobs.complete(&job_id.parse().unwrap(), &claim, &sample_completion(), &Default::default()).await;
        assert_eq!(written, Ok(Fenced::Lost), "{job_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn rejected_result_is_distinguished_from_unavailable_table() {
    let world = World::new().await;
    let (jobs, at, owner) = (world.jobs(), now(), Owner::new("me"));
    let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: MAX_ATTEMPTS, is_alone: true };
    let id = "large".parse().unwrap();
    let answer = jobs.claim(&job("large"), &claimant, at, at + LEASE).await.expect("the table answers");
    let ClaimAnswer::Claimed(claim) = answer else { panic!("{answer:?}") };
    // A compressed result would fit.
    let text: String = (0..450_000).map(|_| fastrand::alphanumeric()).collect();
    let large = Completed { result: StoredResult::Inline(serde_json::json!({"text": text})), ..sample_completion() };
    let rejected = jobs.complete(&id, &claim, &large, &Default::default()).await;
    assert!(matches!(rejected, Err(CompleteError::Rejected(_))), "{rejected:?}");
    let missing_table = Jobs::new(&world.sdk, "no-such-table".into(), LEASE);
    let unavailable = missing_table.complete(&id, &claim, &sample_completion(), &Default::default()).await;
    assert!(matches!(unavailable, Err(CompleteError::Unavailable(_))), "{unavailable:?}");
}
