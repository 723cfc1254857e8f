//! An event bus, and a queue that receives the events on it.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::Target;
use serde_json::{Value, json};

use crate::unique;

/// A queue that is the target of a rule on a bus.
pub struct Listener {
    sdk: SdkConfig,
    url: String,
}

impl Listener {
    /// Sends the events of a bus that match `pattern` to a new queue.
    pub async fn on(sdk: &SdkConfig, bus: &str, pattern: Value) -> Self {
        let name = unique("events");
        let sqs = aws_sdk_sqs::Client::new(sdk);
        let url = sqs.create_queue().queue_name(&name).send().await.expect("a queue").queue_url.expect("a queue URL");
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        let target = Target::builder().id("queue").arn(arn).build().expect("a complete target");
        attach_target(sdk, bus, pattern, target).await;
        Self { sdk: sdk.clone(), url }
    }

    /// Returns and deletes the events that arrived so far, in the order of arrival.
    pub async fn received(&self) -> Vec<Value> {
        let messages = super::aws::drain_messages(&self.sdk, &self.url).await;
        messages.iter().map(|message| serde_json::from_str(&message.body).expect("an event is JSON")).collect()
    }
}

/// Creates a bus for one test, and returns its name.
pub async fn create_bus(sdk: &SdkConfig) -> String {
    let name = unique("bus");
    aws_sdk_eventbridge::Client::new(sdk).create_event_bus().name(&name).send().await.expect("the bus is created");
    name
}

/// Attaches a target to a bus, for the events that match `pattern`.
pub async fn attach_target(sdk: &SdkConfig, bus: &str, pattern: Value, target: Target) {
    let (client, rule) = (aws_sdk_eventbridge::Client::new(sdk), unique("rule"));
    let pattern = pattern.to_string();
    client.put_rule().name(&rule).event_bus_name(bus).event_pattern(pattern).send().await.expect("the rule is created");
    let response = client.put_targets().rule(&rule).event_bus_name(bus).targets(target).send().await;
    let response = response.expect("the target is attached");
    assert_eq!(response.failed_entry_count, 0, "{response:?}");
}

/// The pattern of all events that Docket publishes.
pub fn docket_events() -> Value {
    json!({"source": ["docket"]})
}

/// Whether an event reports the end of a batch; otherwise it reports the end of a job.
///
/// # Panics
/// If the event is not one of Docket's.
pub fn is_batch_event(event: &Value) -> bool {
    assert_eq!((&event["source"], &event["detail"]["version"]), (&json!("docket"), &json!("1")));
    match event["detail-type"].as_str() {
        Some("Docket Batch Finished") => true,
        Some("Docket Job Finished") => false,
        other => panic!("{other:?} is not an event of Docket"),
    }
}
