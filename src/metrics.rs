//! The metrics: one line a batch in CloudWatch's embedded metric format.

use std::collections::BTreeMap;

use serde::Serialize;

/// The namespace of Docket's metrics.
pub const NAMESPACE: &str = "Docket";

/// The metric of [`write_causes`].
const RETRIES_BY_CAUSE: &str = "retries_by_cause";

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

/// Writes one line for each cause: how many messages were retried because of it, with the
/// function and the cause as dimensions.
pub fn write_causes(function: &str, now_ms: i64, causes: &BTreeMap<String, u64>) {
    for (cause, count) in causes {
        println!("{}", cause_line(function, now_ms, cause, *count));
    }
}

fn metrics_line(function: &str, now_ms: i64, counts: &Counts, properties: &[(&'static str, u64)]) -> String {
    let values = counts.iter().map(|(name, count)| (*name, *count)).chain(properties.iter().copied()).collect();
    let dimensions = vec!["FunctionName"];
    Line::new(now_ms, function, None, dimensions, counts.keys().copied(), values).into_json()
}

fn cause_line(function: &str, now_ms: i64, cause: &str, count: u64) -> String {
    let (dimensions, values) = (vec!["FunctionName", "Cause"], Counts::from([(RETRIES_BY_CAUSE, count)]));
    Line::new(now_ms, function, Some(cause), dimensions, [RETRIES_BY_CAUSE].into_iter(), values).into_json()
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metadata: Embedded,
    #[serde(rename = "FunctionName")]
    function: &'a str,
    #[serde(rename = "Cause", skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(flatten)]
    values: Counts,
}

impl<'a> Line<'a> {
    fn new(
        now_ms: i64,
        function: &'a str,
        cause: Option<&'a str>,
        dimensions: Vec<&'static str>,
        names: impl Iterator<Item = &'static str>,
        values: Counts,
    ) -> Self {
        let metrics = names.map(|name| Definition { name, unit: "Count" }).collect();
        let named = [Named { namespace: NAMESPACE, dimensions: [dimensions], metrics }];
        Self { metadata: Embedded { timestamp: now_ms, metrics: named }, function, cause, values }
    }

    fn into_json(self) -> String {
        serde_json::to_string(&self).expect("our own types serialize")
    }
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
    dimensions: [Vec<&'static str>; 1],
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
    fn cause_of_retries_is_a_dimension() {
        let line: serde_json::Value =
            serde_json::from_str(&cause_line("consumer", 1, "s3:PutObject/AccessDenied", 3)).unwrap();
        let named = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(named["Dimensions"], serde_json::json!([["FunctionName", "Cause"]]));
        assert_eq!(named["Metrics"][0]["Name"], "retries_by_cause");
        assert_eq!((&line["Cause"], &line["retries_by_cause"]), (&"s3:PutObject/AccessDenied".into(), &3.into()));
    }

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
