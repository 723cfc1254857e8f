//! The indexes of the jobs table: which jobs and batches each one has, after every
//! change of a job.

use std::collections::BTreeSet;
use std::time::Duration;

use docket::aws::jobs::{ChangeOutcome, ClaimAnswer, CreatedBatch, Fenced, Jobs, NewJob};
use docket::clock::now;
use docket::domain::batch::Batch;
use docket::domain::batch::cursor::Select;
use docket::domain::batch::shard::Group;
use docket::domain::failure::Failure;
use docket::domain::ids::{BatchId, JobId, Owner};
use docket::domain::job::Job;
use docket::domain::job::claim::{Claim, Claimant};
use docket::domain::job::ending::Release;
use docket::domain::job::outcome::RetryReason;
use docket::domain::job::priority::Priority;
use docket::domain::job::stored::{Completed, Status, StoredResult, Usage, label_of};
use serde_json::json;
use test_support::aws::World;
use test_support::{inline_job, inline_work_id, unique};

fn new_job(job_id: &str, batch_id: Option<&BatchId>) -> NewJob {
    NewJob {
        job_id: job_id.parse().expect("a valid job id"),
        batch_id: batch_id.cloned(),
        priority: Priority::Normal,
        analysis: None,
        metadata: None,
        document: None,
        async_request: None,
        work_id: inline_work_id(),
        request_hash: "hash".into(),
    }
}

async fn claim(jobs: &Jobs, job: &Job, redrive_of: Option<u32>) -> Claim {
    let (owner, at) = (Owner::new(unique("owner")), now());
    let claimant = Claimant { owner: &owner, redrive_of, max_attempts: 9, is_alone: false };
    let answer = jobs.claim(job, &claimant, at, at + Duration::from_secs(60)).await;
    let Ok(ClaimAnswer::Claimed(claim)) = answer else { panic!("{}: {answer:?}", job.job_id) };
    claim
}

async fn complete(jobs: &Jobs, job_id: &JobId, claim: &Claim) {
    let result = json!({"classification": {"label": "lease", "confidence": 1}});
    let completed = Completed {
        label: label_of(&result),
        result: StoredResult::Inline(result),
        model_id: "m".into(),
        usage: Usage::default(),
        repaired: false,
        evidence: None,
        stop_reason: "tool_use".into(),
        model_latency_ms: 0,
        chunks: None,
        completed_at: now(),
        deduplicated_from: None,
        fingerprint: None,
    };
    assert_eq!(jobs.complete(job_id, claim, &completed, &Default::default()).await, Ok(Fenced::Written));
}

/// The values of the attributes `unfinished`, `ended`, `label` and `error_code`; `-` if
/// there is none.
async fn marks(world: &World, job_id: &JobId) -> [String; 4] {
    let item = world.item(job_id.as_str()).await;
    ["unfinished", "ended", "label", "error_code"]
        .map(|name| item.get(name).map_or("-".to_owned(), |value| value.as_s().expect("text").clone()))
}

/// All pages of a selection, sorted.
async fn list(jobs: &Jobs, batch_id: &BatchId, select: Select) -> Vec<String> {
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = jobs.get_page(batch_id, &select.into(), cursor, 7).await.expect("the table answers");
        listed.extend(page.job_ids.iter().map(ToString::to_string));
        cursor = page.next;
        if cursor.is_none() {
            listed.sort();
            return listed;
        }
    }
}

