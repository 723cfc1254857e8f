//! The documents' bucket.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use super::s3::{OBJECT_TIMEOUT, put, s3};
use super::{Unavailable, code_of};
use crate::domain::document::location::S3Location;
use crate::domain::document::{sha256_hex, too_large};
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;

/// Reads documents, and stores those that come by the API.
#[derive(Debug, Clone)]
pub struct Documents {
    client: Client,
}

/// A document that was found and not read.
#[derive(Debug)]
pub struct Object {
    size_bytes: usize,
    body: ByteStream,
    sha256: Option<String>,
}

impl Documents {
    /// A reader and writer of whatever buckets its role may use.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: s3(config) }
    }

    /// Finds a document, and reads no more than how large it is: one over
    /// `max_bytes` is refused by that.
    ///
    /// # Errors
    /// Permanent when it is not there, not allowed or too large; throttled or
    /// transient when the bucket did not answer.
    pub async fn open(&self, at: &S3Location, max_bytes: usize) -> Result<Object, AttemptError> {
        let object = self
            .client
            .get_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_version_id(at.version_id.clone())
            .send()
            .await
            .map_err(|error| classify(&error))?;
        // Every answer of S3's has an entity tag and a length: one without is
        // not S3's.
        // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        let length = object.content_length().and_then(|length| usize::try_from(length).ok());
        let (Some(size_bytes), true) = (length, object.e_tag().is_some()) else { return Err(broke_off()) };
        if size_bytes > max_bytes {
            return Err(AttemptError::Permanent(too_large("any document", size_bytes, max_bytes)));
        }
        Ok(Object { size_bytes, body: object.body, sha256: at.sha256.clone() })
    }

    /// Stores a document whose SHA-256 is known, and says which version it became.
    pub async fn store(
        &self,
        bucket: &str,
        key: &str,
        text: String,
        sha256: String,
    ) -> Result<S3Location, Unavailable> {
        put(&self.client, bucket, key, "text/plain; charset=utf-8", text.into_bytes(), sha256).await
    }
}

impl Object {
    /// How many bytes there are to read.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Reads the bytes, whole.
    ///
    /// # Errors
    /// Transient when they do not come, or are more than `max_bytes`: then the
    /// object is another one than when its size was asked for.
    pub async fn read(mut self, max_bytes: usize) -> Result<Vec<u8>, AttemptError> {
        if self.size_bytes > max_bytes {
            return Err(broke_off());
        }
        let mut bytes = Vec::with_capacity(self.size_bytes);
        let read = async {
            while let Some(chunk) = self.body.next().await {
                let chunk = chunk.map_err(|_| broke_off())?;
                if bytes.len() + chunk.len() > self.size_bytes {
                    return Err(broke_off());
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(())
        };
        // The SDK's time-outs end where the bytes begin.
        tokio::time::timeout(OBJECT_TIMEOUT, read).await.map_err(|_| broke_off())??;
        let is_whole = bytes.len() == self.size_bytes;
        if !is_whole || self.sha256.is_some_and(|wanted| wanted != sha256_hex(&bytes)) {
            return Err(broke_off());
        }
        Ok(bytes)
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
