//! The dead-letter queues: whether something failed.

use super::line::Line;
use crate::aws::queues::Depth;

pub(super) const CHECK: &str = "dead letters";

/// The queues that are empty as long as nothing fails: their outputs, and the pages that say
/// what to do.
pub(super) const QUEUES: [(&str, &str, &str); 3] = [
    ("DeadLetterQueueUrl", "DeadLetterQueue", "See \"Redrive failed jobs\" in docs/operations/failures.md."),
    (
        "NotifierFailureQueueUrl",
        "NotifierFailureQueue",
        "See \"Events that were not published\" in docs/operations/failures.md.",
    ),
    (
        "WebhookDeadLetterQueueUrl",
        "WebhookDeadLetterQueue",
        "Mend the receiver of the webhook, and move the messages to it.",
    ),
];

/// The line of a queue that should be empty.
pub(super) fn judge_depth(name: &str, depth: Depth, remedy: &str) -> Line {
    match depth.visible + depth.hidden {
        0 => Line::ok(CHECK, name, "empty"),
        1 => Line::warning(CHECK, name, "1 message", remedy),
        count => Line::warning(CHECK, name, format!("{count} messages"), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn any_message_is_a_warning() {
        assert_eq!(judge_depth("q", Depth { visible: 0, hidden: 0 }, "r").status, Status::Ok);
        assert_eq!(judge_depth("q", Depth { visible: 1, hidden: 0 }, "r").detail, "1 message");
        let hidden = judge_depth("q", Depth { visible: 0, hidden: 2 }, "r");
        assert_eq!((hidden.status, hidden.detail.as_str()), (Status::Warning, "2 messages"));
    }
}
