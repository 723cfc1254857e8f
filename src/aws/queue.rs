//! The queues: jobs, and dead letters.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};

use super::Unavailable;
use crate::domain::job::priority::Priority;
use crate::domain::limits::{ASYNC_POLL_CAP, VISIBILITY_MAX};
use crate::domain::message::attributes;
use crate::domain::message::attributes::{Attribute, AttributeValue};
use crate::domain::message::body::MessageBody;
use crate::domain::message::dead_letter::DeadLetter;

/// The queue of jobs, and the one beside it for urgent jobs.
#[derive(Debug, Clone)]
pub struct JobsQueue {
    client: Client,
    url: String,
    high_url: Option<String>,
}

impl JobsQueue {
    /// By their URLs. Without one of their own, urgent jobs go with the others.
    pub fn new(config: &SdkConfig, url: String, high_url: Option<String>) -> Self {
        Self { client: Client::new(config), url, high_url }
    }

    /// The URL of the queue that a message came from.
    fn source(&self, arn: Option<&str>) -> &str {
        let name = arn.and_then(|arn| arn.rsplit(':').next());
        let high = self.high_url.as_deref().filter(|url| url.rsplit('/').next() == name);
        high.unwrap_or(&self.url)
    }

    /// About how many messages the queue holds that a message came from (`arn`):
    /// those that can be had, those that are being handled or wait to be had
    /// again, and those that wait for the first time.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
    pub async fn backlog(&self, arn: Option<&str>) -> Result<u64, Unavailable> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let url = self.source(arn);
        let request = self.client.get_queue_attributes().queue_url(url);
        let request = request.attribute_names(Visible).attribute_names(Delayed).attribute_names(Hidden);
        let answer = request.send().await.map_err(|error| Unavailable::new("sqs:GetQueueAttributes", &error))?;
        let counts = answer.attributes.unwrap_or_default();
        Ok(counts.values().filter_map(|count| count.parse::<u64>().ok()).sum())
    }

    /// Puts a body into the queue that a message came from (`arn`).
    pub async fn send_to_source(&self, arn: Option<&str>, body: String) -> Result<(), Unavailable> {
        send(&self.client, self.source(arn), body, &[], None).await
    }

    /// The same with attributes, to be had after a wait of at most
    /// [`ASYNC_POLL_CAP`], in whole
    /// seconds.
    pub async fn send_delayed(
        &self,
        arn: Option<&str>,
        body: String,
        attributes: &[Attribute],
        after: Duration,
    ) -> Result<(), Unavailable> {
        send(&self.client, self.source(arn), body, attributes, Some(after.min(ASYNC_POLL_CAP))).await
    }

    /// Puts a job's message into the queue of its priority; `redrive_of` is the
    /// failed attempt that it begins again.
    pub async fn send(
        &self,
        body: &MessageBody,
        priority: Priority,
        redrive_of: Option<u32>,
    ) -> Result<(), Unavailable> {
        let body = serde_json::to_string(body).expect("our own types serialize");
        let url = match priority {
            Priority::High => self.high_url.as_ref().unwrap_or(&self.url),
            Priority::Normal => &self.url,
        };
        let attribute = |name: &str, data_type: &str, value: String| Attribute {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            value: AttributeValue::Text(value),
        };
        let mut carried = vec![attribute(attributes::PRIORITY, "String", priority.as_str().to_owned())];
        carried.extend(redrive_of.map(|attempt| attribute(attributes::FAILED_ATTEMPT, "Number", attempt.to_string())));
        send(&self.client, url, body, &carried, None).await
    }

    /// Has a message again in the queue that it came from (`arn`) after a wait,
    /// in whole seconds from now: at least one, at most [`VISIBILITY_MAX`].
    pub async fn change_visibility(
        &self,
        arn: Option<&str>,
        receipt_handle: &str,
        after: Duration,
    ) -> Result<(), Unavailable> {
        let seconds = after.min(VISIBILITY_MAX).as_secs_f64().ceil().max(1.0);
        self.client
            .change_message_visibility()
            .queue_url(self.source(arn))
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds as i32)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Unavailable::new("sqs:ChangeMessageVisibility", &error))
    }
}

/// The queue of what could not be done.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    client: Client,
    url: String,
}

impl DeadLetterQueue {
    /// By its URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Puts a message there with its reason.
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
        let value = value.build().expect("a data type is given");
        request = request.message_attributes(&attribute.name, value);
    }
    request.send().await.map(|_| ()).map_err(|error| Unavailable::new("sqs:SendMessage", &error))
}
