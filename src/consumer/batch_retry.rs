//! Continues the retry of a batch that one request of the API began.

use jiff::Timestamp;
use tracing::info;

use crate::aws::Unavailable;
use crate::aws::requeue::Requeue;
use crate::clock::now;
use crate::domain::job::outcome::{Acknowledged, Outcome};
use crate::domain::limits::{RESPONSE_MARGIN, RETRY_MESSAGE_TIME, STORE_RESERVE};
use crate::domain::message::control::{BatchRetry, Control};

/// Retries the batch's jobs from the position of `retry` on. If time runs out, a further
/// control message continues.
pub(super) async fn run(requeue: &Requeue, retry: BatchRetry, deadline: Timestamp) -> Result<Outcome, Unavailable> {
    let end = (deadline - STORE_RESERVE - RESPONSE_MARGIN).min(now() + RETRY_MESSAGE_TIME);
    let BatchRetry { batch_id, filter, mut cursor, asked_at } = retry;
    let (mut retried, mut not_retried) = (0, 0);
    let batch = requeue.jobs.get_batch(&batch_id).await?;
    if batch.is_some_and(|batch| batch.cancelled_at.is_some()) {
        return Ok(Outcome::Acknowledge(Acknowledged::Resent));
    }
    loop {
        let page = requeue.retry_page(&batch_id, &filter, cursor, asked_at, end).await?;
        retried += page.retried;
        not_retried += page.not_retried.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        if now() >= end {
            let next = BatchRetry { batch_id: batch_id.clone(), filter, cursor, asked_at };
            requeue.queue.send_control(&Control::Retry(next), std::time::Duration::ZERO).await?;
            break;
        }
    }
    info!(%batch_id, retried, not_retried, "jobs of a batch were retried");
    Ok(Outcome::Acknowledge(Acknowledged::Resent))
}
