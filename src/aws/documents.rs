//! The documents' bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use serde::Serialize;
use serde_json::Value;

use super::{CONNECT_TIMEOUT, Unavailable, code_of};
use crate::domain::document::{sha256_hex, too_large};
use crate::domain::ending::AttemptError;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::S3Location;
use crate::domain::limits::ASYNC_OBJECTS_MAX;

/// Time-out of one attempt at an object of some megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time-out of reading or storing one document.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The headers that a presigned upload must be sent with.
const SIGNED_HEADERS: [&str; 2] = ["content-length", "if-none-match"];

const GET: &str = "s3:GetObject";

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
        self.put(bucket, key, "text/plain; charset=utf-8", text.into_bytes(), sha256).await
    }

    /// Stores JSON: a result that is too large for its row, or a request for a
    /// long-running model.
    pub async fn store_json(&self, bucket: &str, key: &str, json: &Value) -> Result<S3Location, Unavailable> {
        let json = json.to_string().into_bytes();
        let sha256 = sha256_hex(&json);
        self.put(bucket, key, "application/json", json, sha256).await
    }

    /// Reads what [`Documents::store_json`] stored.
    pub async fn load_json(&self, at: &S3Location) -> Result<Value, Unavailable> {
        let broken = || Unavailable { service: GET, code: "UnreadableJson".to_owned() };
        let request = self.client.get_object().bucket(&at.bucket).key(&at.key).set_version_id(at.version_id.clone());
        let read = async {
            let object = request.send().await.map_err(|error| Unavailable::new(GET, &error))?;
            object.body.collect().await.map_err(|_| broken())
        };
        // The SDK's time-outs end where the bytes begin.
        let bytes = tokio::time::timeout(TIMEOUT, read).await.map_err(|_| broken())??.into_bytes();
        match serde_json::from_slice(&bytes) {
            Ok(json) if at.sha256.as_ref().is_none_or(|sha256| *sha256 == sha256_hex(&bytes)) => Ok(json),
            _ => Err(broken()),
        }
    }

    /// What an invocation put out, at most [`ASYNC_OBJECTS_MAX`] objects of it:
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

    /// A place to put one object of so many bytes, once, within `valid_for`.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html>
    pub async fn presign(
        &self,
        bucket: &str,
        key: &str,
        size_bytes: usize,
        valid_for: Duration,
    ) -> Result<Presigned, Unavailable> {
        let refused = || Unavailable { service: "s3:PutObject", code: "CannotPresign".to_owned() };
        let presigned = self
            .client
            .put_object()
            .bucket(bucket)
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

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
        sha256: String,
    ) -> Result<S3Location, Unavailable> {
        let answer = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| Unavailable::new("s3:PutObject", &error))?;
        let version_id = answer.version_id().map(str::to_owned);
        Ok(S3Location { bucket: bucket.to_owned(), key: key.to_owned(), version_id, sha256: Some(sha256) })
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

/// Where an object may be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// For a PUT.
    pub url: String,
    /// Headers that must be sent as they are.
    pub headers: BTreeMap<String, String>,
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
        tokio::time::timeout(TIMEOUT, read).await.map_err(|_| broke_off())??;
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
