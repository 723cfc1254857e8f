//! The event of a DynamoDB stream, as far as the notifier reads it, and the response
//! to Lambda.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Changes of the table's items, in the order of their shard.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    pub(super) records: Vec<Record>,
}

/// One record of the stream.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub dynamodb: Change,
}

/// An item before and after a change, in DynamoDB's JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Change {
    pub sequence_number: String,
    #[serde(default)]
    pub old_image: Value,
    #[serde(default)]
    pub new_image: Value,
}

/// The records that failed. Lambda retries the first of them and every later record of
/// the shard.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamResponse {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

impl StreamResponse {
    /// Names the failed records by their sequence numbers.
    pub(super) fn from_failures(sequence_numbers: impl IntoIterator<Item = String>) -> Self {
        let failures = sequence_numbers.into_iter().map(|item_identifier| BatchItemFailure { item_identifier });
        Self { batch_item_failures: failures.collect() }
    }
}
