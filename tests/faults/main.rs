//! No failure without its right ending: the real consumer, with a proxy between
//! it and everything that it talks to.
//!
//! `FAULT_SEED=7` runs one pair of faults again; `FAULT_PAIRS=10000` runs more of
//! them (`make faults`).

mod delivery;
mod proxy;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::Run;
use docket::domain::job::stored::State;
use proxy::{FAULTS, Fault, Kind, Plan};
use serde_json::json;
use test_support::aws::{Letter, World};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Runs side by side. They wait more than they work.
const SIDE_BY_SIDE: usize = 32;
const MAX_ATTEMPTS: u32 = 3;

/// A job, by how it would end undisturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    Succeeds,
    ThrottledFirst,
    PermanentlyBad,
    Malformed,
    AsyncInvocation,
}

const SORTS: [Scenario; 5] = [
    Scenario::Succeeds,
    Scenario::ThrottledFirst,
    Scenario::PermanentlyBad,
    Scenario::Malformed,
    Scenario::AsyncInvocation,
];

impl Scenario {
    /// How many requests it makes undisturbed.
    fn requests(self) -> usize {
        match self {
            Self::Succeeds => 4,         // claim, fetch, converse, complete
            Self::ThrottledFirst => 9,   // claim, fetch, converse, release, visibility, and again
            Self::PermanentlyBad => 5,   // claim, fetch, converse, dead letter, fail
            Self::Malformed => 1,        // dead letter
            Self::AsyncInvocation => 10, // look, claim, start, send, wait; look, take, check, list, complete
        }
    }

    /// How many calls it makes undisturbed.
    fn calls(self) -> usize {
        match self {
            Self::Succeeds | Self::PermanentlyBad => 1,
            Self::ThrottledFirst => 2,
            Self::Malformed | Self::AsyncInvocation => 0,
        }
    }

    fn slug(self) -> &'static str {
        match self {
            Self::Succeeds => "succeeds",
            Self::ThrottledFirst => "throttled-first",
            Self::PermanentlyBad => "permanently-bad",
            Self::Malformed => "malformed",
            Self::AsyncInvocation => "long-running",
        }
    }
}

/// One job, with what happens to its requests.
#[derive(Debug, Clone)]
struct Case {
    sort: Scenario,
    faults: BTreeMap<usize, Fault>,
    name: String,
}

async fn world() -> Arc<World> {
    let world = World::new().await;
    world.model.behave(json!({"faults": [
        {"kind": "throttling", "job_id_contains": "throttled-first", "times_per_job": 1},
        {"kind": "validation", "job_id_contains": "permanently-bad"},
    ]}));
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let document = "The tenant pays a rent of 900 euros for the flat in Mill Lane.".as_bytes().to_vec();
    s3.put_object().bucket(&world.bucket).key("lease.txt").body(document.into()).send().await.expect("a document");
    Arc::new(world)
}

/// Runs one case, and says what is wrong with its ending.
async fn check(world: &World, case: &Case, deadly: bool) -> Vec<String> {
    let own = world.beside().await;
    let job_id = format!("{}-{}", case.sort.slug(), case.name);
    let body = match case.sort {
        Scenario::Malformed => format!("{{ malformed {job_id}"),
        Scenario::AsyncInvocation => {
            json!({"job_id": job_id, "async_invoke": {"model_id": "m", "model_input": {"b": 0.1, "a": []}}}).to_string()
        }
        _ => json!({"job_id": job_id, "document_s3": {"bucket": world.bucket, "key": "lease.txt"}}).to_string(),
    };
    own.send(&body).await;
    let mut environment = own.environment();
    environment.insert("MODEL_TIMEOUT_SECONDS".into(), "1".into());
    environment.insert("MAX_ATTEMPTS".into(), MAX_ATTEMPTS.to_string());
    let plan = Plan {
        faults: case.faults.clone(),
        deadly,
        aws: world.sdk.endpoint_url().expect("a local AWS").to_owned(),
        model: world.model.url.clone(),
    };
    let run = delivery::run(&own, plan, &environment).await;
    let letters = own.letters().await;
    let mut wrong = ending(&own, case, &job_id, &body, &letters, deadly).await;
    wrong.extend(conduct(case, &run, deadly));
    if !wrong.is_empty() {
        let seen = run.seen.iter().enumerate().map(|(place, seen)| seen.line(place + 1, run.seen[0].at));
        wrong.push(format!("what was seen:\n    {}", seen.collect::<Vec<_>>().join("\n    ")));
    }
    wrong
}

