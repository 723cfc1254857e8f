//! One line of metrics.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::table::{Metric, NAMESPACE};

/// Most values of one metric in one line. CloudWatch Logs refuses more.
const VALUES_MAX: usize = 100;

/// The value of a metric in one invocation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measured {
    /// A sum.
    Count(u64),
    /// The largest value.
    Largest(f64),
    /// Each value, for percentiles.
    Samples(Vec<u64>),
}

/// The metrics of one line: they have the same dimensions, and the same values of these.
pub(super) type Group = BTreeMap<&'static str, (Metric, Measured)>;

/// The lines of a group of metrics. `second` is the value of the second dimension, if the
/// metrics have one. `properties` are in the first line, and are no metrics.
pub(super) fn lines(
    function: &str,
    now_ms: i64,
    second: Option<&str>,
    group: &Group,
    properties: &[(&'static str, u64)],
) -> Vec<String> {
    let count = group.values().map(|(_, measured)| line_count(measured)).max().unwrap_or(0);
    (0..count)
        .map(|number| {
            let properties = if number == 0 { properties } else { &[] };
            line(function, now_ms, second, group, number, properties)
        })
        .collect()
}

fn line_count(measured: &Measured) -> usize {
    match measured {
        Measured::Count(_) | Measured::Largest(_) => 1,
        Measured::Samples(samples) => samples.len().div_ceil(VALUES_MAX),
    }
}

fn line(
    function: &str,
    now_ms: i64,
    second: Option<&str>,
    group: &Group,
    number: usize,
    properties: &[(&'static str, u64)],
) -> String {
    let mut values = serde_json::Map::new();
    let (mut definitions, mut dimensions) = (Vec::new(), vec!["FunctionName"]);
    values.insert("FunctionName".to_owned(), json!(function));
    for (metric, measured) in group.values() {
        let Some(value) = value_in_line(measured, number) else { continue };
        if let (Some(dimension), Some(second), 1) = (metric.dimension, second, dimensions.len()) {
            dimensions.push(dimension.as_str());
            values.insert(dimension.as_str().to_owned(), json!(second));
        }
        definitions.push(json!({"Name": metric.name, "Unit": metric.unit.as_str()}));
        values.insert(metric.name.to_owned(), value);
    }
    for (name, value) in properties {
        values.insert((*name).to_owned(), json!(value));
    }
    let named = json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": definitions});
    values.insert("_aws".to_owned(), json!({"Timestamp": now_ms, "CloudWatchMetrics": [named]}));
    Value::Object(values).to_string()
}

fn value_in_line(measured: &Measured, number: usize) -> Option<Value> {
    match (measured, number) {
        (Measured::Count(count), 0) => Some(json!(count)),
        (Measured::Largest(value), 0) => Some(json!(value)),
        (Measured::Count(_) | Measured::Largest(_), _) => None,
        (Measured::Samples(samples), _) => samples.chunks(VALUES_MAX).nth(number).map(|samples| json!(samples)),
    }
}
