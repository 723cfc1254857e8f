//! Presigned uploads: URLs by which a caller stores one object without credentials.

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
    /// Presigns with the credentials of `config`.
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        Self { client: s3(config), bucket }
    }

    /// A place to put one object of so many bytes, once, within `valid_for`.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html>
    pub async fn presign(&self, key: &str, size_bytes: usize, valid_for: Duration) -> Result<Presigned, Unavailable> {
        let refused = || Unavailable { service: "s3:PutObject", code: "CannotPresign".to_owned() };
        let presigned = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(size_bytes.try_into().map_err(|_| refused())?)
            // A second document for the same job is refused.
            .if_none_match("*")
            .presigned(PresigningConfig::expires_in(valid_for).map_err(|_| refused())?)
            .await
            .map_err(|error| Unavailable::new("s3:PutObject", &error))?;
        // The SDK adds others, such as a trace's, that are not signed.
        let signed = |(name, _): &(&str, &str)| SIGNED_HEADERS.contains(name);
        let headers = presigned.headers().filter(signed).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = headers.collect();
        Ok(Presigned { url: presigned.uri().to_owned(), headers })
    }
}

/// Where an object may be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// For a PUT.
    pub url: String,
    /// Headers that must be sent as they are.
    pub headers: BTreeMap<String, String>,
}
