//! What is told: JSON lines for CloudWatch Logs and one line of metrics a
//! batch. Ids, sizes, counts, times and codes; never a document, a prompt or an
//! answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tracing::{Level, Metadata, error};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The namespace of Docket's metrics.
const NAMESPACE: &str = "Docket";

/// How many of what.
pub type Counts = BTreeMap<&'static str, u64>;

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
    tracing_subscriber::registry().with(wanted).with(filter_fn(may_be_told)).with(lines).init();
}

/// No line names a span, and so none is kept.
fn may_be_told(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && (*metadata.level() <= Level::INFO || metadata.target().starts_with("docket"))
}

/// Writes one line in CloudWatch's embedded metric format: each count by its
/// name, with the function as dimension, and beside them what is told in the log
/// and no metric.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
pub fn metrics(function: &str, now_ms: i64, counts: &Counts, beside: &[(&'static str, u64)]) {
    if !counts.is_empty() {
        println!("{}", metrics_line(function, now_ms, counts, beside));
    }
}

fn metrics_line(function: &str, now_ms: i64, counts: &Counts, beside: &[(&'static str, u64)]) -> Value {
    let definitions: Vec<Value> = counts.keys().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": definitions}]
        },
        "FunctionName": function,
    });
    let counts = counts.iter().map(|(name, count)| (*name, *count));
    for (name, value) in counts.chain(beside.iter().copied()) {
        line[name] = json!(value);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_named_has_its_value() {
        let line =
            metrics_line("consumer", 1, &Counts::from([("completed", 7), ("throttled", 1)]), &[("elapsed_ms", 5)]);
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
