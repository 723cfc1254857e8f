//! The SQS queues: the two job queues, and the dead-letter queue.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};

use super::Unavailable;
use crate::domain::ids::JobId;
use crate::domain::job::priority::Priority;
use crate::domain::limits::{ASYNC_POLL_CAP, HOLD_PROBE_MAX, VISIBILITY_MAX};
use crate::domain::message::attributes::{Attribute, AttributeValue, FAILED_ATTEMPT, JOB_ID, PRIORITY};
use crate::domain::message::body::MessageBody;
use crate::domain::message::control::Control;
use crate::domain::message::dead_letter::DeadLetter;

/// The job queues: one for normal priority, and optionally one for high priority.
///
/// A method with the parameter `arn` uses the queue with this ARN, which delivered a
/// message. An unknown or missing ARN means the queue for normal priority.
#[derive(Debug, Clone)]
pub struct JobsQueue {
    client: Client,
    url: String,
    high_url: Option<String>,
}

impl JobsQueue {
    /// The queues with these URLs. Without `high_url`, high-priority jobs use the queue for
    /// normal priority.
    pub fn new(config: &SdkConfig, url: String, high_url: Option<String>) -> Self {
        Self { client: Client::new(config), url, high_url }
    }

    /// The URL of the queue with this ARN.
    fn source_url(&self, arn: Option<&str>) -> &str {
        let name = arn.and_then(|arn| arn.rsplit(':').next());
        let high = self.high_url.as_deref().filter(|url| url.rsplit('/').next() == name);
        high.unwrap_or(&self.url)
    }

    /// Estimates the messages of a queue: visible ones, delayed ones, and ones in flight or
    /// waiting for a retry.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
    pub async fn backlog(&self, arn: Option<&str>) -> Result<u64, Unavailable> {
        self.backlog_of(self.source_url(arn)).await
    }

    /// Estimates the messages of both queues, as [`backlog`](Self::backlog) does.
    pub async fn depth(&self) -> Result<u64, Unavailable> {
        let high = match &self.high_url {
            Some(url) => self.backlog_of(url).await?,
            None => 0,
        };
        Ok(self.backlog_of(&self.url).await? + high)
    }

    async fn backlog_of(&self, url: &str) -> Result<u64, Unavailable> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let request = self.client.get_queue_attributes().queue_url(url);
        let request = request.attribute_names(Visible).attribute_names(Delayed).attribute_names(Hidden);
        let response = request.send().await.map_err(|error| Unavailable::new("sqs:GetQueueAttributes", &error))?;
        let counts = response.attributes.unwrap_or_default();
        Ok(counts.values().filter_map(|count| count.parse::<u64>().ok()).sum())
    }

    /// Sends a body to the queue that delivered a message.
    pub async fn send_to_source(&self, arn: Option<&str>, body: String) -> Result<(), Unavailable> {
        send(&self.client, self.source_url(arn), body, &[], None).await
    }

    /// Sends a body with attributes to the queue that delivered a message. SQS delivers
    /// the new message after `after`, rounded up to whole seconds and at most
    /// [`ASYNC_POLL_CAP`].
    pub async fn send_delayed(
        &self,
        arn: Option<&str>,
        body: String,
        attributes: &[Attribute],
        after: Duration,
    ) -> Result<(), Unavailable> {
        send(&self.client, self.source_url(arn), body, attributes, Some(after.min(ASYNC_POLL_CAP))).await
    }

    /// Sends a job's message to the queue of its priority. `redrive_of` is the failed
    /// attempt that the message retries.
    pub async fn send(
        &self,
        body: &MessageBody,
        priority: Priority,
        redrive_of: Option<u32>,
    ) -> Result<(), Unavailable> {
        let body = serde_json::to_string(body).expect("Docket's types serialize");
        let url = match priority {
            Priority::High => self.high_url.as_ref().unwrap_or(&self.url),
            Priority::Normal => &self.url,
        };
        let attribute = |name: &str, data_type: &str, value: String| Attribute {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            value: AttributeValue::Text(value),
        };
        let mut attributes = vec![attribute(PRIORITY, "String", priority.as_str().to_owned())];
        attributes.extend(redrive_of.map(|attempt| attribute(FAILED_ATTEMPT, "Number", attempt.to_string())));
        send(&self.client, url, body, &attributes, None).await
    }

    /// Sends a control message to the queue for high priority, if there is one, so that it
    /// does not wait behind documents. SQS delivers it after `after`, rounded up to whole
    /// seconds and at most 15 minutes.
    pub async fn send_control(&self, control: &Control, after: Duration) -> Result<(), Unavailable> {
        let url = self.high_url.as_ref().unwrap_or(&self.url);
        let delay = (!after.is_zero()).then(|| after.min(HOLD_PROBE_MAX));
        send(&self.client, url, control.body(), &[], delay).await
    }

    /// Lets SQS redeliver a message after `after`, counted from now. The delay is rounded up
    /// to whole seconds, at least 1 s and at most [`VISIBILITY_MAX`].
    pub async fn change_visibility(
        &self,
        arn: Option<&str>,
        receipt_handle: &str,
        after: Duration,
    ) -> Result<(), Unavailable> {
        let seconds = after.min(VISIBILITY_MAX).as_secs_f64().ceil().max(1.0);
        self.client
            .change_message_visibility()
            .queue_url(self.source_url(arn))
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds as i32)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Unavailable::new("sqs:ChangeMessageVisibility", &error))
    }
}

