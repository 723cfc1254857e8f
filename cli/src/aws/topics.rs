//! The subscriptions of a topic in SNS.

use super::connect::Connection;
use super::error::AwsError;

const LIST_SUBSCRIPTIONS: &str = "sns:ListSubscriptionsByTopic";

/// The subscriptions of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriptions {
    /// Those that receive messages.
    pub confirmed: usize,
    /// Those that wait for the subscriber's confirmation.
    pub pending: usize,
}

/// Counts the subscriptions of a topic.
///
/// # Errors
/// SNS does not execute the request.
pub async fn count_subscriptions(connection: &Connection, topic_arn: &str) -> Result<Subscriptions, AwsError> {
    let client = aws_sdk_sns::Client::new(&connection.sdk);
    let pages = client.list_subscriptions_by_topic().topic_arn(topic_arn).into_paginator().items();
    let found = pages.send().collect::<Result<Vec<_>, _>>().await;
    let found = found.map_err(|error| AwsError::new(LIST_SUBSCRIPTIONS, &error))?;
    // A subscription without a confirmation has `PendingConfirmation` in place of its ARN.
    // https://docs.aws.amazon.com/sns/latest/api/API_Subscription.html
    let confirmed = found.iter().filter(|one| one.subscription_arn().is_some_and(|arn| arn.starts_with("arn:")));
    let confirmed = confirmed.count();
    Ok(Subscriptions { confirmed, pending: found.len() - confirmed })
}
