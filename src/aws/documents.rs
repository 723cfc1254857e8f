//! The documents' bucket.

use std::time::Duration;

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use super::{CONNECT_TIMEOUT, Unavailable, code_of};
use crate::domain::document::{sha256_hex, too_large};
use crate::domain::ending::AttemptError;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::S3Location;
use crate::domain::limits::DOCUMENT_MAX_BYTES;

/// Time-out of one attempt at an object of some megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time-out of reading or storing one document.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Reads documents, and stores those that come by the API.
#[derive(Debug, Clone)]
pub struct Documents {
    client: Client,
}

impl Documents {
    /// A reader and writer of whatever buckets its role may use.
    pub fn new(config: &SdkConfig) -> Self {
        let own = aws_sdk_s3::config::Builder::from(config)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(TIMEOUT)
                    .build(),
            )
            .build();
        Self { client: Client::from_conf(own) }
    }

    /// Reads a document's bytes, whole. Those of one over
    /// [`DOCUMENT_MAX_BYTES`], the largest of any kind, are not read.
    ///
    /// # Errors
    /// Permanent when it is not there, not allowed or too large; throttled or
    /// transient when the bucket did not answer.
    pub async fn fetch(&self, at: &S3Location) -> Result<Vec<u8>, AttemptError> {
        let object = self
            .client
            .get_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_version_id(at.version_id.clone())
            .send()
            .await
            .map_err(|error| classify(&error))?;
        // Every answer of S3's has an entity tag: one without is not S3's.
        // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        if object.e_tag().is_none() {
            return Err(broke_off());
        }
        let length = usize::try_from(object.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
        if length > DOCUMENT_MAX_BYTES {
            return Err(AttemptError::Permanent(too_large("a document", length, DOCUMENT_MAX_BYTES)));
        }
        // The SDK's time-outs end where the bytes begin.
        let bytes = tokio::time::timeout(TIMEOUT, object.body.collect()).await.map_err(|_| broke_off())?;
        let bytes = bytes.map_err(|_| broke_off())?.into_bytes();
        if at.sha256.as_ref().is_some_and(|wanted| *wanted != sha256_hex(&bytes)) {
            return Err(broke_off());
        }
        Ok(bytes.into())
    }

    /// Stores a document whose SHA-256 is known, and says which version it became.
    pub async fn store(
        &self,
        bucket: &str,
        key: &str,
        text: String,
        sha256: String,
    ) -> Result<S3Location, Unavailable> {
        let answer = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type("text/plain; charset=utf-8")
            .body(ByteStream::from(text.into_bytes()))
            .send()
            .await
            .map_err(|error| Unavailable::new("s3:PutObject", &error))?;
        let version_id = answer.version_id().map(str::to_owned);
        Ok(S3Location { bucket: bucket.to_owned(), key: key.to_owned(), version_id, sha256: Some(sha256) })
    }
}

fn broke_off() -> AttemptError {
    let message = "the document's bytes did not come whole; they are read again";
    AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
}

fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> AttemptError {
    let code = code_of(error);
    match code.as_str() {
        "NoSuchKey" | "NoSuchVersion" | "NoSuchBucket" | "MethodNotAllowed" => AttemptError::Permanent(Failure::new(
            codes::DOCUMENT_NOT_FOUND,
            format!("the bucket has no such document ({code})"),
        )),
        "AccessDenied" | "InvalidObjectState" => AttemptError::Permanent(Failure::new(
            codes::DOCUMENT_FORBIDDEN,
            format!("the consumer may not read the document ({code}); a bucket of your own needs a grant to its role"),
        )),
        "SlowDown" => AttemptError::Throttled(Failure::new(codes::DOCUMENT_UNAVAILABLE, "the bucket throttles")),
        _ => AttemptError::Transient(Failure::new(
            codes::DOCUMENT_UNAVAILABLE,
            format!("the document could not be read this time ({code})"),
        )),
    }
}
