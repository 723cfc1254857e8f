//! The results of a long document's parts, in the documents' bucket. Each is
//! there as soon as it is known, so that no later attempt pays for it again.

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CONNECT_TIMEOUT, Unavailable, code_of};
use crate::domain::job::stored::Usage;
use crate::domain::limits::{CHUNK_STORE_TIMEOUT, RESULT_MAX_BYTES};

/// Most bytes of a stored result: JSON may take more than the table reckons.
const STORED_MAX_BYTES: i64 = 2 * RESULT_MAX_BYTES as i64;

/// Keeps the results of parts.
#[derive(Debug, Clone)]
pub struct ChunkResults {
    client: Client,
    bucket: String,
}

/// The result of one call of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkResult {
    /// The answer.
    pub result: Value,
    /// What it took.
    pub usage: Usage,
    /// Why the model stopped, in Bedrock's words.
    pub stop_reason: String,
}

impl ChunkResults {
    /// Each operation ends within [`CHUNK_STORE_TIMEOUT`].
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

    /// Reads a result; `None` when there is none, or what is there is none.
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
            Ok(bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes.into_bytes()).ok()))
        };
        let timeout = |_| Unavailable { service: "s3:GetObject", code: "Timeout".to_owned() };
        tokio::time::timeout(CHUNK_STORE_TIMEOUT, read).await.map_err(timeout)?
    }

    /// Stores a result, over whatever lies there.
    pub async fn put(&self, key: &str, result: &ChunkResult) -> Result<(), Unavailable> {
        let json = serde_json::to_vec(result).expect("our own types serialize");
        let request = self.client.put_object().bucket(&self.bucket).key(key).content_type("application/json");
        let answer = request.body(ByteStream::from(json)).send().await;
        answer.map(drop).map_err(|error| Unavailable::new("s3:PutObject", &error))
    }
}
