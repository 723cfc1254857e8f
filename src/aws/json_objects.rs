//! JSON objects in the documents bucket: results that are too large for the stored
//! job, and requests for long invocations.

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

    /// Stores JSON under a key.
    pub async fn store(&self, key: &str, json: &Value) -> Result<S3Location, Unavailable> {
        let json = json.to_string().into_bytes();
        let sha256 = sha256_hex(&json);
        put(&self.client, &self.bucket, key, "application/json", json, sha256).await
    }

    /// Loads what [`JsonObjects::store`] stored.
    pub async fn load(&self, at: &S3Location) -> Result<Value, Unavailable> {
        let broken = || Unavailable { service: GET, code: "UnreadableJson".to_owned() };
        let request = self.client.get_object().bucket(&at.bucket).key(&at.key).set_version_id(at.version_id.clone());
        let read = async {
            let object = request.send().await.map_err(|error| Unavailable::new(GET, &error))?;
            object.body.collect().await.map_err(|_| broken())
        };
        // The SDK's time-outs do not cover the body.
        let bytes = tokio::time::timeout(OBJECT_TIMEOUT, read).await.map_err(|_| broken())??.into_bytes();
        match serde_json::from_slice(&bytes) {
            Ok(json) if at.sha256.as_ref().is_none_or(|sha256| *sha256 == sha256_hex(&bytes)) => Ok(json),
            _ => Err(broken()),
        }
    }
}
