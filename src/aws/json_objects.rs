//! JSON objects in the documents bucket: results that are too large for the stored
//! job, and requests of long invocations.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use serde_json::Value;

use super::Unavailable;
use super::s3::{OBJECT_TIMEOUT, put, s3};
use crate::domain::document::location::S3Location;
use crate::domain::document::sha256_hex;

const GET: &str = "s3:GetObject";

/// Stores and loads JSON objects of one bucket.
#[derive(Debug, Clone)]
pub struct JsonObjects {
    client: Client,
    bucket: String,
}

impl JsonObjects {
    /// Stores into `bucket`; loads from any bucket that the role may read.
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        Self { client: s3(config), bucket }
    }

    /// Stores JSON under a key of the bucket, and returns the object's location with its
    /// version and SHA-256.
    pub async fn store(&self, key: &str, json: &Value) -> Result<S3Location, Unavailable> {
        let json = json.to_string().into_bytes();
        let sha256 = sha256_hex(&json);
        put(&self.client, &self.bucket, key, "application/json", json, sha256).await
    }

    /// Loads JSON within `OBJECT_TIMEOUT`.
    ///
    /// # Errors
    /// [`Unavailable`]: with S3's code, or with `UnreadableJson` if the object is incomplete,
    /// is no JSON, or does not match the SHA-256 of the location.
    pub async fn load(&self, at: &S3Location) -> Result<Value, Unavailable> {
        let unreadable = || Unavailable { service: GET, code: "UnreadableJson".to_owned() };
        let request = self.client.get_object().bucket(&at.bucket).key(&at.key).set_version_id(at.version_id.clone());
        let read = async {
            let object = request.send().await.map_err(|error| Unavailable::new(GET, &error))?;
            object.body.collect().await.map_err(|_| unreadable())
        };
        // The SDK's time-outs end when the response body begins.
        let bytes = tokio::time::timeout(OBJECT_TIMEOUT, read).await.map_err(|_| unreadable())??.into_bytes();
        match serde_json::from_slice(&bytes) {
            Ok(json) if at.sha256.as_ref().is_none_or(|sha256| *sha256 == sha256_hex(&bytes)) => Ok(json),
            _ => Err(unreadable()),
        }
    }
}
