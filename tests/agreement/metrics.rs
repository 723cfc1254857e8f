//! The reference page of the metrics repeats the table of the code, and every name of an
//! outcome is in the table.

use docket::domain::job::outcome::{Acknowledged, Outcome, Retry, RetryReason};
use docket::metrics::table::{self, SECTIONS, Section};
use test_support::read;

/// The Markdown table of a section.
fn table_of(section: &Section) -> String {
    let rows = section.metrics.iter().map(|metric| {
        let second = metric.dimension.map(|dimension| format!(", `{}`", dimension.as_str())).unwrap_or_default();
        format!("| `{}` | {} | `FunctionName`{second} | {} |\n", metric.name, metric.unit.as_str(), metric.meaning)
    });
    let header = "| metric | unit | dimensions | meaning |\n| --- | --- | --- | --- |\n";
    header.to_owned() + &rows.collect::<String>()
}

#[test]
fn metrics_page_repeats_the_table_of_the_code() {
    let page = read("docs/reference/metrics.md");
    for section in SECTIONS {
        let heading = format!("\n### {}\n\n", section.title);
        let body = page.split(&heading).nth(1).unwrap_or_else(|| panic!("metrics.md has no section{heading}"));
        let end = body.find("\n\n").map_or(body.len(), |end| end + 1);
        let expected = table_of(section);
        assert!(body[..end] == expected, "the section{heading}of metrics.md must begin with\n\n{expected}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `") && line.contains("| `FunctionName`")).count();
    assert_eq!(rows, table::all().count(), "metrics.md has a metric that the code does not know");
}

#[test]
fn names_of_metrics_are_unique() {
    let mut names: Vec<&str> = table::all().map(|metric| metric.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_outcome_is_a_metric() {
    let acknowledged = [
        Acknowledged::Completed,
        Acknowledged::AlreadyFinished,
        Acknowledged::UploadedAgain,
        Acknowledged::DeadLettered,
        Acknowledged::Cancelled,
        Acknowledged::Waiting,
        Acknowledged::Superseded,
        Acknowledged::Split,
        Acknowledged::NothingToDo,
        Acknowledged::Probed,
        Acknowledged::HoldEnded,
        Acknowledged::Resent,
        Acknowledged::Swept,
    ];
    let retried = [
        RetryReason::Busy,
        RetryReason::Throttled,
        RetryReason::Transient,
        RetryReason::NoTime,
        RetryReason::OverQuota,
        RetryReason::LeaseLost,
        RetryReason::StoreUnavailable,
        RetryReason::OnHold,
        RetryReason::Unproven,
        RetryReason::NotStored,
        RetryReason::TooEarly,
        RetryReason::SuspectFirst,
        RetryReason::BatchTooLarge,
        RetryReason::NewerVersion,
        RetryReason::ProbeBusy,
        RetryReason::Panicked,
        RetryReason::DeadlineReached,
    ];
    let outcomes = acknowledged.into_iter().map(Outcome::Acknowledge);
    let outcomes = outcomes.chain(retried.into_iter().map(Retry::at_visibility_timeout));
    for outcome in outcomes {
        assert!(table::all().any(|metric| metric.name == outcome.name()), "{} is in no table", outcome.name());
    }
    // The names in the code, so that a new outcome cannot be left out above.
    let code = read("src/domain/job/outcome.rs");
    let names = code.lines().filter_map(|line| line.trim().split_once("=> \"").map(|(_, name)| name));
    assert_eq!(names.count(), acknowledged.len() + retried.len(), "an outcome is missing in this test");
}
