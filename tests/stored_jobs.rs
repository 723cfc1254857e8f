//! The writes and reads of the jobs table other than the claim and its endings: a caller creates,
//! cancels, retries and lists jobs, and workers open, probe and end holds. And the values that
//! a stored result may hold.

use std::collections::BTreeSet;
use std::time::Duration;

use docket::aws::jobs::{ChangeOutcome, ClaimAnswer, CompleteError, Created, Fenced, Jobs, NewJob, Parked};
use docket::clock::now;
use docket::domain::batch::cursor::Select;
use docket::domain::failure::Failure;
use docket::domain::hold::{Hold, HoldKind, HoldTarget, probe_delay};
use docket::domain::ids::{BatchId, JobId, Owner};
use docket::domain::job::claim::{Claim, Claimant};
use docket::domain::job::priority::Priority;
use docket::domain::job::stored::{Completed, State, Status, StoredJob, StoredResult, Usage};
use docket::domain::json::fits_the_table;
use docket::domain::limits::RESULT_MAX_DEPTH;
use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::{inline_job, inline_work_id, released};

fn new_job(job_id: &str, batch_id: Option<&BatchId>) -> NewJob {
    NewJob {
        job_id: job_id.parse().expect("a valid job id"),
        batch_id: batch_id.cloned(),
        priority: Priority::Normal,
        analysis: None,
        metadata: Some(json!({"note": "", "amounts": [0.1, 1e20, -7, []]}).as_object().expect("an object").clone()),
        document: None,
        async_request: None,
        work_id: inline_work_id(),
        request_hash: format!("hash of {job_id}"),
    }
}

async fn claim_job(jobs: &Jobs, job_id: &str) -> Claim {
    let (owner, at) = (Owner::new("me"), now());
    let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: 3, is_alone: true };
    let answer = jobs.claim(&inline_job(job_id), &claimant, at, at + Duration::from_secs(60)).await;
    let Ok(ClaimAnswer::Claimed(claim)) = answer else { panic!("{job_id}: {answer:?}") };
    claim
}

/// Claims a job and completes it with this result.
async fn complete_with(jobs: &Jobs, job_id: &str, result: Value) -> Result<Fenced, CompleteError> {
    let completed = Completed {
        result: StoredResult::Inline(result),
        model_id: "m".into(),
        usage: Usage::default(),
        label: None,
        repaired: false,
        evidence: None,
        stop_reason: "tool_use".into(),
        model_latency_ms: 0,
        chunks: None,
        completed_at: now(),
        deduplicated_from: None,
        fingerprint: None,
    };
    let claim = claim_job(jobs, job_id).await;
    jobs.complete(&parse_id(job_id), &claim, &completed, &Default::default()).await
}

