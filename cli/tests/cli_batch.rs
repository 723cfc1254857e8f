//! The commands on a batch of the deployed stack: watch, status, results, jobs, retry, cancel.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{stand_in, unique};

use crate::support::{Folder, Run, Running, run_docket};

async fn local(arguments: &[&str]) -> Run {
    run_docket(&[arguments, &["--local"]].concat(), &[]).await
}

fn behave(stack: &Stack, behaviour: Value) {
    stand_in::put(&stack.outputs["ModelEndpointUrl"], behaviour);
}

/// Submits these documents to a batch, and waits for its end. The documents with `bad` in
/// their names are empty to the consumer, because they are white space.
async fn submit(batch: &str, names: &[&str]) -> Run {
    let folder = Folder::new();
    for name in names {
        let is_bad = name.contains("bad");
        folder.write(name, if is_bad { "   ".to_owned() } else { format!("Dear Sir, this is {name}.") });
    }
    local(&["submit", &folder.path(""), "--batch", batch, "--wait", "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn results_have_every_job_in_every_format() {
    let stack = Stack::new().await;
    let (folder, batch) = (Folder::new(), unique("results"));
    let submitted = submit(&batch, &["=1+1.txt", "lease.txt", "über.txt", "bad.txt"]).await;
    assert_eq!(submitted.code, Some(1), "{}", submitted.stderr);

    let csv = local(&["results", &batch, "-o", &folder.path("all.csv"), "--bom"]).await;
    assert_eq!((csv.code, csv.stdout.as_str()), (Some(1), ""), "{}", csv.stderr);
    assert!(csv.stderr.contains("3 results in ") && csv.stderr.contains("1 failures in "), "{}", csv.stderr);
    let text = folder.read("all.csv").expect("the table");
    assert!(text.starts_with("\u{feff}job_id,name,status,"), "{text}");
    assert!(text.contains(",'=1+1.txt,complete,") && text.contains(",über.txt,complete,"), "{text}");
    assert_eq!(text.matches("\r\nfile-").count(), 3);
    let errors = folder.read("all.csv.errors.csv").expect("the failures");
    assert!(errors.contains(",bad.txt,failed,document_empty,"), "{errors}");

    let lines = local(&["results", &batch, "-o", &folder.path("all.jsonl"), "--json"]).await;
    let summary = lines.json();
    assert_eq!((&summary["results"], &summary["failures"]), (&json!(3), &json!(1)), "{summary}");
    let jobs: Vec<Value> =
        folder.read("all.jsonl").unwrap().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| job["result"]["summary"].is_string()), "{jobs:?}");

    for _ in 0..2 {
        let files = local(&["results", &batch, "-o", &folder.path("all")]).await;
        assert_eq!(files.code, Some(1), "{}", files.stderr);
    }
    let id = jobs[0]["job_id"].as_str().unwrap();
    let one: Value = serde_json::from_str(&folder.read(&format!("all/{id}.json")).expect("a file")).expect("JSON");
    assert_eq!(one, jobs[0]);
    folder.write("all/notes.txt", "mine");
    let refused = local(&["results", &batch, "-o", &folder.path("all")]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(folder.read("all/notes.txt").is_some());
    let expected = ["all", "all.csv", "all.csv.errors.csv", "all.errors.csv", "all.jsonl", "all.jsonl.errors.csv"];
    assert_eq!(folder.names(), expected, "no partial file remains");
    stack.drain_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn results_of_many_pages_have_each_job_once() {
    let stack = Stack::new().await;
    let (folder, batch) = (Folder::new(), unique("pages"));
    for hundred in 0..7 {
        let jobs: Vec<Value> = (0..100)
            .map(|n| json!({"job_id": format!("{batch}-{hundred}-{n}"), "document": format!("Letter {hundred} {n}.")}))
            .collect();
        assert_eq!(stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs})).0, 202);
    }
    assert_eq!(local(&["watch", &batch]).await.code, Some(0));
    let run = local(&["results", &batch, "-o", &folder.path("r.csv")]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(folder.read("r.csv").unwrap().matches(&format!("\r\n{batch}-")).count(), 700);
    assert_eq!(local(&["jobs", &batch, "--json"]).await.json().as_array().map(Vec::len), Some(700));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn watch_shows_progress_and_ends_with_the_verdict() {
    let stack = Stack::new().await;
    let (folder, batch) = (Folder::new(), unique("watch"));
    behave(&stack, json!({"latency_ms": 5_000}));
    folder.write("a.txt", "Dear Sir");
    let submitted = local(&["submit", &folder.path(""), "--batch", &batch]).await;
    assert_eq!(submitted.code, Some(0), "{}", submitted.stderr);
    let running = local(&["status", &batch]).await;
    assert_eq!(running.code, Some(3), "{}", running.stderr);
    assert!(running.stdout.contains("jobs       0 of 1 finished"), "{}", running.stdout);
    assert_eq!(local(&["watch", &batch, "--timeout", "1s"]).await.code, Some(3));
    let interrupted = Running::start(&["watch", &batch, "--local"], &[]);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    interrupted.signal("INT");
    let interrupted = interrupted.finish().await;
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.stderr);
    assert!(interrupted.stderr.ends_with(&format!("`docket watch {batch}` continues\n")), "{}", interrupted.stderr);
    let watched = local(&["watch", &batch, "--json"]).await;
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    let json = watched.json();
    assert_eq!((&json["status"], &json["expected_jobs"]), (&json!("complete"), &json!(1)));
    assert!(watched.stderr.ends_with("docket: 1 jobs are complete\n"), "{}", watched.stderr);
    assert!(!watched.stderr.contains('\r'), "no carriage return without a terminal");
    let status = local(&["status", &batch, "--json"]).await;
    assert_eq!((status.code, &status.json()["request_counts"]["complete"]), (Some(0), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn jobs_are_listed_by_filter_and_one_is_explained() {
    let stack = Stack::new().await;
    let batch = unique("jobs");
    submit(&batch, &["north/lease.txt", "bad.txt"]).await;
    let list = async |filter: &[&str]| {
        let run = local(&[&["jobs", &batch, "--json"], filter].concat()).await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.json().as_array().expect("an array").clone()
    };
    assert_eq!(list(&[]).await.len(), 2);
    let failed = list(&["--status", "failed"]).await;
    assert_eq!((failed.len(), &failed[0]["document"]["name"]), (1, &json!("bad.txt")));
    assert_eq!(list(&["--error-code", "document_empty"]).await, failed);
    assert_eq!(list(&["--error-code", "document_encrypted"]).await, Vec::<Value>::new());
    let complete = list(&["--status", "complete"]).await;
    let id = complete[0]["job_id"].as_str().unwrap();
    let whole = local(&["job", id, "--json"]).await.json();
    let label = whole["result"]["classification"]["label"].as_str().expect("a label");
    let labelled = list(&["--label", label]).await;
    assert_eq!((labelled.len(), &labelled[0]["job_id"]), (1, &json!(id)));
    assert_eq!(list(&["--label", "no such label"]).await, Vec::<Value>::new());
    assert_eq!(list(&["--name", "lease", "--label", label]).await, labelled);
    assert_eq!(list(&["--name", "Lease"]).await, Vec::<Value>::new());
    assert_eq!(list(&["--name", "bad", "--label", label]).await, Vec::<Value>::new());
    let url = local(&["job", id, "--document"]).await;
    assert!(url.stdout.starts_with("http://127.0.0.1:") && url.stdout.lines().count() == 1, "{}", url.stdout);
    assert!(url.stderr.contains("valid until 2"), "{}", url.stderr);
    assert_eq!(local(&["job", "no-such-job", "--document"]).await.code, Some(1));
    let table = local(&["jobs", &batch]).await;
    assert!(table.stdout.contains("document_empty: "), "{}", table.stdout);
    let explained = local(&["job", failed[0]["job_id"].as_str().unwrap()]).await;
    let bucket = &stack.outputs["DocumentsBucketName"];
    for part in [
        "status    failed: ended without a result\n",
        "document  bad.txt\n",
        &format!("object    s3://{bucket}/submitted/{batch}/file-"),
        "error     document_empty: ",
        "remedy    Send the right document.\n",
    ] {
        assert!(explained.stdout.contains(part), "{part}\n{}", explained.stdout);
    }
    assert_eq!(local(&["job", "no-such-job"]).await.code, Some(1));
    stack.drain_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn failed_jobs_are_retried_after_consent() {
    let stack = Stack::new().await;
    let batch = unique("retry");
    behave(&stack, json!({"faults": [{"kind": "guardrail"}]}));
    assert_eq!(submit(&batch, &["a.txt", "b.txt", "c.txt"]).await.code, Some(1));
    stand_in::reset(&stack.outputs["ModelEndpointUrl"]);
    let question = local(&["retry", &batch]).await;
    assert_eq!(question.code, Some(2));
    assert!(question.stderr.contains("Retry 3 jobs?"), "{}", question.stderr);
    assert!(question.stderr.contains("guardrail_intervened"), "{}", question.stderr);
    let other = local(&["retry", &batch, "--error-code", "document_empty", "--yes", "--json"]).await;
    assert_eq!((other.code, &other.json()["retried"]), (Some(0), &json!(0)), "{}", other.stderr);
    let ids = local(&["jobs", &batch, "--json"]).await.json();
    let id = ids[0]["job_id"].as_str().unwrap();
    let one = local(&["retry", "--job", id, "--yes", "--json"]).await;
    assert_eq!((one.code, &one.json()["retried"]), (Some(0), &json!(1)), "{}", one.stderr);
    let rest = local(&["retry", &batch, "--error-code", "guardrail_intervened", "--yes"]).await;
    assert_eq!(rest.code, Some(0), "{}", rest.stderr);
    assert_eq!(local(&["watch", &batch]).await.code, Some(0));
    let nothing = local(&["retry", &batch]).await;
    assert_eq!(nothing.code, Some(0), "{}", nothing.stderr);
    assert!(nothing.stderr.ends_with("0 jobs retried, 0 refused\n"), "{}", nothing.stderr);
    let refused = local(&["retry", "--job", id, "--yes", "--json"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.json()["refused"][0]["reason"].as_str().is_some_and(|reason| reason.contains("complete")));
    stack.drain_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn cancelled_batch_exits_with_5() {
    let stack = Stack::new().await;
    let batch = unique("cancel");
    for name in ["one", "two"] {
        let body = json!({"job_id": format!("{batch}-{name}"), "filename": "a.txt", "size": 7, "batch_id": batch});
        assert_eq!(stack.ask("POST", "/uploads", body).0, 201);
    }
    let one = local(&["cancel", "--job", &format!("{batch}-one"), "--yes", "--json"]).await;
    assert_eq!((one.code, &one.json()["cancelled"]), (Some(0), &json!(1)), "{}", one.stderr);
    let question = local(&["cancel", &batch]).await;
    assert_eq!(question.code, Some(2));
    assert!(question.stderr.contains("1 unfinished jobs are cancelled"), "{}", question.stderr);
    let all = local(&["cancel", &batch, "--yes"]).await;
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(all.stderr.ends_with("1 jobs cancelled, 0 refused\n"), "{}", all.stderr);
    for command in ["status", "watch"] {
        let run = local(&[command, &batch]).await;
        assert_eq!(run.code, Some(5), "{}", run.stderr);
        assert!(run.stderr.ends_with("2 of 2 jobs were cancelled\n"), "{}", run.stderr);
    }
}
