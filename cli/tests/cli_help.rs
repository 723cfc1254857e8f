//! The help of every command, its page in the documentation, completions and manual pages.

mod support;

use test_support::read;

use crate::support::{Folder, run_docket};

const PAGE: &str = "docs/guide/command-line.md";
const COMMANDS: [&str; 13] = [
    "submit",
    "watch",
    "status",
    "results",
    "jobs",
    "job",
    "retry",
    "cancel",
    "purge",
    "ui",
    "redrive",
    "completions",
    "man",
];

#[tokio::test(flavor = "multi_thread")]
async fn page_has_the_help_of_each_command() {
    let page = read(PAGE);
    for command in COMMANDS {
        let help = run_docket(&[command, "--help"], &[]).await;
        assert_eq!(help.code, Some(0));
        let lines: Vec<&str> = help.stdout.lines().map(str::trim_end).collect();
        let block = format!("```text\n{}\n```\n", lines.join("\n"));
        assert!(page.contains(&block), "{PAGE} must have the output of `docket {command} --help`:\n{block}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_on_a_stack_names_its_exit_codes() {
    let all = run_docket(&["--help"], &[]).await;
    for command in COMMANDS.iter().filter(|name| !["completions", "man"].contains(name)) {
        assert!(all.stdout.contains(&format!("\n  {command} ")), "{}", all.stdout);
        let help = run_docket(&[command, "--help"], &[]).await.stdout;
        let codes = help.split("Exit codes: ").nth(1).expect("exit codes").replace('\n', " ");
        assert!(codes.contains("2 invalid arguments") && codes.contains("4 no usable credentials"), "{codes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_codes_of_the_page_have_a_remedy() {
    let url = support::serve(|path, _| {
        let job = serde_json::json!({
            "job_id": "j", "status": "failed", "error": {"code": path.rsplit('/').next(), "message": "m"},
        });
        (200, "", job.to_string())
    })
    .await;
    let page = read("docs/reference/error-codes.md");
    let table = page.split("## Codes of failed jobs").nth(1).and_then(|rest| rest.split("### Codes without").next());
    let codes = table.expect("the tables").lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let environment = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];
    let mut count = 0;
    for code in codes {
        let run = run_docket(&["job", code, "--api", &url], &environment).await;
        assert!(run.stdout.contains(&format!("error     {code}: m\nremedy    ")), "{}", run.stdout);
        assert!(!run.stdout.contains("which is Bedrock's"), "{code} has no remedy of its own");
        count += 1;
    }
    assert!(count > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_pages_name_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run_docket(&["completions", shell], &[]).await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains("submit") && run.stdout.contains("redrive"), "{shell}");
    }
    let page = run_docket(&["man"], &[]).await;
    assert!(page.stdout.starts_with(".ie") && page.stdout.contains("docket\\-submit(1)"), "{}", page.stdout);
    let folder = Folder::new();
    assert_eq!(run_docket(&["man", &folder.path("pages")], &[]).await.code, Some(0));
    for command in COMMANDS {
        assert!(folder.read(&format!("pages/docket-{command}.1")).is_some(), "{command}");
    }
    assert_eq!(run_docket(&["man", "/dev/null/pages"], &[]).await.code, Some(1));
}