fn parse_id(job_id: &str) -> JobId {
    job_id.parse().expect("a valid job id")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn job_is_created_once_and_keeps_the_first_request() {
    let world = World::new().await;
    let jobs = world.jobs();
    assert_eq!(jobs.create(new_job("once", None), now()).await, Ok(Created::New));
    let before = world.item("once").await;
    let other = NewJob { request_hash: "another".into(), metadata: None, ..new_job("once", None) };
    let Ok(Created::Existing(stored)) = jobs.create(other, now()).await else { panic!("a second job was created") };
    assert_eq!(stored.request_hash.as_deref(), Some("hash of once"));
    assert_eq!(stored.metadata, new_job("once", None).metadata);
    assert_eq!(world.item("once").await, before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn change_by_a_caller_depends_on_status_and_attempt() {
    let world = World::new().await;
    let jobs = world.jobs();
    let id = parse_id("changed");
    // A change of a job that is not stored must not create an item.
    assert_eq!(jobs.cancel(&id, now()).await, Ok(ChangeOutcome::NotFound));
    assert_eq!(jobs.retry(&id, 0, now()).await, Ok(ChangeOutcome::NotFound));
    assert!(world.item("changed").await.is_empty());
    jobs.create(new_job("changed", None), now()).await.expect("the table answers");
    let is_unchanged = |outcome| matches!(outcome, Ok(ChangeOutcome::InvalidState(_)));
    assert!(is_unchanged(jobs.retry(&id, 0, now()).await), "a pending job was retried");
    let claim = claim_job(&jobs, "changed").await;
    assert_eq!(jobs.fail(&id, &claim, &Failure::new("c", "m"), now()).await, Ok(Fenced::Written));
    assert!(is_unchanged(jobs.cancel(&id, now()).await), "a failed job was cancelled");
    assert!(is_unchanged(jobs.retry(&id, 2, now()).await), "another attempt was retried");
    let Ok(ChangeOutcome::Changed(row)) = jobs.retry(&id, 1, now()).await else { panic!("the job was not retried") };
    // The generation is the attempt before the retry.
    assert_eq!((&row.state, row.attempt, row.charged_attempts, row.generation), (&State::Pending, 1, 0, 1));
    let claim = claim_job(&jobs, "changed").await;
    assert_eq!((claim.attempt, claim.charged_attempts, claim.took_over), (2, 1, false));
    let Ok(ChangeOutcome::Changed(row)) = jobs.cancel(&id, now()).await else { panic!("the job was not cancelled") };
    assert!(matches!(row.state, State::Cancelled { .. }));
    assert_eq!(jobs.release(&id, &claim, &released(true), None, now()).await, Ok(Fenced::Lost));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn pages_of_a_batch_list_each_job_once() {
    let world = World::new().await;
    let jobs = world.jobs();
    let batch_id: BatchId = "listed".parse().expect("a valid batch id");
    let ids: BTreeSet<String> = (0..9).map(|n| format!("listed-{n}")).collect();
    for id in &ids {
        jobs.create(new_job(id, Some(&batch_id)), now()).await.expect("the table answers");
    }
    for id in ids.iter().take(4) {
        complete_with(&jobs, id, json!({})).await.expect("the table answers");
    }
    for (select, expected) in [
        (Select::All, ids.iter().cloned().collect::<Vec<_>>()),
        (Select::Only(Status::Complete), ids.iter().take(4).cloned().collect()),
        (Select::Only(Status::Failed), vec![]),
        (Select::Unfinished, ids.iter().skip(4).cloned().collect()),
        (Select::Ended, ids.iter().take(4).cloned().collect()),
    ] {
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let page = jobs.get_page(&batch_id, &select.into(), cursor, 2).await.expect("the table answers");
            listed.extend(page.job_ids.iter().map(|job_id| job_id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        listed.sort();
        assert_eq!(listed, expected, "{select:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn stored_result_is_read_back_with_its_values() {
    let world = World::new().await;
    let deep = (1..RESULT_MAX_DEPTH).fold(json!("leaf"), |inner, _| json!([inner]));
    // DynamoDB stores no difference between 1.0 and 1, and no negative zero.
    for (place, (value, read)) in [
        (json!([null, true, "", "\u{0}\u{ffff}\u{1f600}", [], {}]), None),
        (json!({"a.b": 1, "#c": 2, ":d": 3, " ": 4, "status": 5}), None),
        (json!([0, -1, u64::MAX, i64::MIN, 9_007_199_254_740_993_u64]), None),
        (json!([0.1, 0.300_000_000_000_000_04, -1.5e-7, 1e-125, 1.234_567_890_123_456_7e124]), None),
        (json!([1.0, -0.0, 1e2, 1e20]), Some(json!([1, 0, 100, 1e20]))),
        (deep, None),
    ]
    .into_iter()
    .enumerate()
    {
        let job_id = format!("value-{place}");
        let result = json!({"value": value});
        assert!(fits_the_table(&result, RESULT_MAX_DEPTH), "{result}");
        assert_eq!(complete_with(&world.jobs(), &job_id, result.clone()).await, Ok(Fenced::Written), "{result}");
        let State::Complete(done) = world.row(&job_id).await.expect("a stored job").state else { panic!("{job_id}") };
        let expected = read.map_or(result, |value| json!({"value": value}));
        assert_eq!(done.result, StoredResult::Inline(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn number_beyond_the_range_of_dynamodb_is_rejected() {
    let world = World::new().await;
    for (place, number) in [1e126, -1e126, 1e-131].into_iter().enumerate() {
        let (job_id, result) = (format!("number-{place}"), json!({"n": number}));
        assert!(!fits_the_table(&result, RESULT_MAX_DEPTH), "{result}");
        let rejected = complete_with(&world.jobs(), &job_id, result).await;
        assert!(matches!(rejected, Err(CompleteError::Rejected(_))), "{number:e}: {rejected:?}");
        assert_eq!(world.status(&job_id).await, "processing");
    }
}

fn new_hold(reason: &str, at: Timestamp) -> Hold {
    Hold::new(HoldTarget::Model("m".into()), HoldKind::AccountFault, Failure::new("c", reason), at)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn hold_is_opened_once_and_ended_once() {
    let world = World::new().await;
    let (jobs, at) = (world.jobs(), now());
    let first = new_hold("first", at);
    assert_eq!(jobs.end_hold(&first.target).await, Ok(false), "there is no hold");
    assert_eq!(jobs.open_hold(&first).await, Ok(true));
    assert_eq!(jobs.open_hold(&new_hold("second", at)).await, Ok(false));
    assert_eq!(jobs.get_hold(&first.target).await, Ok(Some(first.clone())));
    assert_eq!(jobs.get_hold(&HoldTarget::Store).await, Ok(None));
    assert_eq!(jobs.list_holds().await, Ok(vec![first.clone()]));
    assert_eq!(jobs.end_hold(&first.target).await, Ok(true));
    assert_eq!(jobs.end_hold(&first.target).await, Ok(false));
    assert_eq!((jobs.get_hold(&first.target).await, jobs.list_holds().await), (Ok(None), Ok(vec![])));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn probe_has_one_prober_until_its_lease_expires() {
    let world = World::new().await;
    let (jobs, at) = (world.jobs(), now());
    let (hold, lease) = (new_hold("first", at), Duration::from_secs(20));
    let ms = Duration::from_millis(1);
    let target = &hold.target;
    assert_eq!(jobs.take_probe(target, 0, at + lease, at).await, Ok(false), "there is no hold");
    assert!(world.item("hold/m").await.is_empty(), "a refused lease stores no hold");
    jobs.open_hold(&hold).await.expect("the table answers");
    assert_eq!(jobs.take_probe(target, 1, at + lease, at).await, Ok(false), "another probe is expected");
    assert_eq!(jobs.take_probe(target, 0, at + lease, at).await, Ok(true));
    assert_eq!(jobs.take_probe(target, 0, at + lease * 2, at + lease - ms).await, Ok(false), "the lease is held");
    assert_eq!(jobs.take_probe(target, 0, at + lease * 2, at + lease).await, Ok(true), "the lease expired");
    // Only the expected probe has a successor, and the successor is expected once.
    let reason = Failure::new("c", "again");
    let other = Hold { probe: 1, ..hold.clone() };
    assert_eq!(jobs.expect_next_probe(&other, &reason, at).await, Ok(false));
    assert_eq!(jobs.expect_next_probe(&hold, &reason, at).await, Ok(true));
    assert_eq!(jobs.expect_next_probe(&hold, &reason, at).await, Ok(false));
    let next = jobs.get_hold(target).await.expect("the table answers").expect("a hold");
    assert_eq!((next.probe, next.probe_lease_until, &next.reason), (1, None, &reason));
    assert_eq!((next.since, next.next_probe_at), (hold.since, at + probe_delay(hold.kind, 1)));
    assert_eq!(jobs.take_probe(target, 0, at + lease, at).await, Ok(false), "an old probe");
    assert_eq!(jobs.take_probe(target, 1, at + lease, at).await, Ok(true));
    jobs.end_hold(target).await.expect("the table answers");
    assert_eq!(jobs.expect_next_probe(&next, &reason, at).await, Ok(false));
    assert!(world.item("hold/m").await.is_empty(), "an ended hold stays ended");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn job_waits_only_if_no_worker_has_it() {
    let world = World::new().await;
    let (jobs, at) = (world.jobs(), now());
    let target = HoldTarget::Model("m".into());
    let park = async |job_id: &str, at| jobs.park(&inline_job(job_id), &target, None, at).await;
    // The job of another producer's message is stored, and its claim finds it.
    assert_eq!(park("new", at).await, Ok(Parked::Waiting));
    let row = world.row("new").await.expect("a stored job");
    assert_eq!((&row.state, row.attempt, row.waiting_for.as_ref()), (&State::Pending, 0, Some(&target)));
    jobs.create(new_job("pending", None), now()).await.expect("the table answers");
    assert_eq!(park("pending", at).await, Ok(Parked::Waiting));
    let row = world.row("pending").await.expect("a stored job");
    assert_eq!((row.waiting_for.as_ref(), row.request_hash.as_deref()), (Some(&target), Some("hash of pending")));
    // A worker has the job, then its lease expires.
    let claim = claim_job(&jobs, "claimed").await;
    let Ok(Parked::NotPending(row)) = park("claimed", now()).await else { panic!("a claimed job was parked") };
    assert_eq!((row.attempt, row.waiting_for), (1, None));
    assert_eq!(park("claimed", claim.lease_until).await, Ok(Parked::Waiting));
    let row = world.row("claimed").await.expect("a stored job");
    assert_eq!((row.state.status().as_str(), row.waiting_for.as_ref()), ("processing", Some(&target)));
    complete_with(&jobs, "complete", json!({})).await.expect("the table answers");
    let before = world.item("complete").await;
    assert!(matches!(park("complete", now()).await, Ok(Parked::NotPending(_))));
    assert_eq!(world.item("complete").await, before);
    // A claim ends the wait.
    assert_eq!(claim_job(&jobs, "new").await.attempt, 1);
    assert_eq!(world.row("new").await.expect("a stored job").waiting_for, None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn wait_is_ended_by_the_resend_that_read_it() {
    let world = World::new().await;
    let (jobs, at) = (world.jobs(), now());
    let (model, batch) = (HoldTarget::Model("m".into()), HoldTarget::Batch("b".parse().expect("a valid batch id")));
    let ids: BTreeSet<String> = (0..20).map(|n| format!("waits-{n}")).collect();
    for id in &ids {
        assert_eq!(jobs.park(&inline_job(id), &model, None, at).await, Ok(Parked::Waiting));
    }
    let waiting = async |target, limit| {
        let found = jobs.waiting_jobs(target, limit).await.expect("the table answers");
        found.into_iter().map(|id| id.to_string()).collect::<BTreeSet<_>>()
    };
    assert_eq!((waiting(&model, 100).await, waiting(&model, 7).await.len()), (ids.clone(), 7));
    assert_eq!(waiting(&batch, 100).await, BTreeSet::new());
    let row = world.row("waits-0").await.expect("a stored job");
    jobs.unpark(&row, &batch).await.expect("the table answers");
    assert_eq!(world.row("waits-0").await.expect("a stored job").waiting_for, Some(model.clone()), "another target");
    // The new message waits again before the resend ends the first wait.
    jobs.park(&inline_job("waits-0"), &model, None, at + Duration::from_secs(1)).await.expect("the table answers");
    jobs.unpark(&row, &model).await.expect("the table answers");
    let row = world.row("waits-0").await.expect("a stored job");
    assert_eq!(row.waiting_for, Some(model.clone()), "a later wait");
    jobs.unpark(&row, &model).await.expect("the table answers");
    assert_eq!(world.row("waits-0").await.expect("a stored job").waiting_for, None);
    assert_eq!(waiting(&model, 100).await.len(), 19);
    // A job that is not stored stays so.
    let unknown = StoredJob::new(parse_id("unknown"), at);
    jobs.unpark(&unknown, &model).await.expect("the table answers");
    assert!(world.item("unknown").await.is_empty());
}
