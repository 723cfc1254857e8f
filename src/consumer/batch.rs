//! A batch: its records side by side, each answered for.

use std::collections::HashMap;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tracing::{error, warn};

use super::Consumer;
use super::record::{self, Handled, Record};
use super::response::{BatchFailed, response};
use crate::clock::{now, until};
use crate::domain::ids::JobId;
use crate::domain::limits::RESPONSE_MARGIN;
use crate::domain::outcome::{Again, AgainReason};
use crate::telemetry;

/// One job's records in a batch, one after the other: the first does the work,
/// the others find it done. Nobody waits for another invocation this way.
type Turns = HashMap<JobId, Arc<Mutex<()>>>;

impl Consumer {
    /// Handles a batch, and says which of its messages are wanted again.
    ///
    /// `deadline` is when Lambda ends the invocation; the answer is given
    /// [`RESPONSE_MARGIN`] before it, whatever still runs.
    ///
    /// # Errors
    /// [`BatchFailed`]: the whole batch is wanted again, because a record that
    /// is has no message id to say so with.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Timestamp,
        function: &str,
    ) -> Result<SqsBatchResponse, BatchFailed> {
        let begun = Instant::now();
        let answer_at = begun + until(deadline).saturating_sub(RESPONSE_MARGIN);
        let count = event.records.len();
        let permits = Arc::new(Semaphore::new(self.max_concurrent_records.unwrap_or(count).max(1)));
        let mut turns = Turns::new();
        let mut running = Vec::with_capacity(count);
        for message in event.records {
            let message_id = message.message_id.clone();
            // Reading is guarded too: a body that breaks it ends its own record.
            let Ok(record) = catch_unwind(AssertUnwindSafe(|| Record::read(message))) else {
                error!(message_id, "the reading of a message panicked");
                let panicked = Handled::without_usage(Again::by_visibility(AgainReason::Panicked));
                running.push((message_id, tokio::spawn(ready(panicked))));
                continue;
            };
            let turn = record.job_id().map(|id| turns.entry(id.clone()).or_default().clone());
            let (consumer, permits) = (self.clone(), permits.clone());
            let task = tokio::spawn(async move {
                let _turn = match &turn {
                    Some(turn) => Some(turn.lock().await),
                    None => None,
                };
                let _permit = permits.acquire().await;
                record::handle(&consumer, record, deadline).await
            });
            running.push((message_id, task));
        }
        let mut handled = Vec::with_capacity(count);
        for (message_id, mut task) in running {
            let outcome = match tokio::time::timeout_at(answer_at.into(), &mut task).await {
                Ok(Ok(handled)) => handled,
                // The task's own guard catches a panic; what comes here broke
                // around it.
                Ok(Err(_)) => Handled::without_usage(Again::by_visibility(AgainReason::Panicked)),
                Err(_) => {
                    task.abort();
                    warn!(message_id, "the invocation's time ended while the record was being handled");
                    Handled::without_usage(Again::by_visibility(AgainReason::DeadlineReached))
                }
            };
            handled.push((message_id, outcome));
        }
        tell(function, &handled, begun.elapsed());
        response(handled.into_iter().map(|(message_id, handled)| (message_id, handled.outcome)))
    }
}

fn tell(function: &str, handled: &[(Option<String>, Handled)], elapsed: Duration) {
    let mut counts = telemetry::Counts::new();
    for (_, handled) in handled {
        *counts.entry(handled.outcome.name()).or_default() += 1;
        if let Some(usage) = handled.usage {
            *counts.entry("input_tokens").or_default() += usage.input_tokens;
            *counts.entry("output_tokens").or_default() += usage.output_tokens;
        }
    }
    let beside = [("records", handled.len() as u64), ("elapsed_ms", elapsed.as_millis() as u64)];
    telemetry::metrics(function, now().as_millisecond(), &counts, &beside);
}
