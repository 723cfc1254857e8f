//! The metric lines of the functions' real binaries, in situations that an operator meets.
//!
//! Each situation becomes a file of lines, in the folder that `METRIC_LINES` names.
//! `tools/alarms` feeds the files to the alarms of the template. `tests/metric_lines/recorded/`
//! has the files of an earlier run, for `make check`.

mod panicking;
mod situations;

use std::collections::{BTreeMap, BTreeSet};

use docket::metrics::table;
use serde_json::Value;

use situations::record_all;

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
        assert_eq!(named["Dimensions"], serde_json::json!([dimensions]), "{situation}: {name}");
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
    if let Ok(folder) = std::env::var("METRIC_LINES") {
        std::fs::create_dir_all(&folder).expect("the folder of the lines");
        for (situation, lines) in &recorded {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(format!("{folder}/{situation}.jsonl"), text).expect("the lines are written");
        }
    }
}
