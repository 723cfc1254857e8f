//! What is told: JSON lines for CloudWatch Logs and one line of metrics a
//! batch. Ids, sizes, counts, times and codes; never a document, a prompt or an
//! answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tracing::{Level, Metadata, error};
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// The namespace of Docket's metrics.
const NAMESPACE: &str = "Docket";

/// Starts the log. `RUST_LOG` sets what is told, `info` otherwise.
///
/// Other crates are held at `info` whatever it says: below that, some of them
/// write requests and events out whole.
///
/// A panic is told by its place alone: its message may quote what it broke on.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        error!(place = panic.location().map(ToString::to_string), "panic");
    }));
    let told = std::env::var("RUST_LOG").ok().and_then(|told| told.parse::<Targets>().ok());
    let wanted = told.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::registry().with(lines.with_filter(wanted.and(filter_fn(may_be_told)))).init();
}

fn may_be_told(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("docket")
}

/// Writes one line in CloudWatch's embedded metric format: each count by its
/// name, with the function as dimension.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
pub fn metrics(function: &str, now_ms: i64, counts: &BTreeMap<&'static str, u64>) {
    if !counts.is_empty() {
        println!("{}", metrics_line(function, now_ms, counts));
    }
}

fn metrics_line(function: &str, now_ms: i64, counts: &BTreeMap<&'static str, u64>) -> Value {
    let definitions: Vec<Value> = counts.keys().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": definitions}]
        },
        "FunctionName": function,
    });
    for (name, count) in counts {
        line[name] = json!(count);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_named_has_its_value() {
        let line = metrics_line("consumer", 1, &BTreeMap::from([("completed", 7), ("throttled", 1)]));
        let names: Vec<&str> = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| metric["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["completed", "throttled"]);
        assert_eq!(line["completed"], 7);
    }
}
