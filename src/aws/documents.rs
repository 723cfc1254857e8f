//! Documents in S3: the documents bucket, and other buckets that messages name.

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

/// Reads documents, and stores those of API requests.
#[derive(Debug, Clone)]
pub struct Documents {
    client: Client,
}

/// A document whose size is known and whose bytes are not read yet.
#[derive(Debug)]
pub struct Object {
    size_bytes: usize,
    body: ByteStream,
    sha256: Option<String>,
}

impl Documents {
    /// A client for every bucket that the role may use.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: s3(config) }
    }

    /// Opens a document and reads its size, but not its bytes.
    ///
    /// # Errors
    /// Permanent if the document does not exist, the role may not read it, or it is larger
    /// than `max_bytes`. Throttled or transient otherwise.
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
        // S3 sends an entity tag and a length with every object. A response without them
        // came from another server.
        // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        let length = object.content_length().and_then(|length| usize::try_from(length).ok());
        let (Some(size_bytes), true) = (length, object.e_tag().is_some()) else { return Err(incomplete()) };
        if size_bytes > max_bytes {
            return Err(AttemptError::Permanent(too_large("any document", size_bytes, max_bytes)));
        }
        Ok(Object { size_bytes, body: object.body, sha256: at.sha256.clone() })
    }

    /// Stores a document that another one held, and returns its location with its version.
    /// `sha256` is the hash of the bytes in hex.
    pub async fn store_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Vec<u8>,
        sha256: String,
    ) -> Result<S3Location, Unavailable> {
        put(&self.client, bucket, key, "application/octet-stream", bytes, sha256).await
    }

    /// Stores a text, and returns its location with its version. `sha256` is the hash of
    /// the text in hex.
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
    /// The size of the document in bytes.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Reads all bytes, within `OBJECT_TIMEOUT`.
    ///
    /// # Errors
    /// Transient if the bytes are incomplete, do not match the expected SHA-256, or are more
    /// than `max_bytes`. An object with more bytes replaced the one that the caller opened
    /// before.
    pub async fn read(mut self, max_bytes: usize) -> Result<Vec<u8>, AttemptError> {
        if self.size_bytes > max_bytes {
            return Err(incomplete());
        }
        let mut bytes = Vec::with_capacity(self.size_bytes);
        let read = async {
            while let Some(chunk) = self.body.next().await {
                let chunk = chunk.map_err(|_| incomplete())?;
                if bytes.len() + chunk.len() > self.size_bytes {
                    return Err(incomplete());
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(())
        };
        // The SDK's time-outs end when the response body begins.
        tokio::time::timeout(OBJECT_TIMEOUT, read).await.map_err(|_| incomplete())??;
        let is_complete = bytes.len() == self.size_bytes;
        if !is_complete || self.sha256.is_some_and(|expected| expected != sha256_hex(&bytes)) {
            return Err(incomplete());
        }
        Ok(bytes)
    }
}

fn incomplete() -> AttemptError {
    let message = "S3 returned the document incompletely, or with another size or SHA-256 than expected";
    AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
}

fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> AttemptError {
    let code = code_of(error);
    match code.as_str() {
        "NoSuchKey" | "NoSuchVersion" | "NoSuchBucket" | "MethodNotAllowed" => AttemptError::Permanent(Failure::new(
            codes::DOCUMENT_NOT_FOUND,
            format!("S3 has no object at the document's location ({code}); upload the document again"),
        )),
        "AccessDenied" | "InvalidObjectState" => AttemptError::Permanent(Failure::new(
            codes::DOCUMENT_FORBIDDEN,
            format!(
                "the consumer may not read the document ({code}); grant its role access to the object, \
                 or restore the object from its archive"
            ),
        )),
        "SlowDown" => {
            AttemptError::Throttled(Failure::new(codes::DOCUMENT_UNAVAILABLE, "S3 throttled the read of the document"))
        }
        _ => AttemptError::Transient(Failure::new(
            codes::DOCUMENT_UNAVAILABLE,
            format!("the document could not be read from S3 ({code})"),
        )),
    }
}
