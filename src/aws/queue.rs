//! The queues: jobs, and dead letters.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::Unavailable;
use crate::domain::job::Priority;
use crate::domain::limits::VISIBILITY_MAX;
use crate::domain::message::{Attribute, AttributeValue, DeadLetter, MessageBody, attributes};

/// The queue of jobs.
#[derive(Debug, Clone)]
pub struct JobsQueue {
    client: Client,
    url: String,
}

impl JobsQueue {
    /// By its URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Puts a job's message into the queue.
    pub async fn send(&self, body: &MessageBody, priority: Priority) -> Result<(), Unavailable> {
        let body = serde_json::to_string(body).expect("our own types serialize");
        let priority = Attribute {
            name: attributes::PRIORITY.to_owned(),
            data_type: "String".to_owned(),
            value: AttributeValue::Text(priority.as_str().to_owned()),
        };
        send(&self.client, &self.url, body, &[priority]).await
    }

    /// Has a message again after a wait, in whole seconds from now: at least
    /// one, at most [`VISIBILITY_MAX`].
    pub async fn again_after(&self, receipt_handle: &str, after: Duration) -> Result<(), Unavailable> {
        let seconds = after.min(VISIBILITY_MAX).as_secs_f64().ceil().max(1.0);
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
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
        send(&self.client, &self.url, letter.body, &letter.attributes).await
    }
}

async fn send(client: &Client, url: &str, body: String, attributes: &[Attribute]) -> Result<(), Unavailable> {
    let mut request = client.send_message().queue_url(url).message_body(body);
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
