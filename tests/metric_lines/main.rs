//! The metric lines of the functions' real binaries, in situations that an operator meets.
//!
//! Each situation becomes a file of lines, in the folder that `METRIC_LINES` names.
//! `tools/alarms` feeds the files to the alarms of the template. `tests/metric_lines/recorded/`
//! has the files of an earlier run, for `make check`.

mod panicking;
mod situations;

use std::collections::{BTreeMap, BTreeSet};

use docket::metrics::table;
use serde_json::{Value, json};
use test_support::aws::World;

use situations::{TIME, messages, record_all};

/// Metrics that no situation writes: outcomes that need two workers or a damaged message.
const UNRECORDED: &[&str] = &[
    "batch_too_large",
    "busy",
    "cancelled",
    "deadline_reached",
    "lease_lost",
    "newer_version",
    "no_time",
    "not_stored",
    "nothing_to_do",
    "probe_busy",
    "resent",
    "split",
    "store_unavailable",
    "superseded",
    "suspect_first",
    "too_early",
    "unproven",
    "uploaded_again",
    "waiting",
    "purges_interrupted",
];

/// The metric lines in the output of a function.
pub fn metric_lines(output: &str) -> Vec<Value> {
    // The test harness may have begun the line.
    let objects = output.lines().filter_map(|line| line.find('{').map(|start| &line[start..]));
    let objects = objects.filter(|text| text.contains("\"_aws\""));
    objects.map(|text| serde_json::from_str(text).expect("a metric line is JSON")).collect()
}

/// Checks a line against the table, and returns the names of its metrics.
fn check_line(situation: &str, line: &Value) -> BTreeSet<String> {
    let known: BTreeMap<&str, table::Metric> = table::all().map(|metric| (metric.name, metric)).collect();
    let named = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(named["Namespace"], table::NAMESPACE, "{situation}: {line}");
    let definitions = named["Metrics"].as_array().expect("definitions");
    let mut names = BTreeSet::new();
    for definition in definitions {
        let name = definition["Name"].as_str().expect("a name");
        let metric = known.get(name).unwrap_or_else(|| panic!("{situation}: {name} is not in the table"));
        assert_eq!(definition["Unit"], metric.unit.as_str(), "{situation}: {name}");
        let second = metric.dimension.map(|dimension| dimension.as_str());
        let dimensions: Vec<&str> = [Some("FunctionName"), second].into_iter().flatten().collect();
        assert_eq!(named["Dimensions"], json!([dimensions]), "{situation}: {name}");
        assert!(dimensions.iter().all(|dimension| line[dimension].is_string()), "{situation}: {line}");
        assert!(line[name].is_number() || line[name].is_array(), "{situation}: {name} has no value");
        names.insert(name.to_owned());
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn functions_write_the_metrics_of_the_table() {
    let recorded = record_all().await;
    let mut written = BTreeSet::new();
    for (situation, lines) in &recorded {
        assert!(!lines.is_empty(), "{situation} wrote no metric");
        written.extend(lines.iter().flat_map(|line| check_line(situation, line)));
    }
    let unwritten = table::all().map(|metric| metric.name).filter(|name| !written.contains(*name));
    let unwritten: BTreeSet<&str> = unwritten.filter(|name| !name.starts_with(|c: char| c.is_uppercase())).collect();
    assert_eq!(unwritten, UNRECORDED.iter().copied().collect(), "metrics of the table that no situation wrote");
    let value = |situation: &str, name: &str| {
        let found = recorded[situation].iter().find_map(|line| line[name].as_f64());
        found.unwrap_or_else(|| panic!("{situation} wrote no {name}"))
    };
    for (situation, name, expected) in [
        ("idle_sweep", "jobs_ended", 0.0),
        ("idle_sweep", "retried", 0.0),
        ("idle_sweep", "holds_open", 0.0),
        ("sweep_during_hold", "holds_open", 1.0),
        ("sweep_after_hold", "holds_open", 0.0),
        ("hold_opened", "holds_open", 1.0),
        ("probe_failed", "holds_open", 1.0),
        ("waits_for_hold", "retried", 0.0),
        ("waits_for_hold", "on_hold", 5.0),
        ("waits_for_pause", "retried", 0.0),
        ("unfit_answers", "retries_charged", 3.0),
        ("throttled", "retries_uncharged", 10.0),
        ("completed", "jobs_ended", 10.0),
        ("one_of_ten_failed", "dead_lettered", 1.0),
        ("completed", "model_answers", 10.0),
        ("events_not_published", "events_failed", 5.0),
    ] {
        assert_eq!(value(situation, name), expected, "{name} of {situation}");
    }
    // The answer that was asked again is billed, and not kept.
    assert!(value("unfit_answers", "billed_input_tokens") > 0.0);
    assert!(value("completed_within_quota", "quota_reserved_ms") >= value("completed_within_quota", "quota_used_ms"));
    assert!(value("waits_for_hold_8_days", "oldest_retried_seconds") >= 8.0 * 24.0 * 3_600.0);
    let ended = &recorded["old_copy_of_ended_job"];
    assert!(ended.iter().all(|line| line.get("oldest_retried_seconds").is_none()), "an ended job is not retried");
    if let Ok(folder) = std::env::var("METRIC_LINES") {
        std::fs::create_dir_all(&folder).expect("the folder of the lines");
        for (situation, lines) in &recorded {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(format!("{folder}/{situation}.jsonl"), text).expect("the lines are written");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn log_has_the_trace_of_the_message_and_the_call() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let mut event = world.deliver(&messages("traced", 1)).await;
    let id = "1-67891233-abcdef012345678912345678";
    event["Records"][0]["attributes"]["AWSTraceHeader"] = json!(format!("Root={id};Parent=53995c3f42cd8ad8;Sampled=1"));
    consumer.invoke(event, TIME).await.expect("a response");
    let output = consumer.output().await;
    let line = |message: &str| -> Value {
        let mut lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message).unwrap_or_else(|| panic!("no line {message}: {output}"))
    };
    let handled = line("record handled");
    assert_eq!((&handled["trace_id"], &handled["job_id"]), (&json!(id), &json!("traced-0")), "{handled}");
    assert!(handled["age_ms"].is_u64() || handled["age_ms"].is_i64(), "{handled}");
    let answered = line("model answered");
    for (name, expected) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("aws.bedrock")),
        ("gen_ai.request.model", json!("test.model-v1:0")),
        ("gen_ai.usage.input_tokens", answered["input_tokens"].clone()),
        ("gen_ai.usage.output_tokens", answered["output_tokens"].clone()),
    ] {
        assert_eq!(answered[name], expected, "{name}: {answered}");
    }
}
