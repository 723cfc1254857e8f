//! Presigned downloads: URLs by which a caller reads one document without rights to the
//! bucket.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html>

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;

use super::Unavailable;
use super::s3::s3;
use crate::domain::document::download::Download;
use crate::domain::document::location::S3Location;

/// Presigns downloads.
#[derive(Debug, Clone)]
pub struct PresignedDownloads {
    client: Client,
}

/// A presigned download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedDownload {
    /// The URL of the GET request.
    pub url: String,
    /// The size of the object in bytes.
    pub size_bytes: u64,
}

impl PresignedDownloads {
    /// Presigns with the credentials of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: s3(config) }
    }

    /// Presigns the download of one object with the headers of `download`. `None` if the
    /// object does not exist, or if the role may not read it: without the permission to list
    /// the bucket, S3 does not say which. The download must begin within `valid_for`, and
    /// before the role's credentials expire.
    ///
    /// # Errors
    /// [`Unavailable`] if S3 does not answer, or if the SDK has no credentials.
    pub async fn presign(
        &self,
        at: &S3Location,
        download: &Download,
        valid_for: Duration,
    ) -> Result<Option<PresignedDownload>, Unavailable> {
        let head = self.client.head_object().bucket(&at.bucket).key(&at.key).set_version_id(at.version_id.clone());
        let size_bytes = match head.send().await {
            Ok(object) => object.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default(),
            Err(error) => {
                let status = error.raw_response().map(|response| response.status().as_u16());
                // Forbidden, not found, or a delete marker.
                return match status {
                    Some(403..=405) => Ok(None),
                    _ => Err(Unavailable::new("s3:HeadObject", &error)),
                };
            }
        };
        let cannot_presign = || Unavailable { service: "s3:GetObject", code: "CannotPresign".to_owned() };
        let presigned = self
            .client
            .get_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_version_id(at.version_id.clone())
            .response_content_type(download.content_type)
            .response_content_disposition(&download.content_disposition)
            .response_cache_control("no-store")
            .presigned(PresigningConfig::expires_in(valid_for).map_err(|_| cannot_presign())?)
            .await
            .map_err(|error| Unavailable::new("s3:GetObject", &error))?;
        Ok(Some(PresignedDownload { url: presigned.uri().to_owned(), size_bytes }))
    }
}
