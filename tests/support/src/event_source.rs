//! Event source mappings and trace headers, as Lambda has them.
//!
//! Lambda counts the invocations of a chain in the field Lineage of the trace header. AWS
//! does not document the form of the field. `tools/ministack/patches/recursive_loops.py`
//! describes the form that the local AWS and this module use.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::World;
use crate::function::Function;

/// The length of a chain of invocations after which Lambda stops a recursive loop. AWS
/// says "approximately".
pub const CHAIN_MAX: u32 = 16;

/// The trace header of the invocation by this event. It continues the longest chain
/// among the event's queue messages.
pub fn trace_header(event: &Value) -> String {
    let records = event["Records"].as_array().into_iter().flatten();
    let headers = records.filter_map(|record| record["attributes"]["AWSTraceHeader"].as_str());
    let longest = headers.max_by_key(|header| count_invocations(header)).unwrap_or_default();
    let root = field(longest, "Root").unwrap_or("1-00000000-000000000000000000000000");
    let lineage = format!("{}:00000000:0", count_invocations(longest) + 1);
    format!("Root={root};Parent=0000000000000000;Sampled=0;Lineage={lineage}")
}

/// The number of invocations in the chain of a trace header.
pub fn count_invocations(header: &str) -> u32 {
    let count = field(header, "Lineage").and_then(|lineage| lineage.split(':').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').filter_map(|field| field.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
}

/// Invokes the consumer once with messages of the jobs queue, and deletes the messages
/// that the consumer acknowledged.
pub async fn deliver_records(world: &World, consumer: &Function, records: Vec<Value>, time: Duration) {
    let answer = consumer.invoke(json!({"Records": records}), time).await.expect("a response");
    let failed: HashSet<&str> =
        answer["batchItemFailures"].as_array().unwrap().iter().filter_map(|f| f["itemIdentifier"].as_str()).collect();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk);
    for record in records.iter().filter(|record| !failed.contains(record["messageId"].as_str().unwrap())) {
        let receipt = record["receiptHandle"].as_str().unwrap();
        sqs.delete_message().queue_url(&world.queue).receipt_handle(receipt).send().await.expect("deleted");
    }
}
