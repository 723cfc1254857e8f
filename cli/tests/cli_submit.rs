//! `docket submit` on the deployed stack: names, skipped files, resumption, waiting.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Folder, Run, Running, run_docket};

async fn submit(folder: &Folder, batch: &str, more: &[&str]) -> Run {
    submit_with(folder, batch, more, &[]).await
}

async fn submit_with(folder: &Folder, batch: &str, more: &[&str], environment: &[(&str, &str)]) -> Run {
    let path = folder.path("");
    run_docket(&[&["submit", &path, "--batch", batch, "--local"], more].concat(), environment).await
}

fn list_jobs(stack: &Stack, batch: &str) -> Vec<Value> {
    let (status, page) = stack.ask("GET", &format!("/batches/{batch}/jobs?limit=500"), Value::Null);
    assert_eq!(status, 200, "{page}");
    page["data"].as_array().expect("a list").clone()
}

/// The number of versions of the objects under a prefix, and of distinct keys.
async fn count_versions(stack: &Stack, prefix: &str) -> (usize, usize) {
    let s3 = aws_sdk_s3::Client::new(&stack.sdk);
    let bucket = &stack.outputs["DocumentsBucketName"];
    let pages = s3.list_object_versions().bucket(bucket).prefix(prefix).send().await.expect("the bucket answers");
    let keys: std::collections::BTreeSet<&str> = pages.versions().iter().filter_map(|version| version.key()).collect();
    (pages.versions().len(), keys.len())
}

