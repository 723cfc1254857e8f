//! The S3 client of the modules that read, store, list or presign whole objects.
//! Chunk results use another client with shorter time-outs: see `chunk_results`.

use std::time::Duration;

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;

use super::{CONNECT_TIMEOUT, Unavailable};
use crate::domain::document::location::S3Location;

/// Time-out of one attempt at an object of some megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time-out of all attempts to read or store one object.
pub(super) const OBJECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A client with the time-outs for whole objects.
pub(super) fn s3(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OBJECT_TIMEOUT)
        .build();
    Client::from_conf(aws_sdk_s3::config::Builder::from(config).timeout_config(timeouts).build())
}

/// Stores an object, and returns its location. `sha256` is the hash of `bytes` in hex;
/// the location carries the hash, and a version if the bucket keeps versions.
pub(super) async fn put(
    client: &Client,
    bucket: &str,
    key: &str,
    content_type: &str,
    bytes: Vec<u8>,
    sha256: String,
) -> Result<S3Location, Unavailable> {
    let response = client
        .put_object()
        .bucket(bucket)
        .key(key)
        .content_type(content_type)
        .body(ByteStream::from(bytes))
        .send()
        .await
        .map_err(|error| Unavailable::new("s3:PutObject", &error))?;
    let version_id = response.version_id().map(str::to_owned);
    Ok(S3Location { bucket: bucket.to_owned(), key: key.to_owned(), version_id, sha256: Some(sha256) })
}