/// The job is complete with the right result, or failed and in the dead-letter
/// queue with its reason; nothing vanished, and nothing is left running.
async fn ending(world: &World, case: &Case, job_id: &str, body: &str, letters: &[Letter], deadly: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let row = if case.sort == Scenario::Malformed { None } else { world.row(job_id).await };
    match (case.sort, row.as_ref().map(|row| &row.state)) {
        (Scenario::Malformed, None) => {
            expect(letters.iter().any(|l| l.attributes["error_code"] == "malformed_message"), "no dead letter".into());
        }
        (Scenario::Succeeds | Scenario::ThrottledFirst, Some(State::Complete(done))) => {
            let summary = done.result.inline().expect("on the row")["summary"].as_str().unwrap_or_default();
            expect(summary.contains("900 euros"), format!("a wrong result: {summary}"));
            expect(letters.is_empty(), format!("complete, and a dead letter: {letters:?}"));
        }
        (Scenario::AsyncInvocation, Some(State::Complete(done))) => {
            let output = &done.result.inline().expect("on the row")["output"];
            expect(output["objects"].as_array().is_some_and(|all| all.len() == 2), format!("a wrong output: {output}"));
            expect(letters.is_empty(), format!("complete, and a dead letter: {letters:?}"));
            let count = &world.model.calls()["async"]["by_output"][output_uri(world, job_id)];
            expect(*count == json!(1), format!("{count} invocations"));
        }
        (sort, Some(State::Failed { error, .. })) => {
            // One that would succeed may fail only for charged_attempts that faults used up.
            let used_up = deadly || case.faults.len() >= MAX_ATTEMPTS as usize;
            let fits = match sort {
                Scenario::PermanentlyBad => {
                    ["validation_exception", "attempts_exhausted"].contains(&error.code.as_str())
                }
                _ => {
                    used_up
                        && error.code == "attempts_exhausted"
                        && row.as_ref().is_some_and(|row| row.charged_attempts == MAX_ATTEMPTS)
                }
            };
            expect(fits, format!("failed with {error:?}"));
            let attempt = row.as_ref().map_or(0, |row| row.attempt).to_string();
            let letter = letters.iter().find(|letter| letter.attributes.get("failed_attempt") == Some(&attempt));
            let reason = letter.map(|letter| letter.attributes["error_code"].as_str());
            expect(reason == Some(&error.code), format!("its dead letter says {reason:?}"));
        }
        (_, state) => expect(false, format!("it ended as {state:?}")),
    }
    expect(letters.iter().all(|letter| letter.body == body), "a dead letter's body is not the message".into());
    wrong
}

fn output_uri(world: &World, job_id: &str) -> String {
    docket::domain::async_invocation::request::output_uri(&world.bucket, &job_id.parse().expect("a job id"))
}

/// What was done on the way: calls, their order, and whose writes took effect.
fn conduct(case: &Case, run: &Run, deadly: bool) -> Vec<String> {
    let mut wrong: Vec<String> = run.unsettled.iter().map(|how| format!("it never settled: {how}")).collect();
    let begun: Vec<_> = run.seen.iter().filter(|seen| seen.kind == Kind::Converse).collect();
    let allowed = if deadly { MAX_ATTEMPTS as usize } else { case.sort.calls() + case.faults.len() };
    if begun.len() > allowed {
        wrong.push(format!("{} calls, and {allowed} are allowed", begun.len()));
    }
    let is_complete = |kind| matches!(kind, Kind::Ending { completes: true, .. });
    let complete = run.seen.iter().filter(|seen| is_complete(seen.kind)).filter_map(|seen| seen.done).min();
    if complete.is_some_and(|complete| begun.iter().any(|call| call.at > complete)) {
        wrong.push("a call began after the job was complete".into());
    }
    // Claims and endings as they took effect: an ending's attempt is the newest.
    let mut written: Vec<_> = run.seen.iter().filter(|seen| seen.attempt_after.is_some()).collect();
    written.sort_by_key(|seen| seen.done);
    let mut newest = 0;
    for seen in written {
        match seen.kind {
            Kind::Claim => newest = seen.attempt_after.unwrap_or_default(),
            Kind::Ending { fence, .. } if fence != newest => {
                wrong.push(format!("attempt {fence} wrote while {newest} was the newest"));
            }
            _ => {}
        }
    }
    wrong
}

