//! The attributes of queue messages: names, values, and how many fit one message.

use crate::domain::async_invocation::poll::Poll;
use crate::domain::limits::{MESSAGE_MAX_ATTRIBUTES, MESSAGE_MAX_BYTES};

/// `normal` or `high`.
pub const PRIORITY: &str = "priority";
/// On a dead letter: the failure's code.
pub const ERROR_CODE: &str = "error_code";
/// On a dead letter: the failure's message.
pub const ERROR_MESSAGE: &str = "error_message";
/// On a dead letter: the job, if the message named one.
pub const JOB_ID: &str = "job_id";
/// On a dead letter: the attempt that failed. A message that arrives with this
/// attribute is the redrive of that attempt.
pub const FAILED_ATTEMPT: &str = "failed_attempt";
/// On the poll of a long invocation: its generation and number.
pub const POLL: &str = "poll";
/// The attributes that Docket sets itself and copies to no other message.
pub const OURS: [&str; 5] = [ERROR_CODE, ERROR_MESSAGE, JOB_ID, FAILED_ATTEMPT, POLL];

/// A message attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute's name.
    pub name: String,
    /// `String`, `Number` or `Binary`, with a custom suffix if the sender added one.
    pub data_type: String,
    /// The attribute's value.
    pub value: AttributeValue,
}

/// The value of a message attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// The value of a `String` or a `Number`.
    Text(String),
    /// The value of a `Binary`.
    Binary(Vec<u8>),
}

impl Attribute {
    /// An attribute of type `String` or `Number`.
    pub fn text(name: &str, data_type: &str, text: String) -> Self {
        Self { name: name.to_owned(), data_type: data_type.to_owned(), value: AttributeValue::Text(text) }
    }

    /// Whether Docket sets this attribute itself.
    pub(super) fn is_ours(&self) -> bool {
        OURS.contains(&self.name.as_str())
    }

    /// Size in bytes, as SQS counts it.
    pub(super) fn size_bytes(&self) -> usize {
        let value = match &self.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        self.name.len() + self.data_type.len() + value
    }
}

/// The attributes of a received message that Docket reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceivedAttributes<'a> {
    /// [`PRIORITY`].
    pub priority: Option<&'a str>,
    /// [`FAILED_ATTEMPT`].
    pub failed_attempt: Option<&'a str>,
    /// [`POLL`].
    pub poll: Option<&'a str>,
}

impl ReceivedAttributes<'_> {
    /// The failed attempt whose redrive the message is; `None` for other messages.
    pub fn redrive_of(&self) -> Option<u32> {
        self.failed_attempt?.parse().ok()
    }

    /// The poll that the message is; `None` for other messages.
    pub fn poll(&self) -> Option<Poll> {
        self.poll?.parse().ok()
    }
}

/// The attributes of a poll's message, whose body is the job's own body.
///
/// `carried` are the attributes of the message that this poll continues. Returns
/// `None` when the body leaves no space for the [`POLL`] attribute.
pub fn poll_attributes(poll: Poll, body: &str, carried: &[Attribute]) -> Option<Vec<Attribute>> {
    let mut wanted = vec![Attribute::text(POLL, "String", poll.to_string())];
    wanted.extend(carried.iter().filter(|attribute| !attribute.is_ours()).cloned());
    Some(fit_attributes(body, wanted)).filter(|attributes| !attributes.is_empty())
}

/// Keeps the first attributes of `wanted` that fit a message with this body.
///
/// A message has at most [`MESSAGE_MAX_ATTRIBUTES`] attributes, and at most
/// [`MESSAGE_MAX_BYTES`] with its body.
pub(super) fn fit_attributes(body: &str, mut wanted: Vec<Attribute>) -> Vec<Attribute> {
    wanted.truncate(MESSAGE_MAX_ATTRIBUTES);
    let mut free_bytes = MESSAGE_MAX_BYTES.saturating_sub(body.len());
    wanted
        .into_iter()
        .map_while(|attribute| {
            free_bytes = free_bytes.checked_sub(attribute.size_bytes())?;
            Some(attribute)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redrive_and_poll_are_parsed_from_attributes() {
        let received = ReceivedAttributes { failed_attempt: Some("3"), poll: Some("4.2"), ..Default::default() };
        assert_eq!(received.redrive_of(), Some(3));
        assert_eq!(received.poll(), Some(Poll { generation: 4, number: 2 }));
        let malformed = ReceivedAttributes { failed_attempt: Some("x"), poll: Some("4"), ..Default::default() };
        assert_eq!((malformed.redrive_of(), malformed.poll()), (None, None));
    }

    #[test]
    fn poll_message_keeps_foreign_attributes_only() {
        let poll = Poll { generation: 0, number: 1 };
        let carried = |name: &str| Attribute::text(name, "String", "v".into());
        let all = [carried("poll"), carried("error_code"), carried("failed_attempt"), carried("priority")];
        let names = |attributes: Vec<Attribute>| attributes.into_iter().map(|a| a.name).collect::<Vec<_>>();
        assert_eq!(names(poll_attributes(poll, "body", &all).unwrap()), ["poll", "priority"]);
        let many: Vec<_> = (0..10).map(|n| carried(&n.to_string())).collect();
        assert_eq!(poll_attributes(poll, "body", &many).unwrap().len(), MESSAGE_MAX_ATTRIBUTES);
        let full = "x".repeat(MESSAGE_MAX_BYTES);
        // `poll`, `String` and `0.1` take 13 bytes.
        assert_eq!(poll_attributes(poll, &full[13..], &[]).map(|own| own.len()), Some(1));
        assert_eq!(poll_attributes(poll, &full[12..], &[]), None);
    }
}
