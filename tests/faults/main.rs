//! Fault injection: the real consumer, with a proxy between it and every service. Each
//! job must end correctly, with any fault at any request.
//!
//! `FAULT_SCENARIO=account-fault` runs all single faults of one scenario. `FAULT_SEED=7`
//! repeats one pair of faults. `FAULT_PAIRS=10000` sets the number of pairs
//! (`make faults`).

mod delivery;
mod expectations;
mod proxy;
mod scenario;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proxy::{FAULTS, Fault, FaultPlan};
use scenario::{Case, MAX_ATTEMPTS, SCENARIOS, Scenario};
use serde_json::json;
use test_support::aws::World;
use test_support::function::Function;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of runs in parallel. They wait more than they compute.
const PARALLEL_RUNS: usize = 32;

async fn create_world() -> Arc<World> {
    let world = World::new().await;
    world.model.behave(json!({"faults": [
        {"kind": "throttling", "job_id_contains": "throttled-first", "times_per_job": 1},
        {"kind": "validation", "job_id_contains": "permanently-bad"},
        {"kind": "access_denied", "job_id_contains": "account-fault", "times_per_job": 1},
    ]}));
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let document = "The tenant pays a rent of 900 euros for the flat in Mill Lane.".as_bytes().to_vec();
    s3.put_object().bucket(&world.bucket).key("lease.txt").body(document.into()).send().await.expect("a document");
    Arc::new(world)
}

/// Runs one case, and returns the problems of its ending and its requests.
async fn run_case(world: &World, case: &Case) -> Vec<String> {
    let world = world.with_new_queues().await;
    let job_id = case.job_id();
    let body = match case.scenario {
        Scenario::Malformed => format!("{{ malformed {job_id}"),
        Scenario::AsyncInvocation => {
            json!({"job_id": job_id, "async_invoke": {"model_id": "m", "model_input": {"b": 0.1, "a": []}}}).to_string()
        }
        _ => json!({"job_id": job_id, "document_s3": {"bucket": world.bucket, "key": "lease.txt"}}).to_string(),
    };
    world.send(&body).await;
    let mut environment = world.environment();
    environment.insert("MODEL_TIMEOUT_SECONDS".into(), "1".into());
    environment.insert("MAX_ATTEMPTS".into(), MAX_ATTEMPTS.to_string());
    // The cases share a table. A hold of one model delays no other case.
    environment.insert("MODEL_ID".into(), format!("test.{job_id}"));
    let run =
        delivery::deliver_all(&world, plan(&world, case.faults.clone(), case.kills_every_call), &environment).await;
    let dead_letters = world.drain_dead_letters().await;
    let mut problems = expectations::check_ending(&world, case, &body, &dead_letters).await;
    problems.extend(expectations::check_requests(case, &run));
    if !problems.is_empty() {
        let requests = run.requests.iter().enumerate();
        let lines = requests.map(|(index, request)| request.line(index + 1, run.requests[0].at));
        problems.push(format!("requests:\n    {}", lines.collect::<Vec<_>>().join("\n    ")));
    }
    problems
}

fn plan(world: &World, faults: BTreeMap<usize, Fault>, kills_every_call: bool) -> FaultPlan {
    let aws = world.sdk.endpoint_url().expect("the local AWS has an endpoint").to_owned();
    FaultPlan { faults, kills_every_call, aws, model: world.model.url.clone() }
}