/// Runs cases side by side; panics with each that ended wrongly.
async fn run_all(cases: Vec<Case>, deadly: bool) {
    let world = world().await;
    let (total, room) = (cases.len(), Arc::new(Semaphore::new(SIDE_BY_SIDE)));
    let mut runs = JoinSet::new();
    for case in cases {
        let (world, room) = (world.clone(), room.clone());
        runs.spawn(async move {
            let _permit = room.acquire().await.expect("open");
            (check(&world, &case, deadly).await, case)
        });
    }
    let (mut done, mut failed) = (0, Vec::new());
    while let Some(run) = runs.join_next().await {
        let (wrong, case) = run.expect("a run does not panic");
        done += 1;
        if done % 50 == 0 {
            println!("faults: {done} of {total} runs");
        }
        if !wrong.is_empty() {
            failed.push(format!("{case:?}\n  {}", wrong.join("\n  ")));
        }
    }
    assert!(failed.is_empty(), "{} of {total} ended wrongly:\n{}", failed.len(), failed.join("\n\n"));
    println!("faults: {total} runs, each with its right ending");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn every_single_fault_at_every_request_of_every_sort_of_job_has_its_right_ending() {
    let mut cases = Vec::new();
    for sort in SORTS {
        cases.push(Case { sort, faults: BTreeMap::new(), name: "undisturbed".into() });
        for place in 1..=sort.requests() {
            for fault in FAULTS {
                let name = format!("{place}-{fault:?}");
                cases.push(Case { sort, faults: BTreeMap::from([(place, fault)]), name });
            }
        }
    }
    run_all(cases, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn pairs_of_faults_have_their_right_ending() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("FAULT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FAULT_PAIRS").unwrap_or(500),
    };
    println!("faults: seeds {seeds:?}; FAULT_SEED=n runs one again");
    let cases = seeds.map(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let sort = SORTS[random.usize(..3)];
        // Faults lengthen a run, so the second may lie beyond its usual end.
        let places = [random.usize(1..=sort.requests()), random.usize(1..=sort.requests() + 4)];
        let faults = places.map(|place| (place, FAULTS[random.usize(..FAULTS.len())])).into();
        Case { sort, faults, name: format!("seed-{seed}") }
    });
    run_all(cases.collect(), false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_document_that_kills_every_process_fails_after_the_set_number_of_tries() {
    let case = Case { sort: Scenario::Succeeds, faults: BTreeMap::new(), name: "deadly".into() };
    run_all(vec![case], true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_response_leaves_before_the_deadline_whatever_does_not_answer() {
    let world = world().await;
    for place in 1..=4 {
        let own = world.beside().await;
        let name = format!("slow-{place}");
        let plan = Plan {
            faults: (place..20).map(|place| (place, Fault::Hang)).collect(),
            deadly: false,
            aws: world.sdk.endpoint_url().expect("a local AWS").to_owned(),
            model: world.model.url.clone(),
        };
        let (blows, _keep) = tokio::sync::mpsc::unbounded_channel();
        let address = proxy::Proxy::new(plan, blows).open(1).await;
        let mut environment = own.environment();
        environment.insert("MODEL_TIMEOUT_SECONDS".into(), "2".into());
        environment.insert("AWS_ENDPOINT_URL".into(), address.clone());
        environment.insert("AWS_ENDPOINT_URL_BEDROCK_RUNTIME".into(), address);
        let consumer = test_support::function::Function::start(env!("CARGO_BIN_EXE_consumer"), &environment).await;
        let body = json!({"job_id": name, "document_s3": {"bucket": world.bucket, "key": "lease.txt"}}).to_string();
        let event = own.delivered(&[(body, Default::default())]).await;
        let id = event["Records"][0]["messageId"].clone();
        let time = Duration::from_secs(8);
        let answer = consumer.try_invoke(event, time, time - Duration::from_millis(200)).await;
        let answer = answer.unwrap_or_else(|| panic!("request {place} hung, and so did the response"));
        assert_eq!(answer, Ok(json!({"batchItemFailures": [{"itemIdentifier": id}]})), "request {place}");
    }
}

#[test]
fn a_batch_response_is_read_as_lambda_reads_it() {
    let ids = ["a", "b"];
    let read = |answer| {
        let mut left: Vec<_> = delivery::acknowledged(&answer, &ids).into_iter().collect();
        left.sort_unstable();
        left.join("")
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
