//! `docket hold`, `docket pause` and `docket resume` as a user runs them, on the deployed
//! stack: its real roles allow each step.

mod support;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

use crate::support::{Run, run_docket};

const MODEL: &str = "us.amazon.nova-2-lite-v1:0";

async fn docket(arguments: &[&str]) -> Run {
    run_docket(arguments, &[]).await
}

async fn list() -> Vec<Value> {
    let run = docket(&["hold", "list", "--local", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.json().as_array().expect("an array").clone()
}

fn message(job_id: &str, batch_id: &str) -> String {
    json!({"job_id": job_id, "batch_id": batch_id, "document": "The tenant pays 900 euros a month."}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn hold_is_listed_and_its_lift_completes_the_jobs() {
    let stack = Stack::new().await;
    stack.drain_dead_letters().await;
    let model = &stack.outputs["ModelEndpointUrl"];
    stand_in::put(model, json!({"faults": [{"kind": "access_denied"}]}));
    let batch = unique("held");
    let jobs: Vec<String> = (0..12).map(|n| format!("{batch}-{n}")).collect();
    stack.send(&jobs.iter().map(|job| message(job, &batch)).collect::<Vec<_>>()).await;
    eventually("a hold", async || (!list().await.is_empty()).then_some(())).await;

    let holds = list().await;
    assert_eq!((holds.len(), &holds[0]["target"], &holds[0]["kind"]), (1, &json!(MODEL), &json!("account_fault")));
    assert_eq!(holds[0]["code"], "access_denied_exception");
    assert!(holds[0]["reason"].as_str().is_some_and(|reason| reason.contains("remedy: grant ")), "{holds:?}");
    let text = docket(&["hold", "list", "--local"]).await.stdout;
    assert!(text.contains(MODEL) && text.contains("next probe"), "{text}");
    let doctor = docket(&["doctor", "--local", "--json"]).await;
    let lines = doctor.json();
    let line = lines.as_array().expect("lines").iter().find(|line| line["check"] == "hold").expect("the line");
    assert_eq!((doctor.code, &line["status"], &line["subject"]), (Some(1), &json!("error"), &json!(MODEL)));
    assert!(line["remedy"].as_str().is_some_and(|remedy| remedy.contains("docket hold lift")), "{line}");

    // Every job is parked, so that the lift finds it.
    eventually("all jobs wait", async || {
        for job in &jobs {
            stack.row(job).await.filter(|row| row.waiting_for.is_some())?;
        }
        Some(())
    })
    .await;
    let calls = stack.calls()["total"].as_u64().expect("a number");
    assert!(calls <= 60, "{calls} calls");
    stand_in::put(model, json!({}));
    let lifted = docket(&["hold", "lift", "--local", MODEL]).await;
    assert_eq!(lifted.code, Some(0), "{}", lifted.stderr);
    eventually("all jobs complete", async || {
        for job in &jobs {
            (stack.status(job).await == "complete").then_some(())?;
        }
        Some(())
    })
    .await;
    for job in &jobs {
        assert_eq!(stack.row(job).await.map(|row| row.charged_attempts), Some(1), "{job}");
    }
    assert_eq!((list().await.len(), stack.drain_dead_letters().await), (0, 0));
    let again = docket(&["hold", "lift", "--local", MODEL]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("has no hold"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn paused_batch_makes_no_call_until_it_is_resumed() {
    let stack = Stack::new().await;
    let batch = unique("paused");
    let job = format!("{batch}-1");
    let paused = docket(&["pause", "--local", &batch]).await;
    assert_eq!(paused.code, Some(1), "a batch without jobs does not exist: {}", paused.stderr);

    let created = stack.ask("POST", "/batches", json!({"batch_id": batch}));
    assert_eq!(created.0, 201, "{created:?}");
    let paused = docket(&["pause", "--local", &batch]).await;
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    stack.send(&[message(&job, &batch)]).await;
    eventually("the job waits", async || stack.row(&job).await.filter(|row| row.waiting_for.is_some())).await;
    let (_, view) = stack.ask("GET", &format!("/batches/{batch}"), Value::Null);
    assert_eq!(view["paused"]["reason"], "requested");
    let (_, view) = stack.ask("GET", &format!("/jobs/{job}"), Value::Null);
    assert_eq!((&view["status"], &view["paused"]["reason"]), (&json!("pending"), &json!("requested")));
    assert_eq!(stack.calls()["by_job"].get(&job), None, "no call of a paused job");

    let resumed = docket(&["resume", "--local", &batch]).await;
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    eventually("the job completes", async || (stack.status(&job).await == "complete").then_some(())).await;
    assert_eq!(stack.row(&job).await.map(|row| row.charged_attempts), Some(1));
    let (_, view) = stack.ask("GET", &format!("/batches/{batch}"), Value::Null);
    assert_eq!(view["paused"], Value::Null);
}

#[tokio::test]
async fn batch_is_no_target_of_a_hold() {
    let run = docket(&["hold", "lift", "--local", "batch/leases"]).await;
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("docket resume"), "{}", run.stderr);
}
