//! The documents bucket in S3.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::connect::Connection;
use super::error::AwsError;

const PUT: &str = "s3:PutObject";
const LIST_VERSIONS: &str = "s3:ListBucketVersions";
const DELETE_VERSION: &str = "s3:DeleteObjectVersion";

/// Stores an object.
///
/// # Errors
/// S3 does not execute the request.
pub async fn put(connection: &Connection, bucket: &str, key: &str, bytes: &'static [u8]) -> Result<(), AwsError> {
    let body = aws_sdk_s3::primitives::ByteStream::from_static(bytes);
    let request = client(connection).put_object().bucket(bucket).key(key).body(body);
    request.send().await.map_err(|error| AwsError::new(PUT, &error))?;
    Ok(())
}

/// Deletes every version of the objects under a prefix, and returns their number.
///
/// # Errors
/// S3 does not execute a request, or does not delete a version.
pub async fn delete_prefix(connection: &Connection, bucket: &str, prefix: &str) -> Result<usize, AwsError> {
    let client = client(connection);
    let mut deleted = 0;
    loop {
        // The first page is enough: the deleted versions are absent from the next list.
        let page = client.list_object_versions().bucket(bucket).prefix(prefix).send().await;
        let page = page.map_err(|error| AwsError::new(LIST_VERSIONS, &error))?;
        let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
        let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
        let objects: Vec<ObjectIdentifier> = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build().ok()
            })
            .collect();
        if objects.is_empty() {
            return Ok(deleted);
        }
        let count = objects.len();
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().expect("the objects are set");
        let response = client.delete_objects().bucket(bucket).delete(delete).send().await;
        let response = response.map_err(|error| AwsError::new(DELETE_VERSION, &error))?;
        if let Some(error) = response.errors().first() {
            let text = |text: Option<&str>| text.unwrap_or("Unknown").to_owned();
            let (code, message) = (text(error.code()), text(error.message()));
            return Err(AwsError { action: DELETE_VERSION, code, message });
        }
        deleted += count;
    }
}

fn client(connection: &Connection) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::new(&connection.sdk)
}
