//! An event bus, and a queue that hears what is told on it.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::Target;
use serde_json::{Value, json};

use crate::unique;

/// A queue that hears what a rule lets through.
pub struct Listener {
    sdk: SdkConfig,
    url: String,
}

impl Listener {
    /// Listens on a bus for what fits a pattern.
    pub async fn on(sdk: &SdkConfig, bus: &str, pattern: Value) -> Self {
        let name = unique("heard");
        let sqs = aws_sdk_sqs::Client::new(sdk);
        let url = sqs.create_queue().queue_name(&name).send().await.expect("a queue").queue_url.expect("a URL");
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        attach(sdk, bus, pattern, Target::builder().id("queue").arn(arn).build().expect("whole")).await;
        Self { sdk: sdk.clone(), url }
    }

    /// Takes out what has been heard by now, in the order of its coming.
    pub async fn received(&self) -> Vec<Value> {
        let letters = super::aws::letters(&self.sdk, &self.url).await;
        letters.iter().map(|letter| serde_json::from_str(&letter.body).expect("an event is JSON")).collect()
    }
}

/// A bus that one test has for itself; its name.
pub async fn bus(sdk: &SdkConfig) -> String {
    let name = unique("bus");
    aws_sdk_eventbridge::Client::new(sdk).create_event_bus().name(&name).send().await.expect("a bus");
    name
}

/// Attaches a target to a bus, for what fits a pattern.
pub async fn attach(sdk: &SdkConfig, bus: &str, pattern: Value, target: Target) {
    let (client, rule) = (aws_sdk_eventbridge::Client::new(sdk), unique("rule"));
    let pattern = pattern.to_string();
    client.put_rule().name(&rule).event_bus_name(bus).event_pattern(pattern).send().await.expect("a rule");
    let answer = client.put_targets().rule(&rule).event_bus_name(bus).targets(target).send().await.expect("a target");
    assert_eq!(answer.failed_entry_count, 0, "{answer:?}");
}

/// What Docket tells, all of it.
pub fn everything() -> Value {
    json!({"source": ["docket"]})
}

/// Whether an event tells of a batch's end.
pub fn is_of_a_batch(event: &Value) -> bool {
    assert_eq!((&event["source"], &event["detail"]["version"]), (&json!("docket"), &json!("1")));
    match event["detail-type"].as_str() {
        Some("Docket Batch Finished") => true,
        Some("Docket Job Finished") => false,
        other => panic!("{other:?} is no news of Docket's"),
    }
}
