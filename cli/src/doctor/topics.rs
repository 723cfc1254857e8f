//! The topics: whether anyone receives their messages.

use super::line::Line;
use crate::aws::topics::Subscriptions;

pub(super) const CHECK: &str = "topic";
/// Outputs with the ARN of a topic, which a stack may lack.
pub(super) const OUTPUTS: [&str; 2] = ["AlarmTopicArn", "NotificationTopicArn"];

/// The line of a topic.
pub(super) fn judge_topic(name: &str, subscriptions: Subscriptions) -> Line {
    match subscriptions {
        Subscriptions { confirmed: 0, pending: 0 } => Line::warning(
            CHECK,
            name,
            "the topic has no subscriber, so nobody receives its messages",
            "Subscribe an address with `aws sns subscribe`.",
        ),
        Subscriptions { confirmed: 0, pending } => Line::warning(
            CHECK,
            name,
            format!("subscriptions that wait for a confirmation: {pending}; nobody receives messages"),
            "Open the link in the e-mail of AWS Notifications.",
        ),
        Subscriptions { confirmed, .. } => Line::ok(CHECK, name, format!("confirmed subscriptions: {confirmed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn topic_without_confirmed_subscriber_is_a_warning() {
        let judge = |confirmed, pending| judge_topic("t", Subscriptions { confirmed, pending });
        assert_eq!(judge(0, 0).status, Status::Warning);
        assert_eq!(judge(0, 2).status, Status::Warning);
        assert_eq!(judge(1, 2).status, Status::Ok);
    }
}
