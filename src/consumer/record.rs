//! One record: a message in, its outcome out, and the message's next
//! visibility set when it is wanted again.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use aws_lambda_events::event::sqs::SqsMessage;
use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::{error, info, warn};

use super::Consumer;
use super::job::{self, Delivery};
use crate::clock::until;
use crate::domain::dead_letter::{Attribute, AttributeValue, DeadLetter};
use crate::domain::failure::Failure;
use crate::domain::ids::JobId;
use crate::domain::limits::LEASE_MARGIN;
use crate::domain::message::{self, Asked, Attributes, attributes};
use crate::domain::outcome::{Acknowledged, Again, AgainReason, Outcome};
use crate::domain::row::Usage;

/// A message as it came, and what it asks for.
pub(super) struct Record {
    pub message_id: Option<String>,
    receipt_handle: Option<String>,
    /// The ARN of the queue that it came from.
    source: Option<String>,
    body: Option<String>,
    carried: Vec<Attribute>,
    receive_count: u32,
    asked: Result<Asked, Failure>,
}

/// What became of a record.
pub(super) struct Handled {
    pub outcome: Outcome,
    pub usage: Option<Usage>,
}

impl Handled {
    pub fn without_usage(outcome: Outcome) -> Self {
        Self { outcome, usage: None }
    }
}

impl Record {
    pub fn read(message: SqsMessage) -> Self {
        let text =
            |name: &str| message.message_attributes.get(name).and_then(|attribute| attribute.string_value.as_deref());
        let with = Attributes {
            priority: text(attributes::PRIORITY),
            failed_attempt: text(attributes::FAILED_ATTEMPT),
            check: text(attributes::CHECK),
        };
        let asked = message::read(message.body.as_deref(), with);
        let receive_count = message.attributes.get("ApproximateReceiveCount");
        Self {
            receive_count: receive_count.and_then(|count| count.parse().ok()).unwrap_or(1),
            carried: carried(&message),
            message_id: message.message_id,
            receipt_handle: message.receipt_handle,
            source: message.event_source_arn,
            body: message.body,
            asked,
        }
    }

    pub fn job_id(&self) -> Option<&JobId> {
        match &self.asked {
            Ok(Asked::Job(job)) => Some(&job.job_id),
            Ok(Asked::Several(_) | Asked::Nothing) | Err(_) => None,
        }
    }
}

fn carried(message: &SqsMessage) -> Vec<Attribute> {
    let mut carried: Vec<Attribute> = message
        .message_attributes
        .iter()
        .filter_map(|(name, attribute)| {
            let value = match (&attribute.string_value, &attribute.binary_value) {
                (Some(text), _) => AttributeValue::Text(text.clone()),
                (None, Some(bytes)) => AttributeValue::Binary(bytes.0.clone()),
                (None, None) => return None,
            };
            Some(Attribute { name: name.clone(), data_type: attribute.data_type.clone()?, value })
        })
        .collect();
    carried.sort_by(|a, b| a.name.cmp(&b.name));
    carried
}

/// Handles one record. A panic ends this record alone: its row is as it is, and
/// the message comes again when the lease that it may have taken is over.
pub(super) async fn handle(consumer: &Consumer, record: Record, deadline: Timestamp) -> Handled {
    let begun = Instant::now();
    let (message_id, receive_count) = (record.message_id.clone(), record.receive_count);
    let (receipt_handle, source) = (record.receipt_handle.clone(), record.source.clone());
    let job_id = record.job_id().map(|id| id.as_str().to_owned());
    let guarded = AssertUnwindSafe(handle_unguarded(consumer, record, deadline)).catch_unwind();
    let handled = guarded.await.unwrap_or_else(|_| {
        error!(message_id, job_id, "the handling of a record panicked");
        let lease_over = until(deadline) + LEASE_MARGIN;
        Handled::without_usage(Again::after(lease_over, AgainReason::Panicked))
    });
    if let (Outcome::Again(Again { after: Some(after), .. }), Some(receipt)) = (handled.outcome, receipt_handle) {
        // If this is refused, the queue's own visibility time-out brings it.
        if let Err(unavailable) = consumer.queue.again_after(source.as_deref(), &receipt, after).await {
            warn!(message_id, job_id, code = unavailable.code, "the message's visibility could not be set");
        }
    }
    info!(
        message_id,
        job_id,
        receive_count,
        outcome = handled.outcome.name(),
        elapsed_ms = begun.elapsed().as_millis() as u64,
        "record handled"
    );
    handled
}

async fn handle_unguarded(consumer: &Consumer, record: Record, deadline: Timestamp) -> Handled {
    let Record { source, body, carried, receive_count, asked, .. } = record;
    match asked {
        Ok(Asked::Job(job)) => {
            let delivery = Delivery { body, carried, receive_count, deadline, source };
            job::handle(consumer, *job, delivery).await
        }
        Ok(Asked::Several(bodies)) => Handled::without_usage(split(consumer, source.as_deref(), bodies).await),
        Ok(Asked::Nothing) => Handled::without_usage(Outcome::Acknowledge(Acknowledged::NothingToDo)),
        Err(failure) => {
            warn!(code = failure.code, "a message is not a job");
            let letter = DeadLetter::new(body.as_deref(), carried, &failure, None);
            Handled::without_usage(match consumer.dead_letters.send(letter).await {
                Ok(()) => Outcome::Acknowledge(Acknowledged::DeadLettered),
                Err(_) => Again::by_visibility(AgainReason::StoreUnavailable),
            })
        }
    }
}

/// A message of its own for each job, so that each ends for itself. One that is
/// broken off begins again: a message too many finds its job done.
async fn split(consumer: &Consumer, source: Option<&str>, bodies: Vec<String>) -> Outcome {
    for body in bodies {
        if let Err(error) = consumer.queue.send_beside(source, body).await {
            warn!(service = error.service, code = error.code, "a service did not answer");
            return Again::by_visibility(AgainReason::StoreUnavailable);
        }
    }
    Outcome::Acknowledge(Acknowledged::Split)
}
