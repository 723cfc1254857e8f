//! The output objects of long invocations.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use serde::Serialize;

use super::Unavailable;
use super::s3::s3;
use crate::domain::limits::ASYNC_OBJECTS_MAX;

/// Lists the output objects of invocations.
#[derive(Debug, Clone)]
pub struct OutputObjects {
    client: Client,
}

impl OutputObjects {
    /// A client for every bucket that the role may list.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: s3(config) }
    }

    /// Lists the output of an invocation, at most [`ASYNC_OBJECTS_MAX`] objects.
    /// `output_uri` names a folder: `s3://bucket/prefix`.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
    pub async fn list(&self, output_uri: &str) -> Result<Output, Unavailable> {
        let location = output_uri.strip_prefix("s3://").unwrap_or(output_uri).trim_end_matches('/');
        let (bucket, folder) = location.split_once('/').unwrap_or((location, ""));
        let response = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(format!("{folder}/"))
            .max_keys(ASYNC_OBJECTS_MAX as i32)
            .send()
            .await
            .map_err(|error| Unavailable::new("s3:ListObjectsV2", &error))?;
        let has_more = response.is_truncated().unwrap_or_default();
        let objects = response.contents.unwrap_or_default().into_iter().filter_map(|object| {
            Some(OutputObject { key: object.key?, size_bytes: object.size.and_then(|size| size.try_into().ok())? })
        });
        Ok(Output { s3_uri: output_uri.to_owned(), objects: objects.collect(), has_more })
    }
}

/// The output of an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The folder of all objects: `s3://bucket/prefix`.
    pub s3_uri: String,
    /// The objects, in the order of their keys.
    pub objects: Vec<OutputObject>,
    /// Whether the folder has more objects than `objects` names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_more: bool,
}

/// One object of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputObject {
    /// The key in the bucket.
    pub key: String,
    /// The size in bytes.
    pub size_bytes: u64,
}