async fn list_unfinished(jobs: &Jobs, group: Group<'_>) -> Vec<String> {
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = jobs.get_unfinished(group, cursor, 7).await.expect("the table answers");
        listed.extend(page.job_ids.iter().map(ToString::to_string));
        cursor = page.next;
        if cursor.is_none() {
            listed.sort();
            return listed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn index_marks_follow_every_change_of_a_job() {
    let world = World::new().await;
    let jobs = world.jobs();
    let batch_id: BatchId = "marked".parse().expect("a valid batch id");
    for batch_id in [None, Some(&batch_id)] {
        let group = Group::from_batch(batch_id);
        let id = |name: &str| format!("{name}-{}", batch_id.map_or("alone", |id| id.as_str())).parse().expect("an id");
        let unfinished = |id: &JobId| [group.partition_of(id), "-".into(), "-".into(), "-".into()];
        let ended = |id: &JobId, status: &str, label: &str, code: &str| {
            ["-".to_owned(), format!("{status}/{id}"), label.to_owned(), code.to_owned()]
        };

        // The message of an upload names no batch, as here; the stored job does.
        let (done, failed, cancelled): (JobId, JobId, JobId) = (id("done"), id("failed"), id("cancelled"));
        for id in [&done, &failed, &cancelled] {
            jobs.create(new_job(id.as_str(), batch_id), now()).await.expect("the table answers");
            assert_eq!(marks(&world, id).await, unfinished(id), "created");
        }
        let first = claim(&jobs, &inline_job(done.as_str()), None).await;
        assert_eq!(marks(&world, &done).await, unfinished(&done), "claimed");
        let release = Release::new(false, Duration::ZERO, RetryReason::Throttled, None);
        assert_eq!(jobs.release(&done, &first, &release, None, now()).await, Ok(Fenced::Written));
        assert_eq!(marks(&world, &done).await, unfinished(&done), "released");
        let second = claim(&jobs, &inline_job(done.as_str()), None).await;
        complete(&jobs, &done, &second).await;
        assert_eq!(marks(&world, &done).await, ended(&done, "complete", "lease", "-"));

        let first = claim(&jobs, &inline_job(failed.as_str()), None).await;
        assert_eq!(jobs.fail(&failed, &first, &Failure::new("code", "m"), now()).await, Ok(Fenced::Written));
        assert_eq!(marks(&world, &failed).await, ended(&failed, "failed", "-", "code"));
        assert!(matches!(jobs.retry(&failed, 1, now()).await, Ok(ChangeOutcome::Changed(_))));
        assert_eq!(marks(&world, &failed).await, unfinished(&failed), "retried");
        let second = claim(&jobs, &inline_job(failed.as_str()), None).await;
        assert_eq!(jobs.fail(&failed, &second, &Failure::new("code", "m"), now()).await, Ok(Fenced::Written));
        let third = claim(&jobs, &inline_job(failed.as_str()), Some(2)).await;
        assert_eq!(marks(&world, &failed).await, unfinished(&failed), "redriven");
        assert_eq!(jobs.mark_cancelled(&failed, &third, now()).await, Ok(Fenced::Written));
        assert_eq!(marks(&world, &failed).await, ended(&failed, "cancelled", "-", "-"));

        assert!(matches!(jobs.cancel(&cancelled, now()).await, Ok(ChangeOutcome::Changed(_))));
        assert_eq!(marks(&world, &cancelled).await, ended(&cancelled, "cancelled", "-", "-"));

        // A job that its claim stores.
        let new: JobId = id("new");
        let job = Job { batch_id: batch_id.cloned(), ..inline_job(new.as_str()) };
        let (owner, at) = (Owner::new("me"), now());
        let claimant = Claimant { owner: &owner, redrive_of: None, max_attempts: 1, is_alone: false };
        assert!(matches!(jobs.claim(&job, &claimant, at, at).await, Ok(ClaimAnswer::Claimed(_))));
        assert_eq!(marks(&world, &new).await, unfinished(&new), "stored by its claim");
        let exhausted = Failure::new("attempts_exhausted", "m");
        assert_eq!(jobs.fail_expired_lease(&new, 1, &exhausted, now()).await, Ok(Fenced::Written));
        assert_eq!(marks(&world, &new).await, ended(&new, "failed", "-", "attempts_exhausted"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unfinished_jobs_are_listed_within_their_group() {
    let world = World::new().await;
    let jobs = world.jobs();
    let [one, two]: [BatchId; 2] = ["one", "two"].map(|id| id.parse().expect("a valid batch id"));
    let mut expected = Vec::new();
    for group in [Group::Batch(&one), Group::Batch(&two), Group::OutsideBatches] {
        let batch_id = if let Group::Batch(id) = group { Some(id) } else { None };
        let mut unfinished = BTreeSet::new();
        for n in 0..30 {
            let id = format!("{}-{n:02}", batch_id.map_or("alone", |id| id.as_str()));
            let job_id: JobId = id.parse().expect("a valid job id");
            jobs.create(new_job(&id, batch_id), now()).await.expect("the table answers");
            match n % 3 {
                0 => complete(&jobs, &job_id, &claim(&jobs, &inline_job(&id), None).await).await,
                1 => {
                    claim(&jobs, &inline_job(&id), None).await;
                    unfinished.insert(id);
                }
                _ => {
                    unfinished.insert(id);
                }
            }
        }
        expected.push((group, unfinished.into_iter().collect::<Vec<_>>()));
    }
    for (group, unfinished) in expected {
        assert_eq!(list_unfinished(&jobs, group).await, unfinished, "{group:?}");
    }
    let completed: Vec<String> = (0..30).step_by(3).map(|n| format!("one-{n:02}")).collect();
    assert_eq!(list(&jobs, &one, Select::Only(Status::Complete)).await, completed);
    assert_eq!(list(&jobs, &one, Select::Only(Status::Processing)).await.len(), 10);
    assert_eq!(list(&jobs, &one, Select::All).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn registered_batch_takes_settings_and_keeps_its_time() {
    let world = World::new().await;
    let jobs = world.jobs();
    let batch_id: BatchId = "registered".parse().expect("a valid batch id");
    let first = now() - Duration::from_secs(60);
    jobs.register_batch(&batch_id, first).await.expect("the table answers");
    jobs.register_batch(&batch_id, now()).await.expect("the table answers");
    let stored = jobs.get_batch(&batch_id).await.expect("the table answers").expect("a batch");
    assert_eq!((stored.created_at, &stored.request_hash), (first, &None));
    let requested = Batch { deduplicate: Some(true), request_hash: Some("hash".into()), created_at: now(), ..stored };
    let created = Batch { created_at: first, ..requested.clone() };
    assert_eq!(jobs.create_batch(&requested).await, Ok(CreatedBatch::New(Box::new(created.clone()))));
    let other = Batch { request_hash: Some("other".into()), ..requested };
    assert_eq!(jobs.create_batch(&other).await, Ok(CreatedBatch::Existing(Box::new(created))));
    jobs.register_batch(&batch_id, now()).await.expect("the table answers");
    assert_eq!(jobs.get_batch(&batch_id).await.expect("the table answers").expect("a batch").deduplicate, Some(true));
}