/// A received dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedLetter {
    /// The job; `None` if the letter names none.
    pub job_id: Option<JobId>,
    /// The failed attempt of the job.
    pub failed_attempt: Option<u32>,
    receipt_handle: String,
}

/// The dead-letter queue.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    client: Client,
    url: String,
}

impl DeadLetterQueue {
    /// The queue with this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Receives at most ten dead letters, which stay invisible for `visibility`.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
    pub async fn receive(&self, visibility: Duration) -> Result<Vec<ReceivedLetter>, Unavailable> {
        let response = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(visibility.as_secs() as i32)
            .wait_time_seconds(0)
            .message_attribute_names(JOB_ID)
            .message_attribute_names(FAILED_ATTEMPT)
            .send()
            .await
            .map_err(|error| Unavailable::new("sqs:ReceiveMessage", &error))?;
        let letters = response.messages.unwrap_or_default().into_iter().filter_map(|message| {
            let text = |name: &str| message.message_attributes.as_ref()?.get(name)?.string_value.clone();
            let (job_id, failed_attempt) = (text(JOB_ID), text(FAILED_ATTEMPT));
            Some(ReceivedLetter {
                job_id: job_id.and_then(|id| id.parse().ok()),
                failed_attempt: failed_attempt.and_then(|attempt| attempt.parse().ok()),
                receipt_handle: message.receipt_handle?,
            })
        });
        Ok(letters.collect())
    }

    /// Deletes a received dead letter.
    pub async fn delete(&self, letter: &ReceivedLetter) -> Result<(), Unavailable> {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.receipt_handle);
        request.send().await.map(drop).map_err(|error| Unavailable::new("sqs:DeleteMessage", &error))
    }

    /// Lets a received dead letter be received again at once.
    pub async fn put_back(&self, letter: &ReceivedLetter) -> Result<(), Unavailable> {
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let request = request.receipt_handle(&letter.receipt_handle).visibility_timeout(0);
        request.send().await.map(drop).map_err(|error| Unavailable::new("sqs:ChangeMessageVisibility", &error))
    }

    /// Sends a dead letter: the message's body, and attributes with its reason.
    pub async fn send(&self, letter: DeadLetter) -> Result<(), Unavailable> {
        send(&self.client, &self.url, letter.body, &letter.attributes, None).await
    }
}

async fn send(
    client: &Client,
    url: &str,
    body: String,
    attributes: &[Attribute],
    delay: Option<Duration>,
) -> Result<(), Unavailable> {
    let delay = delay.map(|delay| delay.as_secs_f64().ceil() as i32);
    let mut request = client.send_message().queue_url(url).message_body(body).set_delay_seconds(delay);
    for attribute in attributes {
        let value = MessageAttributeValue::builder().data_type(&attribute.data_type);
        let value = match &attribute.value {
            AttributeValue::Text(text) => value.string_value(text),
            AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes.clone())),
        };
        let value = value.build().expect("the data type is set");
        request = request.message_attributes(&attribute.name, value);
    }
    request.send().await.map(|_| ()).map_err(|error| Unavailable::new("sqs:SendMessage", &error))
}
