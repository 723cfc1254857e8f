//! The documents of presigned uploads, found by their job.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;

use super::Unavailable;
use super::s3::s3;
use crate::domain::document::location::S3Location;
use crate::domain::ids::JobId;
use crate::domain::job::priority::Priority;
use crate::domain::message::s3_event::incoming_key;

/// The version id of an object from before the bucket had versions.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html>
const UNVERSIONED: &str = "null";

/// Finds uploaded documents in one bucket.
#[derive(Debug, Clone)]
pub struct UploadedObjects {
    client: Client,
    bucket: String,
}

impl UploadedObjects {
    /// Finds documents in `bucket`.
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        Self { client: s3(config), bucket }
    }

    /// The document that was uploaded for a job; `None` if none has arrived.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
    pub async fn find(&self, job_id: &JobId, priority: Priority) -> Result<Option<S3Location>, Unavailable> {
        let folder = incoming_key(job_id, priority, "");
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(folder).max_keys(1);
        let response = request.send().await.map_err(|error| Unavailable::new("s3:ListObjectsV2", &error))?;
        let key = response.contents.unwrap_or_default().into_iter().find_map(|object| object.key);
        let Some(key) = key else { return Ok(None) };
        // The message must name the version, as the upload's S3 event does.
        let head = self.client.head_object().bucket(&self.bucket).key(&key).send().await;
        match head {
            Ok(head) => Ok(Some(S3Location {
                bucket: self.bucket.clone(),
                key,
                version_id: head.version_id.filter(|version| version != UNVERSIONED),
                sha256: None,
            })),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) => Err(Unavailable::new("s3:HeadObject", &error)),
        }
    }
}
