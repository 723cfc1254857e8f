//! The metrics: one line a batch in CloudWatch's embedded metric format.

use std::collections::BTreeMap;

use serde::Serialize;

/// The namespace of Docket's metrics.
pub const NAMESPACE: &str = "Docket";

/// Counts by metric name.
pub type Counts = BTreeMap<&'static str, u64>;

/// Writes one line of metrics: each count by its name, with the function as its
/// dimension. `properties` appear in the line and are no metrics. Without a count,
/// nothing is written.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
pub fn write(function: &str, now_ms: i64, counts: &Counts, properties: &[(&'static str, u64)]) {
    if !counts.is_empty() {
        println!("{}", metrics_line(function, now_ms, counts, properties));
    }
}

fn metrics_line(function: &str, now_ms: i64, counts: &Counts, properties: &[(&'static str, u64)]) -> String {
    let metrics = counts.keys().map(|name| Definition { name, unit: "Count" }).collect();
    let named = [Named { namespace: NAMESPACE, dimensions: [["FunctionName"]], metrics }];
    let values = counts.iter().map(|(name, count)| (*name, *count)).chain(properties.iter().copied()).collect();
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
    fn every_metric_of_the_line_has_its_value() {
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
