//! The output objects of long invocations.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use serde::Serialize;

use super::Unavailable;
use super::s3::s3;
use crate::domain::limits::ASYNC_OBJECTS_MAX;

/// Lists the outputs of invocations.
#[derive(Debug, Clone)]
pub struct OutputObjects {
    client: Client,
}

impl OutputObjects {
    /// Lists any bucket that the role may list.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: s3(config) }
    }

    /// Lists the output of an invocation, at most [`ASYNC_OBJECTS_MAX`] objects:
    /// `output_uri` is `s3://bucket/prefix`, and a folder.
    pub async fn list(&self, output_uri: &str) -> Result<Output, Unavailable> {
        let place = output_uri.strip_prefix("s3://").unwrap_or(output_uri).trim_end_matches('/');
        let (bucket, folder) = place.split_once('/').unwrap_or((place, ""));
        let answer = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(format!("{folder}/"))
            .max_keys(ASYNC_OBJECTS_MAX as i32)
            .send()
            .await
            .map_err(|error| Unavailable::new("s3:ListObjectsV2", &error))?;
        let has_more = answer.is_truncated().unwrap_or_default();
        let objects = answer.contents.unwrap_or_default().into_iter().filter_map(|object| {
            Some(OutputObject { key: object.key?, size_bytes: object.size.and_then(|size| size.try_into().ok())? })
        });
        Ok(Output { s3_uri: output_uri.to_owned(), objects: objects.collect(), has_more })
    }
}

/// The objects of an invocation's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// What all of them lie under.
    pub s3_uri: String,
    /// Each by its key in the bucket.
    pub objects: Vec<OutputObject>,
    /// There are more than are named here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_more: bool,
}

/// One object of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct OutputObject {
    pub key: String,
    pub size_bytes: u64,
}
