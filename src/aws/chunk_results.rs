//! The results of a long document's chunks, in the documents bucket.
//!
//! The consumer stores each result as soon as the model has answered. A later attempt
//! reads the stored results and makes no call for their chunks.

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CONNECT_TIMEOUT, Unavailable, code_of};
use crate::domain::job::stored::Usage;
use crate::domain::limits::{CHUNK_STORE_TIMEOUT, RESULT_MAX_BYTES};

/// The largest stored result that is read, in bytes. A result's JSON may be longer than
/// [`RESULT_MAX_BYTES`], which counts bytes as DynamoDB does.
const STORED_MAX_BYTES: i64 = 2 * RESULT_MAX_BYTES as i64;

/// Stores and loads the results of chunks.
#[derive(Debug, Clone)]
pub struct ChunkResults {
    client: Client,
    bucket: String,
}

/// The version of stored results. A result with a higher version is not used.
const STORED_VERSION: u32 = 1;

/// A result as the bucket stores it.
#[derive(Debug, Serialize)]
struct Stored<'a> {
    version: u32,
    #[serde(flatten)]
    result: &'a ChunkResult,
}

/// The result of the call for one chunk, or of a call that joins results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkResult {
    /// The model's answer.
    pub result: Value,
    /// Whether the JSON form of the answer was repaired.
    #[serde(default)]
    pub repaired: bool,
    /// The tokens of the call.
    pub usage: Usage,
    /// Bedrock's stop reason.
    pub stop_reason: String,
}

impl ChunkResults {
    /// Results in `bucket`. Each operation ends within [`CHUNK_STORE_TIMEOUT`].
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        let own = aws_sdk_s3::config::Builder::from(config)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(CHUNK_STORE_TIMEOUT)
                    .operation_timeout(CHUNK_STORE_TIMEOUT)
                    .build(),
            )
            .build();
        Self { client: Client::from_conf(own), bucket }
    }

    /// Loads a result; `None` if no object has this key, or if the object is no result.
    pub async fn get(&self, key: &str) -> Result<Option<ChunkResult>, Unavailable> {
        let read = async {
            let object = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
                Ok(object) => object,
                Err(error) if code_of(&error) == "NoSuchKey" => return Ok(None),
                Err(error) => return Err(Unavailable::new("s3:GetObject", &error)),
            };
            if object.content_length().is_none_or(|length| length > STORED_MAX_BYTES) {
                return Ok(None);
            }
            let bytes = object.body.collect().await;
            Ok(bytes.ok().and_then(|bytes| parse(&bytes.into_bytes())))
        };
        let timeout = |_| Unavailable { service: "s3:GetObject", code: "Timeout".to_owned() };
        tokio::time::timeout(CHUNK_STORE_TIMEOUT, read).await.map_err(timeout)?
    }

    /// Stores a result, and replaces an object with the same key.
    pub async fn put(&self, key: &str, result: &ChunkResult) -> Result<(), Unavailable> {
        let json = serde_json::to_vec(&Stored { version: STORED_VERSION, result }).expect("Docket's types serialize");
        let request = self.client.put_object().bucket(&self.bucket).key(key).content_type("application/json");
        let response = request.body(ByteStream::from(json)).send().await;
        response.map(drop).map_err(|error| Unavailable::new("s3:PutObject", &error))
    }
}

/// Reads a stored result; `None` if it is damaged or of a newer version.
fn parse(bytes: &[u8]) -> Option<ChunkResult> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        version: u32,
    }
    // The version is read first: `flatten` would read numbers less exactly.
    let Version { version } = serde_json::from_slice(bytes).ok()?;
    if version > STORED_VERSION {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stored_result_of_a_newer_version_is_not_used() {
        let usage = Usage { input_tokens: 1, output_tokens: 2 };
        let result =
            ChunkResult { result: json!({"a": 0.1}), repaired: false, usage, stop_reason: "tool_use".to_owned() };
        let stored = |version| serde_json::to_vec(&Stored { version, result: &result }).unwrap();
        assert_eq!(parse(&stored(STORED_VERSION)).as_ref(), Some(&result));
        assert_eq!(parse(&stored(STORED_VERSION + 1)), None);
        assert_eq!(parse(b"{"), None);
    }
}
