//! The purge's parts of S3 and SQS: it erases objects with all their versions, receives and
//! deletes dead letters, and sends messages to its own queue.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Unavailable;
use super::s3::s3;
use crate::domain::limits::{CONCURRENT_ERASURES, VISIBILITY_MAX};
use crate::domain::purge::{PurgeMessage, Versions};

/// Erases objects of the stack's bucket.
#[derive(Debug, Clone)]
pub struct Eraser {
    client: aws_sdk_s3::Client,
    bucket: String,
}

impl Eraser {
    /// Erases objects of `bucket`.
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        Self { client: s3(config), bucket }
    }

    /// Erases all versions of all objects with this prefix, and their delete markers.
    pub async fn erase_prefix(&self, prefix: &str) -> Result<u64, Unavailable> {
        self.erase_listed(prefix, |_| true).await
    }

    /// Erases versions of one object.
    pub async fn erase_object(&self, key: &str, versions: &Versions) -> Result<u64, Unavailable> {
        match versions {
            Versions::All => self.erase_listed(key, |listed| listed == key).await,
            Versions::One(version) => {
                self.erase(key, version.clone()).await?;
                Ok(1)
            }
        }
    }

    /// Erases the listed versions whose key is selected; returns their number.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>
    async fn erase_listed(&self, prefix: &str, is_selected: impl Fn(&str) -> bool) -> Result<u64, Unavailable> {
        let mut erased = 0;
        loop {
            // Each page is listed from the start, because the page before was erased.
            let request = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix);
            let page = request.send().await.map_err(|error| Unavailable::new("s3:ListBucketVersions", &error))?;
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            let found: Vec<(String, Option<String>)> = versions
                .chain(markers)
                .filter_map(|(key, version)| Some((key?.to_owned(), version.map(str::to_owned))))
                .filter(|(key, _)| is_selected(key))
                .collect();
            let is_last = page.is_truncated() != Some(true);
            erased += found.len() as u64;
            let is_empty = found.is_empty();
            let erasures = found.into_iter().map(|(key, version)| async move { self.erase(&key, version).await });
            stream::iter(erasures).buffer_unordered(CONCURRENT_ERASURES).try_collect::<()>().await?;
            if is_last || is_empty {
                return Ok(erased);
            }
        }
    }

    async fn erase(&self, key: &str, version: Option<String>) -> Result<(), Unavailable> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key).set_version_id(version);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let unavailable = Unavailable::new("s3:DeleteObjectVersion", &error);
                if ["NoSuchKey", "NoSuchVersion"].contains(&unavailable.code.as_str()) {
                    Ok(())
                } else {
                    Err(unavailable)
                }
            }
        }
    }
}

/// A received dead letter.
#[derive(Debug)]
pub struct ReceivedLetter {
    /// The message's body.
    pub body: String,
    /// The attribute `job_id`, if the letter has one.
    pub job_id: Option<String>,
    /// The id of the message.
    pub message_id: String,
    receipt: String,
}

/// The dead-letter queue, and the queue of purges.
#[derive(Debug, Clone)]
pub struct PurgeQueues {
    client: aws_sdk_sqs::Client,
    purges: String,
    dead_letters: String,
}

impl PurgeQueues {
    /// The queues with these URLs.
    pub fn new(config: &SdkConfig, purges: String, dead_letters: String) -> Self {
        Self { client: aws_sdk_sqs::Client::new(config), purges, dead_letters }
    }

    /// Receives up to ten dead letters, which stay invisible for `visibility`.
    pub async fn receive(&self, visibility: Duration) -> Result<Vec<ReceivedLetter>, Unavailable> {
        let request = self.client.receive_message().queue_url(&self.dead_letters).max_number_of_messages(10);
        let request = request.visibility_timeout(visibility.as_secs() as i32).wait_time_seconds(1);
        let response = request.message_attribute_names("job_id").send().await;
        let response = response.map_err(|error| Unavailable::new("sqs:ReceiveMessage", &error))?;
        let letter = |message: aws_sdk_sqs::types::Message| {
            let mut attributes: HashMap<_, _> = message.message_attributes.unwrap_or_default();
            Some(ReceivedLetter {
                body: message.body.unwrap_or_default(),
                job_id: attributes.remove("job_id").and_then(|id| id.string_value),
                message_id: message.message_id?,
                receipt: message.receipt_handle?,
            })
        };
        Ok(response.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    /// Deletes a dead letter.
    pub async fn delete(&self, letter: &ReceivedLetter) -> Result<(), Unavailable> {
        let request = self.client.delete_message().queue_url(&self.dead_letters).receipt_handle(&letter.receipt);
        request.send().await.map(drop).map_err(|error| Unavailable::new("sqs:DeleteMessage", &error))
    }

    /// Makes a dead letter visible again. After a failure, its visibility time-out does.
    pub async fn show(&self, letter: &ReceivedLetter) {
        let request = self.client.change_message_visibility().queue_url(&self.dead_letters);
        let _ = request.receipt_handle(&letter.receipt).visibility_timeout(0).send().await;
    }

    /// Sends a message to the queue of purges, which delivers it after `delay`, at most 15
    /// minutes.
    pub async fn send(&self, message: &PurgeMessage, delay: Duration) -> Result<(), Unavailable> {
        send_purge(&self.client, &self.purges, message, delay).await
    }

    /// Lets SQS redeliver a message of the queue of purges after `after`.
    pub async fn retry_after(&self, receipt: &str, after: Duration) -> Result<(), Unavailable> {
        let seconds = after.min(VISIBILITY_MAX).as_secs_f64().ceil().max(1.0) as i32;
        let request = self.client.change_message_visibility().queue_url(&self.purges).receipt_handle(receipt);
        let response = request.visibility_timeout(seconds).send().await;
        response.map(drop).map_err(|error| Unavailable::new("sqs:ChangeMessageVisibility", &error))
    }
}

/// The queue of purges, as the API uses it.
#[derive(Debug, Clone)]
pub struct PurgeRequests {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl PurgeRequests {
    /// The queue with this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: aws_sdk_sqs::Client::new(config), url }
    }

    /// Sends a purge.
    pub async fn send(&self, message: &PurgeMessage) -> Result<(), Unavailable> {
        send_purge(&self.client, &self.url, message, Duration::ZERO).await
    }
}

async fn send_purge(
    client: &aws_sdk_sqs::Client,
    url: &str,
    message: &PurgeMessage,
    delay: Duration,
) -> Result<(), Unavailable> {
    let body = serde_json::to_string(message).expect("Docket's types serialize");
    let request =
        client.send_message().queue_url(url).message_body(body).delay_seconds(delay.as_secs().min(900) as i32);
    request.send().await.map(drop).map_err(|error| Unavailable::new("sqs:SendMessage", &error))
}
