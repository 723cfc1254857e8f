//! Documents that end their worker, among innocent ones: the consumer's real binary in several
//! environments. A call of such a document ends the process by SIGKILL, as a lack of memory
//! does. Message delays pass in virtual time, and the leases of a dead worker are ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use docket::domain::job::stored::State;
use docket::domain::limits::SUSPECT_DELAY;
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::function::Function;
use test_support::proxy::{self, Forwarder};
use test_support::virtual_queue::{Batch, Pace, VirtualQueue};

/// Time of one invocation. A call takes 5 s at most, and an ending 4.75 s.
const INVOCATION: Duration = Duration::from_secs(20);
/// The lease: the invocation and `LEASE_MARGIN`.
const LEASE: Duration = Duration::from_secs(25);
/// The visibility time-out of the jobs queue: six times the invocation.
const VISIBILITY: Duration = Duration::from_secs(120);
const WORKERS: usize = 3;
const JOBS: usize = 300;
const KILLERS: [usize; 3] = [17, 140, 255];

struct Scene {
    world: World,
    queue: VirtualQueue,
    deaths: AtomicUsize,
    /// The virtual waits before the last batch, in milliseconds.
    waited_ms: AtomicU64,
}

fn is_killer(number: usize) -> bool {
    KILLERS.contains(&number)
}

fn job_id(number: usize) -> String {
    if is_killer(number) { format!("killer-{number}") } else { format!("innocent-{number}") }
}

/// Runs one environment after another, each until its process ends.
async fn work(scene: Arc<Scene>, batch_size: usize) {
    let (process, forwarder) = (Arc::new(AtomicU32::new(0)), Forwarder::default());
    let (model, killed) = (scene.world.model.url.clone(), process.clone());
    let bedrock = proxy::serve(move |request| {
        let (model, killed, forwarder) = (model.clone(), killed.clone(), forwarder.clone());
        async move {
            let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            if body["requestMetadata"]["job_id"].as_str().is_some_and(|id| id.starts_with("killer-")) {
                let process_id = killed.load(Ordering::Relaxed).to_string();
                let status = std::process::Command::new("kill").args(["-KILL", &process_id]).status();
                assert!(status.is_ok_and(|status| status.success()), "the worker runs");
                std::future::pending::<()>().await;
            }
            forwarder.forward(&model, request).await
        }
    });
    let mut environment = scene.queue.environment().to_vec();
    environment.push(("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock.await));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    loop {
        let function = scene.world.consumer_with(&environment).await;
        process.store(function.process_id(), Ordering::Relaxed);
        run(&scene, &function, batch_size).await;
    }
}

/// Delivers batches, until the process ends.
async fn run(scene: &Scene, function: &Function, batch_size: usize) {
    loop {
        let Some(batch) = scene.queue.receive_up_to(batch_size, VISIBILITY) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        // Once the queue is empty, the clock skips further.
        scene.waited_ms.fetch_max(scene.queue.skipped().as_millis() as u64, Ordering::Relaxed);
        let event = json!({"Records": batch.records});
        let Some(answer) = function.try_invoke(event, INVOCATION, INVOCATION * 3).await else {
            scene.deaths.fetch_add(1, Ordering::Relaxed);
            end_leases(&scene.world, &batch).await;
            scene.queue.end_batch(&batch, |_| false);
            return;
        };
        let response = answer.expect("a response");
        let failures = response["batchItemFailures"].as_array().into_iter().flatten();
        let failed: HashSet<&str> = failures.filter_map(|failure| failure["itemIdentifier"].as_str()).collect();
        scene.queue.end_batch(&batch, |id| !failed.contains(id));
    }
}

/// Ends the leases that a dead worker holds on the jobs of its batch.
async fn end_leases(world: &World, batch: &Batch) {
    for record in &batch.records {
        let body: Value = serde_json::from_str(record["body"].as_str().expect("a body")).expect("JSON");
        let mut item = world.item(body["job_id"].as_str().expect("a job")).await;
        if item.get("status") == Some(&AttributeValue::S("processing".into())) {
            let now = docket::clock::now().as_millisecond();
            item.insert("lease_until".into(), AttributeValue::N(now.to_string()));
            world.put_item(item).await;
        }
    }
}

async fn assert_culprits_alone_fail(batch_size: usize) {
    let (world, queue) = (World::new().await, VirtualQueue::start().await);
    let scene = Arc::new(Scene { world, queue, deaths: AtomicUsize::new(0), waited_ms: AtomicU64::new(0) });
    for number in 0..JOBS {
        scene.queue.send(&json!({"job_id": job_id(number), "document": format!("Lease {number}.")}).to_string());
    }
    scene.queue.set_pace(Pace::SkipUntil(Duration::from_secs(24 * 3_600)));
    let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(work(scene.clone(), batch_size))).collect();
    let mut unfinished: Vec<usize> = (0..JOBS).collect();
    test_support::eventually_within(8, "the end of all jobs", async || {
        while let Some(number) = unfinished.last() {
            match scene.world.status(&job_id(*number)).await {
                "complete" | "failed" => unfinished.pop(),
                _ => return None,
            };
        }
        Some(())
    })
    .await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let calls = scene.world.model.calls()["by_job"].clone();
    let mut repeated = 0;
    for number in 0..JOBS {
        let id = job_id(number);
        let row = scene.world.row(&id).await.expect("a stored job");
        match row.state {
            State::Complete(_) if !is_killer(number) => {
                let count = calls[&id].as_u64().unwrap_or(0);
                assert!((1..=2).contains(&count), "{id}: {count} calls");
                repeated += count - 1;
            }
            State::Failed { error, .. } if is_killer(number) => {
                assert_eq!(error.code, "attempts_exhausted", "{id}");
                assert!(error.message.contains("crashed the worker"), "{id}: {}", error.message);
                assert_eq!((row.charged_attempts, row.suspect), (3, true), "{id}");
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    let deaths = scene.deaths.load(Ordering::Relaxed);
    // The time of the machine does not count, so a slow machine changes nothing.
    let waited = Duration::from_millis(scene.waited_ms.load(Ordering::Relaxed));
    println!("batches of {batch_size}: {deaths} deaths, {repeated} repeated calls, {waited:?} of waits");
    // The message of a suspect in a batch with another one returns after a short delay.
    assert!(waited <= VISIBILITY + 3 * LEASE + 10 * SUSPECT_DELAY, "{waited:?}");
    assert_eq!(scene.queue.dead_letters().len(), KILLERS.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn culprits_alone_fail_in_batches_of_ten() {
    assert_culprits_alone_fail(10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn culprits_alone_fail_in_batches_of_fifty() {
    assert_culprits_alone_fail(50).await;
}
