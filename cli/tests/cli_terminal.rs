//! The command line in a terminal: progress, questions, colours, and texts that would control
//! the terminal.

mod support;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::unique;

use crate::support::{Folder, run_docket, run_in_terminal, serve};

const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

/// An API with one complete batch of one job, whose texts control a terminal.
async fn hostile_api() -> String {
    let hostile = "a\u{1b}]0;title\u{7}\u{202e}b\u{9b}31mc\r\nd";
    serve(move |path, _| {
        let job = json!({
            "job_id": "j", "status": "failed", "batch_id": "b", "attempt": 1, "charged_attempts": 1,
            "document": {"name": hostile}, "error": {"code": hostile, "message": hostile},
        });
        let body = match path {
            "/batches/b" => {
                let counts = json!({"total": 1, "failed": 1});
                json!({"batch_id": "b", "status": "complete", "request_counts": counts, "paused": {"reason": hostile}})
            }
            "/batches/b/jobs" => json!({"data": [job], "has_more": false}),
            _ => job,
        };
        (200, "", body.to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_documents_and_models_do_not_control_the_terminal() {
    let url = hostile_api().await;
    for command in [&["status", "b"][..], &["watch", "b"], &["jobs", "b"], &["job", "j"], &["retry", "b"]] {
        let run = run_docket(&[command, &["--api", &url]].concat(), &CREDENTIALS).await;
        let shown = format!("{}{}", run.stdout, run.stderr);
        let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(shown.chars().all(is_harmless), "{command:?}: {shown:?}");
    }
    let json = run_docket(&["job", "j", "--json", "--api", &url], &CREDENTIALS).await.json();
    assert_eq!(json["document"]["name"], "a\u{1b}]0;title\u{7}\u{202e}b\u{9b}31mc\r\nd", "JSON is unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn colour_is_of_the_terminal_unless_it_is_refused() {
    let url = hostile_api().await;
    let arguments = ["status", "b", "--api", &url];
    let has_colour = |text: &str| text.contains("\u{1b}[31m");
    let shown = run_in_terminal(&arguments, &CREDENTIALS, "").await;
    assert_eq!(shown.code, Some(1), "{}", shown.stderr);
    assert!(has_colour(&shown.stdout), "{:?}", shown.stdout);
    let refused = [&CREDENTIALS[..], &[("NO_COLOR", "1")]].concat();
    assert!(!has_colour(&run_in_terminal(&arguments, &refused, "").await.stdout));
    let never = [&arguments[..], &["--color", "never"]].concat();
    assert!(!has_colour(&run_in_terminal(&never, &CREDENTIALS, "").await.stdout));
    assert!(!has_colour(&run_docket(&arguments, &CREDENTIALS).await.stderr));
    let always = [&arguments[..], &["--color", "always"]].concat();
    assert!(has_colour(&run_docket(&always, &CREDENTIALS).await.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_answered_in_the_terminal() {
    let url = hostile_api().await;
    let arguments = ["retry", "b", "--api", &url];
    let no = run_in_terminal(&arguments, &CREDENTIALS, "n\n").await;
    assert_eq!(no.code, Some(1), "{}", no.stdout);
    assert!(no.stdout.contains("Retry 1 jobs? [y/N]") && no.stdout.contains("not confirmed"), "{}", no.stdout);
    let yes = run_in_terminal(&arguments, &CREDENTIALS, "y\n").await;
    assert!(!yes.stdout.contains("not confirmed"), "{}", yes.stdout);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn progress_is_a_bar_in_a_terminal_and_lines_elsewhere() {
    let stack = Stack::new().await;
    let (folder, batch) = (Folder::new(), unique("bar"));
    for number in 0..30 {
        folder.write(&format!("{number}.txt"), format!("Dear Sir, letter {number}."));
    }
    folder.write("Thumbs.db", "x");
    let path = folder.path("");
    let arguments = ["submit", &path, "--batch", &batch, "--local", "--wait"];
    let shown = run_in_terminal(&arguments, &[], "").await;
    assert_eq!(shown.code, Some(0), "{}", shown.stdout);
    assert!(shown.stdout.contains("\r") && shown.stdout.contains("[====="), "{:?}", shown.stdout);
    assert!(shown.stdout.contains("Thumbs.db: system file"), "{:?}", shown.stdout);
    assert!(shown.stdout.trim_end().ends_with("30 jobs are complete\u{1b}[0m"), "{:?}", shown.stdout);
    let piped = run_docket(&arguments, &[]).await;
    assert_eq!(piped.code, Some(0), "{}", piped.stderr);
    assert!(!piped.stderr.contains(['\r', '\u{1b}']), "{:?}", piped.stderr);
    assert!(piped.stderr.lines().all(|line| line.starts_with("docket: ")), "{:?}", piped.stderr);
    assert_eq!(stack.ask("GET", &format!("/batches/{batch}"), Value::Null).1["request_counts"]["complete"], 30);
}