fn letters(count: usize) -> Folder {
    let folder = Folder::new();
    for number in 0..count {
        folder.write(&format!("{}/{number}.txt", number % 7), format!("Dear Sir, this is letter {number}."));
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn folder_is_a_batch_and_second_run_uploads_what_is_missing() {
    let stack = Stack::new().await;
    let (folder, batch) = (Folder::new(), unique("submit"));
    folder.write("lease.txt", "Lease of a flat.");
    folder.write("no\u{308}rd/ü b+c (2).txt", "Dear Sir, the rent is due.");
    folder.write("drafts/old.txt", "A draft.");
    folder.write("a.tmp", "x");
    folder.write("empty.txt", "");
    for litter in [".DS_Store", "._lease.txt", "x/Thumbs.db", "desktop.ini", "~$lease.docx"] {
        folder.write(litter, "x");
    }
    std::os::unix::fs::symlink("/etc/hostname", folder.path("link.txt")).expect("a link");
    let settings = ["--labels", "lease, letter,other", "--instructions", "Be brief.", "--deduplicate"];
    let exclude = ["--exclude", "*.tmp", "--exclude", "drafts", "--json"];
    let run = submit(&folder, &batch, &[&settings[..], &exclude, &["--wait"]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report = run.json();
    assert_eq!((&report["uploaded"], &report["already_there"]), (&json!(2), &json!(0)), "{report}");
    assert_eq!(report["batch"]["request_counts"]["complete"], 2);
    assert_eq!(
        report["batch"]["analysis"],
        json!({"labels": ["lease", "letter", "other"], "instructions": "Be brief."})
    );
    assert_eq!(report["batch"]["deduplicate"], true);
    let mut reasons: Vec<&str> =
        report["skipped"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    reasons.sort();
    let excluded = "excluded by --exclude";
    let system = "system file";
    assert_eq!(reasons, ["empty file", excluded, excluded, "symbolic link", system, system, system, system, system]);
    assert!(run.stderr.contains("empty.txt: empty file\n"), "{}", run.stderr);
    let mut names: Vec<String> =
        list_jobs(&stack, &batch).iter().map(|job| job["document"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["lease.txt", "n\u{f6}rd/ü b+c (2).txt"]);
    // Without settings, an existing batch keeps its own.
    folder.write("new.txt", "A new letter.");
    let second = submit(&folder, &batch, &[&exclude[..], &["--wait"]].concat()).await.json();
    assert_eq!((&second["uploaded"], &second["already_there"]), (&json!(1), &json!(2)), "{second}");
    assert_eq!(second["batch"]["request_counts"]["total"], 3);
    let third = submit(&folder, &batch, &exclude).await.json();
    assert_eq!((&third["uploaded"], &third["already_there"]), (&json!(0), &json!(3)), "{third}");
    assert_eq!(stack.calls()["total"], 3);
    assert_eq!(count_versions(&stack, &format!("submitted/{batch}/")).await, (3, 3));
    let other = submit(&folder, &batch, &["--labels", "a,b"]).await;
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("has other settings"), "{}", other.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn killed_upload_continues_without_a_second_copy() {
    const FILES: usize = 300;
    let stack = Stack::new().await;
    let (folder, batch) = (letters(FILES), unique("killed"));
    let path = folder.path("");
    let prefix = format!("submitted/{batch}/");
    let running = Running::start(&["submit", &path, "--batch", &batch, "--local", "--concurrency", "2"], &[]);
    eventually("half of the uploads", async || (count_versions(&stack, &prefix).await.0 > FILES / 3).then_some(()))
        .await;
    running.signal("KILL");
    assert_eq!(running.finish().await.code, None);
    let run = submit(&folder, &batch, &["--json", "--wait"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report = run.json();
    let (uploaded, present) = (report["uploaded"].as_u64().unwrap(), report["already_there"].as_u64().unwrap());
    assert!(present > 0 && uploaded > 0 && uploaded + present == FILES as u64, "{report}");
    assert_eq!(report["batch"]["request_counts"]["complete"], FILES);
    assert_eq!(count_versions(&stack, &prefix).await, (FILES, FILES));
    assert_eq!(stack.calls()["total"], FILES);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn interrupted_upload_exits_with_130() {
    let stack = Stack::new().await;
    let (folder, batch) = (letters(300), unique("interrupted"));
    let path = folder.path("");
    let running = Running::start(&["submit", &path, "--batch", &batch, "--local", "--wait"], &[]);
    tokio::time::sleep(Duration::from_millis(700)).await;
    running.signal("INT");
    let run = running.finish().await;
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(run.stderr.ends_with("run the same command again to upload the rest\n"), "{}", run.stderr);
    // The next test counts calls.
    stack.wait_for_empty_queue().await;
}

/// A proxy to the local AWS that ends every connection while it is down.
async fn start_proxy(endpoint: &str, is_down: Arc<AtomicBool>) -> String {
    let target = endpoint.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let (target, is_down) = (target.clone(), is_down.clone());
            tokio::spawn(async move {
                if is_down.load(Ordering::Relaxed) {
                    return;
                }
                let mut service = TcpStream::connect(target).await.expect("the local AWS runs");
                let ended = async {
                    while !is_down.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut caller, &mut service) => {}
                    () = ended => {}
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn lost_connection_costs_time_alone() {
    const FILES: usize = 200;
    let stack = Stack::new().await;
    let (folder, batch) = (letters(FILES), unique("proxy"));
    let is_down = Arc::new(AtomicBool::new(false));
    let url = start_proxy(&stack.outputs["AwsEndpointUrl"], is_down.clone()).await;
    let prefix = format!("submitted/{batch}/");
    let cut = async {
        eventually("some uploads", async || (count_versions(&stack, &prefix).await.0 > 20).then_some(())).await;
        is_down.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3)).await;
        is_down.store(false, Ordering::Relaxed);
    };
    let environment = [("AWS_ENDPOINT_URL_S3", url.as_str())];
    let (run, ()) = tokio::join!(submit_with(&folder, &batch, &["--json", "--concurrency", "4"], &environment), cut);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report = run.json();
    let files = report["uploaded"].as_u64().unwrap() + report["already_there"].as_u64().unwrap();
    assert_eq!(files, FILES as u64, "{report}");
    assert_eq!(count_versions(&stack, &prefix).await, (FILES, FILES));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn bucket_without_an_answer_exits_with_1() {
    let _stack = Stack::new().await;
    let (folder, batch) = (letters(3), unique("silent"));
    let environment = [("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")];
    let run = submit_with(&folder, &batch, &["--retry-for", "1s"], &environment).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    assert!(run.stderr.contains("s3:ListBucket failed"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn high_priority_has_its_own_prefix() {
    let stack = Stack::new().await;
    let (folder, batch) = (letters(2), unique("high"));
    let run = submit(&folder, &batch, &["--priority", "high", "--wait"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(count_versions(&stack, &format!("submitted-high/{batch}/")).await, (2, 2));
    assert!(list_jobs(&stack, &batch).iter().all(|job| job["priority"] == "high"));
    // The same documents with another priority are the same jobs.
    let again = submit(&folder, &batch, &["--json"]).await.json();
    assert_eq!((&again["uploaded"], &again["already_there"]), (&json!(0), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn more_than_a_thousand_files_need_consent() {
    let stack = Stack::new().await;
    let (folder, batch) = (letters(1_001), unique("many"));
    let run = submit(&folder, &batch, &[]).await;
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("Submit 1001 files?") && run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(run.stderr.contains("docket: cost    $"), "the estimate is shown: {}", run.stderr);
    assert_eq!(stack.ask("GET", &format!("/batches/{batch}"), Value::Null).0, 404);
    let dry = submit(&folder, &batch, &["--dry-run", "--json"]).await;
    let estimate = &dry.json()["estimate"];
    assert_eq!((dry.code, &estimate["files"]), (Some(0), &json!(1_001)));
    assert!(estimate["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{estimate}");
    assert_eq!(estimate["settings"]["are_of_stack"], true);
    assert_eq!(stack.ask("GET", &format!("/batches/{batch}"), Value::Null).0, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn wait_ends_with_the_outcome_of_the_batch() {
    let stack = Stack::new().await;
    let model = &stack.outputs["ModelEndpointUrl"];
    stand_in::put(model, json!({"latency_ms": 8_000}));
    let (folder, batch) = (letters(2), unique("wait"));
    let late = submit(&folder, &batch, &["--wait", "--timeout", "2s"]).await;
    assert_eq!(late.code, Some(3), "{}", late.stderr);
    assert!(
        late.stderr.ends_with("docket: 2 uploaded, 0 already there, 0 skipped; time-out: 2 of 2 jobs are unfinished\n"),
        "{}",
        late.stderr
    );
    stand_in::reset(model);
    stand_in::put(model, json!({"faults": [{"kind": "guardrail"}]}));
    let failing = unique("failing");
    let failed = submit(&folder, &failing, &["--wait"]).await;
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    let expected = format!("2 of 2 jobs failed: `docket jobs {failing} --status failed` lists them\n");
    assert!(failed.stderr.ends_with(&expected), "{}", failed.stderr);
    assert_eq!(stack.ask("DELETE", &format!("/batches/{failing}"), Value::Null).0, 200);
    let cancelled = submit(&folder, &failing, &[]).await;
    assert_eq!(cancelled.code, Some(1));
    assert!(cancelled.stderr.contains("was cancelled at"), "{}", cancelled.stderr);
    stack.drain_dead_letters().await;
    stand_in::reset(model);
    stack.wait_for_batch_end(&batch, 2).await;
}
