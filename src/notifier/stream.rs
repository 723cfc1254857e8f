//! The event of a table's stream, as far as it is read, and the answer to it.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Changes of the table's rows, in the order of their shard.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    pub(super) records: Vec<Record>,
}

/// One change.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub dynamodb: Change,
}

/// The row before and after.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Change {
    pub sequence_number: String,
    #[serde(default)]
    pub old_image: Value,
    #[serde(default)]
    pub new_image: Value,
}

/// The changes that are wanted again. Lambda goes back to the first of them, and
/// gives that one and all after it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamResponse {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl StreamResponse {
    /// Names the changes by their sequence numbers.
    pub(super) fn again(sequence_numbers: impl IntoIterator<Item = String>) -> Self {
        let failures = sequence_numbers.into_iter().map(|item_identifier| Failure { item_identifier });
        Self { batch_item_failures: failures.collect() }
    }
}