/// Runs cases in parallel, and panics with the problems of all that ended wrongly.
async fn run_all(cases: Vec<Case>) {
    let world = create_world().await;
    let (total, permits) = (cases.len(), Arc::new(Semaphore::new(PARALLEL_RUNS)));
    let mut runs = JoinSet::new();
    for case in cases {
        let (world, permits) = (world.clone(), permits.clone());
        runs.spawn(async move {
            let _permit = permits.acquire().await.expect("the semaphore is open");
            (run_case(&world, &case).await, case)
        });
    }
    let (mut done, mut failed) = (0, Vec::new());
    while let Some(run) = runs.join_next().await {
        let (problems, case) = run.expect("a run does not panic");
        done += 1;
        if done % 50 == 0 {
            println!("faults: {done} of {total} runs");
        }
        if !problems.is_empty() {
            let problem = format!("{case:?}\n  {}", problems.join("\n  "));
            println!("faults: ended wrongly: {problem}");
            failed.push(problem);
        }
    }
    assert!(failed.is_empty(), "{} of {total} ended wrongly:\n{}", failed.len(), failed.join("\n\n"));
    println!("faults: {total} runs, all ended correctly");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn job_with_one_fault_at_any_request_ends_correctly() {
    let mut cases = Vec::new();
    let only = std::env::var("FAULT_SCENARIO").ok();
    let is_long = only.is_some() || std::env::var("FAULT_PAIRS").is_ok();
    let is_selected = |scenario: &Scenario| only.as_ref().is_none_or(|slug| scenario.slug() == slug);
    for scenario in SCENARIOS.into_iter().filter(is_selected) {
        let case = |faults, name| Case { scenario, faults, kills_every_call: false, name };
        cases.push(case(BTreeMap::new(), "without-faults".into()));
        for number in 1..=scenario.requests() {
            for fault in scenario.faults(is_long).iter().copied() {
                cases.push(case(BTreeMap::from([(number, fault)]), format!("{number}-{fault:?}")));
            }
        }
    }
    run_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn job_with_two_random_faults_ends_correctly() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("FAULT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FAULT_PAIRS").unwrap_or(500),
    };
    println!("faults: seeds {seeds:?}; FAULT_SEED=n repeats one");
    let cases = seeds.map(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let scenario = SCENARIOS[random.usize(..3)];
        // The first fault adds requests, so the second may come after the usual last request.
        let numbers = [random.usize(1..=scenario.requests()), random.usize(1..=scenario.requests() + 4)];
        let faults = numbers.map(|number| (number, FAULTS[random.usize(..FAULTS.len())])).into();
        Case { scenario, faults, kills_every_call: false, name: format!("seed-{seed}") }
    });
    run_all(cases.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_that_kills_every_process_fails_after_max_attempts() {
    let scenario = Scenario::Succeeds;
    run_all(vec![Case { scenario, faults: BTreeMap::new(), kills_every_call: true, name: "deadly".into() }]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn response_is_sent_before_the_deadline_when_services_hang() {
    let world = create_world().await;
    for first in 1..=4 {
        let world = world.with_new_queues().await;
        let plan = plan(&world, (first..20).map(|number| (number, Fault::Hang)).collect(), false);
        let (process_faults, _receiver) = tokio::sync::mpsc::unbounded_channel();
        let address = proxy::Proxy::new(plan, process_faults).listen(1).await;
        let mut environment = world.environment();
        environment.insert("MODEL_TIMEOUT_SECONDS".into(), "2".into());
        environment.insert("AWS_ENDPOINT_URL".into(), address.clone());
        environment.insert("AWS_ENDPOINT_URL_BEDROCK_RUNTIME".into(), address);
        let consumer = Function::start(env!("CARGO_BIN_EXE_consumer"), &environment).await;
        let document = json!({"bucket": world.bucket, "key": "lease.txt"});
        let body = json!({"job_id": format!("slow-{first}"), "document_s3": document}).to_string();
        let event = world.deliver(&[(body, Default::default())]).await;
        let id = event["Records"][0]["messageId"].clone();
        let time = Duration::from_secs(8);
        let answer = consumer.try_invoke(event, time, time - Duration::from_millis(200)).await;
        let answer = answer.unwrap_or_else(|| panic!("requests from {first} on hung, and no response was sent"));
        assert_eq!(answer, Ok(json!({"batchItemFailures": [{"itemIdentifier": id}]})), "request {first}");
    }
}

#[test]
fn batch_response_is_read_as_lambda_reads_it() {
    let ids = ["a", "b"];
    let read = |answer| {
        let mut acknowledged: Vec<_> = delivery::acknowledged_ids(&answer, &ids).into_iter().collect();
        acknowledged.sort_unstable();
        acknowledged.join("")
    };
    let failures = |failures: serde_json::Value| Ok(json!({"batchItemFailures": failures}));
    assert_eq!(read(Ok(json!(null))), "ab");
    assert_eq!(read(Ok(json!({}))), "ab");
    assert_eq!(read(failures(json!(null))), "ab");
    assert_eq!(read(failures(json!([]))), "ab");
    assert_eq!(read(failures(json!([{"itemIdentifier": "a"}]))), "b");
    assert_eq!(read(failures(json!([{"itemIdentifier": ""}]))), "");
    assert_eq!(read(failures(json!([{"itemIdentifier": null}]))), "");
    assert_eq!(read(failures(json!([{"itemIdentifier": "c"}]))), "");
    assert_eq!(read(failures(json!("a"))), "");
    assert_eq!(read(Ok(json!("text"))), "");
    assert_eq!(read(Err(json!({"errorMessage": "x"}))), "");
}
