//! Presigned uploads: URLs by which a caller stores one object without credentials.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html>

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;

use super::Unavailable;
use super::s3::s3;

/// The headers that a presigned upload must be sent with.
const SIGNED_HEADERS: [&str; 2] = ["content-length", "if-none-match"];

/// Presigns uploads into one bucket.
#[derive(Debug, Clone)]
pub struct PresignedUploads {
    client: Client,
    bucket: String,
}

impl PresignedUploads {
    /// Presigns uploads into `bucket`, with the credentials of `config`.
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        Self { client: s3(config), bucket }
    }

    /// Presigns the upload of one object. The object must have `size_bytes`, the key must be
    /// unused, and the upload must begin within `valid_for`.
    ///
    /// # Errors
    /// [`Unavailable`] if the SDK has no credentials, or if a parameter is out of range.
    pub async fn presign(&self, key: &str, size_bytes: usize, valid_for: Duration) -> Result<Presigned, Unavailable> {
        let cannot_presign = || Unavailable { service: "s3:PutObject", code: "CannotPresign".to_owned() };
        let presigned = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(size_bytes.try_into().map_err(|_| cannot_presign())?)
            // S3 rejects a second document for the same job:
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            .if_none_match("*")
            .presigned(PresigningConfig::expires_in(valid_for).map_err(|_| cannot_presign())?)
            .await
            .map_err(|error| Unavailable::new("s3:PutObject", &error))?;
        // The SDK adds headers that are not signed, such as a trace header.
        let signed = |(name, _): &(&str, &str)| SIGNED_HEADERS.contains(name);
        let headers = presigned.headers().filter(signed).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = headers.collect();
        Ok(Presigned { url: presigned.uri().to_owned(), headers })
    }
}

/// A presigned upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The URL of the PUT request.
    pub url: String,
    /// The headers that the request must carry unchanged.
    pub headers: BTreeMap<String, String>,
}
