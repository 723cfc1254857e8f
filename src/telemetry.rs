//! What is told: JSON lines for CloudWatch Logs and one line of metrics a
//! batch. Ids, sizes, counts, times and codes; never a document, a prompt or an
//! answer.

use std::collections::BTreeMap;

use serde::Serialize;
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

fn metrics_line(function: &str, now_ms: i64, counts: &Counts, beside: &[(&'static str, u64)]) -> String {
    let metrics = counts.keys().map(|name| Definition { name, unit: "Count" }).collect();
    let named = [Named { namespace: NAMESPACE, dimensions: [["FunctionName"]], metrics }];
    let values = counts.iter().map(|(name, count)| (*name, *count)).chain(beside.iter().copied()).collect();
    let line = Line { metadata: Embedded { timestamp: now_ms, metrics: named }, function, values };
    serde_json::to_string(&line).expect("our own types serialize")
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metadata: Embedded,
    #[serde(rename = "FunctionName")]
    function: &'a str,
    #[serde(flatten)]
    values: Counts,
}

#[derive(Serialize)]
struct Embedded {
    #[serde(rename = "Timestamp")]
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: [Named; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_named_has_its_value() {
        let line =
            metrics_line("consumer", 1, &Counts::from([("completed", 7), ("throttled", 1)]), &[("elapsed_ms", 5)]);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let names: Vec<&str> = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| metric["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["completed", "throttled"]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([["FunctionName"]]));
        assert_eq!(line["completed"], 7);
        assert_eq!(line["elapsed_ms"], 5);
    }
}
