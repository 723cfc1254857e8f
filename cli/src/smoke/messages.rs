//! The duplicate, which must change nothing, and the message that is no job, which must reach
//! the dead-letter queue.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::batch::{queue_of, read_job};
use super::deployment::Deployment;
use super::documents::{Submission, poison_body};
use crate::aws::queues::{self, Message};
use crate::error::CommandError;

/// Shortest and longest time for which the command watches a job after the duplicate. The
/// shortest lets SQS deliver the message; the longest is for a queue that is never empty.
const WATCH_MIN: Duration = Duration::from_secs(4);
const WATCH_MAX: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time for the message that is no job, even after the time-out.
const POISON_MIN: Duration = Duration::from_secs(5);
/// The command looks through at most this many dead letters.
const DEAD_LETTERS_MAX: usize = 1_000;
/// Messages of one request to show them.
const SHOW_MAX: usize = 10;

/// Sends the message of a finished job again, and checks that the job does not change.
pub(super) async fn send_duplicate(deployment: &Deployment, submission: &Submission) -> Result<String, CommandError> {
    let (connection, queue) = (deployment.connection(), queue_of(deployment, submission));
    let before = read_job(deployment, &submission.key).await?;
    queues::send(connection, queue, submission.body().to_string(), submission.priority).await?;
    let sent = Instant::now();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let after = read_job(deployment, &submission.key).await?;
        if after != before {
            let field = |view: &Value| format!("attempt {}, {}", view["attempt"], view["status"]);
            let change = format!("{} became {}", field(&before), field(&after));
            return Err(CommandError::Failed(format!("the duplicate changed the job: {change}")));
        }
        // Without the permission to read the depth, the command watches for the longest time.
        let depth = queues::read_depth(connection, queue).await;
        let is_empty = depth.is_ok_and(|depth| depth.visible + depth.hidden == 0);
        if (is_empty && sent.elapsed() >= WATCH_MIN) || sent.elapsed() >= WATCH_MAX {
            return Ok("ignored".to_owned());
        }
    }
}

/// Sends a message that is no job.
pub(super) async fn send_poison(deployment: &Deployment) -> Result<(), CommandError> {
    let body = poison_body(&deployment.run);
    Ok(queues::send(deployment.connection(), &deployment.jobs_queue, body, "normal").await?)
}

/// Waits for the message in the dead-letter queue. Without `keep`, it deletes every dead letter
/// of the run, and adds their number to `deleted`. Other dead letters are invisible for as long
/// as the command looks.
pub(super) async fn find_poison(
    deployment: &Deployment,
    keep: bool,
    deleted: &mut usize,
) -> Result<String, CommandError> {
    let (connection, url) = (deployment.connection(), &deployment.dead_letter_queue);
    let patience = deployment.remaining().max(POISON_MIN);
    let hidden_seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX).saturating_add(30).min(43_200);
    let (body, started) = (poison_body(&deployment.run), Instant::now());
    let mut others: Vec<Message> = Vec::new();
    let mut code = None;
    loop {
        let received = queues::receive(connection, url, hidden_seconds).await?;
        let is_empty = received.is_empty();
        for message in received {
            if message.body == body {
                code = Some(message.attributes.get("error_code").cloned().unwrap_or_default());
            }
            if !keep && message.body.contains(&deployment.run) {
                queues::delete(connection, url, &message).await?;
                *deleted += 1;
            } else {
                others.push(message);
            }
        }
        let has_all = code.is_some() && is_empty;
        if has_all || started.elapsed() >= patience || others.len() >= DEAD_LETTERS_MAX {
            break;
        }
        if is_empty {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    for messages in others.chunks(SHOW_MAX) {
        // Without the permission, they become visible by themselves.
        let _ = queues::show(connection, url, messages).await;
    }
    judge_poison(code.as_deref(), others.len()).map_err(CommandError::Failed)
}

fn judge_poison(code: Option<&str>, others: usize) -> Result<String, String> {
    match code {
        Some("malformed_message") => Ok("dead letter: malformed_message".to_owned()),
        Some(code) => Err(format!("its dead letter has the error code {code:?} in place of malformed_message")),
        None if others >= DEAD_LETTERS_MAX => {
            Err(format!("not found among {others} dead letters: redrive or delete them first"))
        }
        None => Err("the message did not reach the dead-letter queue".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_needs_its_error_code() {
        assert!(judge_poison(Some("malformed_message"), 0).is_ok());
        assert!(judge_poison(Some(""), 0).is_err_and(|problem| problem.contains("in place of malformed_message")));
        assert!(judge_poison(None, 3).is_err_and(|problem| problem.contains("did not reach")));
        assert!(judge_poison(None, DEAD_LETTERS_MAX).is_err_and(|problem| problem.contains("redrive")));
    }
}
