//! The queues in SQS.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue, QueueAttributeName};

use super::connect::Connection;
use super::error::AwsError;

const GET_ATTRIBUTES: &str = "sqs:GetQueueAttributes";
const SEND: &str = "sqs:SendMessage";
const RECEIVE: &str = "sqs:ReceiveMessage";
const DELETE: &str = "sqs:DeleteMessage";
const CHANGE_VISIBILITY: &str = "sqs:ChangeMessageVisibility";
/// SQS receives at most this many messages at once.
const RECEIVE_MAX: i32 = 10;

/// The approximate numbers of messages in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages that a consumer may receive.
    pub visible: u64,
    /// Messages that are delayed or in flight.
    pub hidden: u64,
}

/// A received message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// SQS's id of the message.
    pub id: String,
    /// The message's body.
    pub body: String,
    /// The attributes that have a text value.
    pub attributes: BTreeMap<String, String>,
    all_attributes: HashMap<String, MessageAttributeValue>,
    receipt: String,
}

impl Message {
    /// The message as far as it is needed to make it visible again.
    pub fn without_body(self) -> Self {
        Self { body: String::new(), attributes: BTreeMap::new(), all_attributes: HashMap::new(), ..self }
    }
}

/// Reads the approximate numbers of messages.
///
/// # Errors
/// SQS does not execute the request.
pub async fn read_depth(connection: &Connection, url: &str) -> Result<Depth, AwsError> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
    };
    let hidden = [ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible];
    let client = aws_sdk_sqs::Client::new(&connection.sdk);
    let names = [&[ApproximateNumberOfMessages], &hidden[..]].concat();
    let request = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names));
    let response = request.send().await.map_err(|error| AwsError::new(GET_ATTRIBUTES, &error))?;
    let attributes = response.attributes.unwrap_or_default();
    let count = |name| attributes.get(name).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    Ok(Depth { visible: count(&ApproximateNumberOfMessages), hidden: hidden.iter().map(count).sum() })
}

/// Sends a message with a priority.
///
/// # Errors
/// SQS does not execute the request.
pub async fn send(connection: &Connection, url: &str, body: String, priority: &str) -> Result<(), AwsError> {
    let client = aws_sdk_sqs::Client::new(&connection.sdk);
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(priority).build();
    let attribute = attribute.expect("the data type is set");
    let request = client.send_message().queue_url(url).message_body(body).message_attributes("priority", attribute);
    request.send().await.map_err(|error| AwsError::new(SEND, &error))?;
    Ok(())
}

/// Sends a received message, with its body and all its attributes, to another queue.
///
/// # Errors
/// SQS does not execute the request.
pub async fn forward(connection: &Connection, url: &str, message: &Message) -> Result<(), AwsError> {
    let client = aws_sdk_sqs::Client::new(&connection.sdk);
    let request = client.send_message().queue_url(url).message_body(&message.body);
    let attributes = Some(message.all_attributes.clone()).filter(|attributes| !attributes.is_empty());
    request.set_message_attributes(attributes).send().await.map_err(|error| AwsError::new(SEND, &error))?;
    Ok(())
}

/// Receives up to ten messages, and hides them for `hidden_seconds`.
///
/// # Errors
/// SQS does not execute the request.
pub async fn receive(connection: &Connection, url: &str, hidden_seconds: i32) -> Result<Vec<Message>, AwsError> {
    let client = aws_sdk_sqs::Client::new(&connection.sdk);
    let request = client.receive_message().queue_url(url).max_number_of_messages(RECEIVE_MAX).wait_time_seconds(1);
    let request = request.visibility_timeout(hidden_seconds).message_attribute_names("All");
    let response = request.send().await.map_err(|error| AwsError::new(RECEIVE, &error))?;
    let messages = response.messages.unwrap_or_default().into_iter().map(|message| {
        let all_attributes = message.message_attributes.unwrap_or_default();
        let attributes = all_attributes.iter();
        Message {
            id: message.message_id.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            attributes: attributes
                .filter_map(|(name, value)| Some((name.clone(), value.string_value.clone()?)))
                .collect(),
            all_attributes,
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    });
    Ok(messages.collect())
}

/// Deletes a received message.
///
/// # Errors
/// SQS does not execute the request.
pub async fn delete(connection: &Connection, url: &str, message: &Message) -> Result<(), AwsError> {
    let client = aws_sdk_sqs::Client::new(&connection.sdk);
    let request = client.delete_message().queue_url(url).receipt_handle(&message.receipt);
    request.send().await.map_err(|error| AwsError::new(DELETE, &error))?;
    Ok(())
}

/// Makes up to ten received messages visible again.
///
/// # Errors
/// SQS does not execute the request.
pub async fn show(connection: &Connection, url: &str, messages: &[Message]) -> Result<(), AwsError> {
    let entries = messages.iter().enumerate().map(|(index, message)| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
        entry.receipt_handle(&message.receipt).visibility_timeout(0).build().expect("id and receipt are set")
    });
    let client = aws_sdk_sqs::Client::new(&connection.sdk);
    let request = client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries.collect()));
    request.send().await.map_err(|error| AwsError::new(CHANGE_VISIBILITY, &error))?;
    Ok(())
}
