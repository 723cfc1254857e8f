//! The measures of one invocation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::line::{Group, Measured, lines};
use super::table::Metric;

/// Gathers the metrics of one invocation. Clones share the values.
///
/// An execution environment has one invocation at a time, so the values belong to it.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// By the value of the second dimension; `None` for metrics with one dimension.
    groups: Arc<Mutex<BTreeMap<Option<String>, Group>>>,
}

impl Meter {
    /// Adds to a count. Adding 0 writes the count even if it stays 0.
    pub fn add(&self, metric: Metric, count: u64) {
        self.change(metric, None, Measured::Count(0), |measured| {
            if let Measured::Count(sum) = measured {
                *sum = sum.saturating_add(count);
            }
        });
    }

    /// Adds to the count of one value of the metric's second dimension.
    pub fn add_for(&self, metric: Metric, second: &str, count: u64) {
        self.change(metric, Some(second), Measured::Count(0), |measured| {
            if let Measured::Count(sum) = measured {
                *sum = sum.saturating_add(count);
            }
        });
    }

    /// Records a value of which the largest in the invocation counts.
    pub fn raise(&self, metric: Metric, value: f64) {
        self.change(metric, None, Measured::Largest(value), |measured| {
            if let Measured::Largest(largest) = measured {
                *largest = largest.max(value);
            }
        });
    }

    /// Records one of several values, for percentiles.
    pub fn sample(&self, metric: Metric, value: u64) {
        self.change(metric, None, Measured::Samples(Vec::new()), |measured| {
            if let Measured::Samples(samples) = measured {
                samples.push(value);
            }
        });
    }

    fn change(&self, metric: Metric, second: Option<&str>, first: Measured, change: impl FnOnce(&mut Measured)) {
        let mut groups = self.groups();
        let group = groups.entry(second.map(str::to_owned)).or_default();
        change(&mut group.entry(metric.name).or_insert((metric, first)).1);
    }

    /// Prints the metrics so far, and begins anew. `properties` appear in the line of the
    /// metrics with one dimension, and are no metrics. Without a metric, nothing is printed.
    pub fn print(&self, function: &str, now_ms: i64, properties: &[(&'static str, u64)]) {
        for line in self.take_lines(function, now_ms, properties) {
            println!("{line}");
        }
    }

    fn take_lines(&self, function: &str, now_ms: i64, properties: &[(&'static str, u64)]) -> Vec<String> {
        let groups = std::mem::take(&mut *self.groups());
        let of_group = |(second, group): &(Option<String>, Group)| {
            let properties = if second.is_none() { properties } else { &[] };
            lines(function, now_ms, second.as_deref(), group, properties)
        };
        groups.into_iter().collect::<Vec<_>>().iter().flat_map(of_group).collect()
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<Option<String>, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::metrics::table;

    fn take_values(meter: &Meter) -> Vec<Value> {
        let lines = meter.take_lines("consumer", 1, &[("elapsed_ms", 5)]);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn metrics_of_one_dimension_share_a_line() {
        let meter = Meter::default();
        meter.add(table::named("completed"), 7);
        meter.clone().add(table::JOBS_ENDED, 0);
        meter.raise(table::OLDEST_MESSAGE_SECONDS, 3.5);
        meter.raise(table::OLDEST_MESSAGE_SECONDS, 2.0);
        let lines = take_values(&meter);
        assert_eq!(lines.len(), 1);
        let named = &lines[0]["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&named["Namespace"], &named["Dimensions"]), (&json!("Docket"), &json!([["FunctionName"]])));
        let definitions = json!([
            {"Name": "completed", "Unit": "Count"},
            {"Name": "jobs_ended", "Unit": "Count"},
            {"Name": "oldest_message_seconds", "Unit": "Seconds"},
        ]);
        assert_eq!(named["Metrics"], definitions);
        let values = ["FunctionName", "completed", "jobs_ended", "oldest_message_seconds", "elapsed_ms"];
        assert_eq!(
            values.map(|name| lines[0][name].clone()),
            [json!("consumer"), json!(7), json!(0), json!(3.5), json!(5)]
        );
        assert_eq!(take_values(&meter), Vec::<Value>::new(), "the next invocation begins anew");
    }

    #[test]
    fn second_dimension_has_a_line_for_each_value() {
        let meter = Meter::default();
        meter.add_for(table::RETRIES_BY_CAUSE, "s3:PutObject/AccessDenied", 2);
        meter.add_for(table::RETRIES_BY_CAUSE, "s3:PutObject/AccessDenied", 1);
        meter.add_for(table::RETRIES_BY_CAUSE, "throttling_exception", 1);
        let lines = take_values(&meter);
        let causes: Vec<_> = lines.iter().map(|line| (&line["Cause"], &line["retries_by_cause"])).collect();
        let expected = [(json!("s3:PutObject/AccessDenied"), json!(3)), (json!("throttling_exception"), json!(1))];
        assert_eq!(causes, expected.iter().map(|(cause, count)| (cause, count)).collect::<Vec<_>>());
        let dimensions = &lines[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*dimensions, json!([["FunctionName", "Cause"]]));
    }

    #[test]
    fn line_has_at_most_a_hundred_values_of_a_metric() {
        let meter = Meter::default();
        (0..250).for_each(|value| meter.sample(table::MODEL_LATENCY_MS, value));
        meter.add(table::MODEL_CALLS, 250);
        let lines = take_values(&meter);
        let sizes: Vec<usize> = lines.iter().map(|line| line["model_latency_ms"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let counted: Vec<&Value> = lines.iter().map(|line| &line["model_calls"]).collect();
        assert_eq!(counted, [&json!(250), &Value::Null, &Value::Null], "a count is written once");
        assert_eq!(lines[1]["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len(), 1);
    }
}
