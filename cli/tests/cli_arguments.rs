//! The commands on a batch without the local AWS: arguments, and answers of a small API.

mod support;

use serde_json::{Value, json};

use crate::support::{Folder, Run, run_docket, serve};

const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

/// Runs a command with an API that answers every request alike.
async fn run_with_api(arguments: &[&str], status: u16, body: Value) -> Run {
    let url = serve(move |_, headers| {
        assert!(headers["authorization"].contains("/us-east-1/execute-api/aws4_request"), "{headers:?}");
        (status, "", body.to_string())
    })
    .await;
    run_docket(&[arguments, &["--api", &url]].concat(), &CREDENTIALS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_arguments_exit_with_2() {
    let folder = Folder::new();
    folder.write("list.yaml", "- a\n");
    folder.write("broken.json", "{\"labels\": [");
    folder.write("labels.yaml", "labels: [a, b]\n");
    let (list, broken, labels) = (folder.path("list.yaml"), folder.path("broken.json"), folder.path("labels.yaml"));
    for arguments in [
        &["submit", ".", "--local"][..],
        &["submit", ".", "--batch", "a b", "--local"],
        &["submit", ".", "--batch", "b", "--local", "--exclude", "["],
        &["submit", ".", "--batch", "b", "--local", "--timeout", "1s"],
        &["submit", ".", "--batch", "b", "--local", "--analysis", "/no/such/file"],
        &["submit", ".", "--batch", "b", "--local", "--analysis", &list],
        &["submit", ".", "--batch", "b", "--local", "--analysis", &broken],
        &["submit", ".", "--batch", "b", "--local", "--analysis", &labels, "--labels", "c"],
        &["submit", ".", "--batch", "b", "--local", "--api", "http://127.0.0.1:1"],
        &["watch", "b", "--timeout", "soon"],
        &["results", "b"],
        &["results", "b", "-o", "b.xlsx"],
        &["jobs", "b", "--status", "done"],
        &["job", "a b"],
        &["retry"],
        &["retry", "b", "--job", "j"],
        &["cancel"],
        &["purge"],
        &["purge", "j", "--batch", "b"],
        &["purge", ".."],
        &["redrive", "--list", "--yes"],
        &["completions", "tcsh"],
        &["status", "b", "--color", "pink"],
    ] {
        let run = run_docket(arguments, &[]).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_credentials_exit_with_4() {
    let none = run_docket(&["status", "b", "--region", "us-east-1"], &[]).await;
    assert_eq!(none.code, Some(4), "{}", none.stderr);
    let expired = json!({"type": "urn:docket:problem:gateway", "detail": "expired", "reason": "EXPIRED_TOKEN"});
    for command in [&["status", "b"][..], &["watch", "b"], &["jobs", "b"], &["job", "j"], &["retry", "b", "--yes"]] {
        let run = run_with_api(command, 403, expired.clone()).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(4), ""), "{command:?}: {}", run.stderr);
    }
    let denied = json!({"type": "urn:docket:problem:gateway", "detail": "no", "reason": "ACCESS_DENIED"});
    let run = run_with_api(&["status", "b"], 403, denied).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("allow execute-api:Invoke"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_batch_and_job_exit_with_1() {
    let folder = Folder::new();
    let file = folder.path("b.csv");
    let missing = json!({"type": "urn:docket:problem:no-such-batch", "detail": "none"});
    for command in [
        &["status", "b"][..],
        &["watch", "b"],
        &["jobs", "b"],
        &["job", "j"],
        &["results", "b", "-o", &file],
        &["retry", "b", "--yes"],
        &["retry", "--job", "j", "--yes"],
        &["cancel", "b", "--yes"],
        &["purge", "j", "--yes"],
        &["purge", "--batch", "b", "--yes"],
    ] {
        let run = run_with_api(command, 404, missing.clone()).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{command:?}: {}", run.stderr);
        assert!(run.stderr.contains("there is no "), "{command:?}: {}", run.stderr);
    }
    assert_eq!(folder.names(), Vec::<String>::new());
    let path = run_docket(&["submit", "/no/such/folder", "--batch", "b", "--local"], &[]).await;
    assert_eq!(path.code, Some(1));
    assert!(path.stderr.contains("/no/such/folder"), "{}", path.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_and_pause_exit_with_5_and_name_the_reason() {
    let mut batch = json!({"batch_id": "b", "status": "in_progress", "request_counts": {"total": 2, "pending": 2}});
    assert_eq!(run_with_api(&["status", "b"], 200, batch.clone()).await.code, Some(3));
    batch["hold"] = json!({
        "kind": "model", "model_id": "m", "reason": "access denied\u{202e}", "since": "2026-11-22T10:00:00Z",
        "next_probe_at": "2026-11-22T10:01:00Z",
    });
    let held = run_with_api(&["status", "b"], 200, batch.clone()).await;
    assert_eq!(held.code, Some(5), "{}", held.stderr);
    let reason = "m is on hold since 2026-11-22T10:00:00Z: access denied ; next probe at 2026-11-22T10:01:00Z\n";
    assert!(held.stdout.ends_with(reason) && held.stderr.ends_with(reason), "{}{}", held.stdout, held.stderr);
    // A wait goes on, because a hold ends by itself.
    let watched = run_with_api(&["watch", "b", "--timeout", "3s"], 200, batch.clone()).await;
    assert_eq!(watched.code, Some(3), "{}", watched.stderr);
    assert!(watched.stderr.ends_with(&format!("time-out: 2 of 2 jobs are unfinished; {reason}")), "{}", watched.stderr);
    batch["paused"] = json!({"reason": "the budget is spent", "since": "2026-11-22T10:02:00Z"});
    let paused = run_with_api(&["status", "b", "--json"], 200, batch.clone()).await;
    assert_eq!(paused.code, Some(5));
    assert!(paused.stderr.contains("paused since 2026-11-22T10:02:00Z: the budget is spent"), "{}", paused.stderr);
    assert_eq!(paused.json()["paused"], batch["paused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_alone_names_the_missing_output() {
    let batch = json!({"batch_id": "b", "status": "in_progress", "request_counts": {"total": 0}});
    let folder = Folder::new();
    folder.write("a.txt", "Dear Sir");
    let run = run_with_api(&["submit", &folder.path(""), "--batch", "b"], 200, batch).await;
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("DocumentsBucketName"), "{}", run.stderr);
}
