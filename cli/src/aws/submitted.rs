//! The documents of the command line in the bucket: upload one, and list all of a batch.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;
use docket::domain::ids::BatchId;
use docket::domain::job::priority::Priority;
use docket::domain::message::submitted::submitted_prefix;

use super::connect::Connection;
use super::error::AwsError;

const PUT: &str = "s3:PutObject";
const LIST: &str = "s3:ListBucket";
/// S3's code if the key exists already.
const EXISTS_CODE: &str = "PreconditionFailed";

/// The effect of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is new.
    Created,
    /// The object existed: another run, or an earlier attempt whose response was lost.
    Existed,
}

/// The documents of one bucket.
#[derive(Debug, Clone)]
pub struct Submitted {
    client: aws_sdk_s3::Client,
    bucket: String,
}

impl Submitted {
    /// The documents of a bucket.
    pub fn new(connection: &Connection, bucket: &str) -> Self {
        Self { client: aws_sdk_s3::Client::new(&connection.sdk), bucket: bucket.to_owned() }
    }

    /// Stores an object unless its key exists.
    ///
    /// # Errors
    /// S3 does not execute the request.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<Put, AwsError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        match request.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(Put::Created),
            Err(error) => match AwsError::new(PUT, &error) {
                error if error.code == EXISTS_CODE => Ok(Put::Existed),
                error => Err(error),
            },
        }
    }

    /// Calls `visit` with the job id of every object of a batch.
    ///
    /// # Errors
    /// S3 does not execute a request.
    pub async fn list(&self, batch_id: &BatchId, mut visit: impl FnMut(&str)) -> Result<(), AwsError> {
        for priority in [Priority::Normal, Priority::High] {
            let prefix = format!("{}{batch_id}/", submitted_prefix(priority));
            // Names may have characters that XML cannot express. Slashes stay slashes.
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
            let mut pages = request.encoding_type(EncodingType::Url).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| AwsError::new(LIST, &error))?;
                let job_ids = page.contents().iter().filter_map(|object| object.key()?.split('/').nth(2));
                job_ids.for_each(&mut visit);
            }
        }
        Ok(())
    }
}
