//! One record: a message in, its outcome out. A retried message also gets its next
//! visibility time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::SqsMessage;
use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::{error, info, warn};

use super::Consumer;
use super::delivery::Delivery;
use super::job;
use super::measures::measure_age;
use super::response::Handled;
use crate::clock::{now, until};
use crate::domain::async_invocation::poll::Poll;
use crate::domain::failure::Failure;
use crate::domain::ids::JobId;
use crate::domain::job::outcome::{Acknowledged, Outcome, Retry, RetryReason};
use crate::domain::json_values::count_values;
use crate::domain::limits::{BATCH_VALUES_MAX, JOB_VALUES_MAX, LEASE_MARGIN, NEWER_VERSION_DELAY, SUSPECT_DELAY};
use crate::domain::message::attributes::{self, Attribute, AttributeValue, ReceivedAttributes};
use crate::domain::message::body::{self, ParsedMessage};
use crate::domain::message::dead_letter::DeadLetter;

/// The length of an X-Ray trace id.
const TRACE_ID_CHARS: usize = 35;

/// A received message and the job in it.
pub(super) struct Record {
    pub message_id: Option<String>,
    receipt_handle: Option<String>,
    /// The ARN of the queue that delivered the message.
    source: Option<String>,
    body: Option<String>,
    carried: Vec<Attribute>,
    pub receive_count: u32,
    /// When the message was sent, in milliseconds since 1970.
    sent_at_ms: Option<i64>,
    /// The X-Ray trace of the request that sent the message.
    trace_id: Option<String>,
    redrive_of: Option<u32>,
    poll: Option<Poll>,
    parsed: Result<ParsedMessage, Failure>,
}

/// Parses the messages of a batch, in their order. The smallest are parsed first, so that
/// large ones wait when the batch exceeds [`BATCH_VALUES_MAX`]. `own_bucket` is the stack's
/// documents bucket.
pub(super) fn parse_all(messages: Vec<SqsMessage>, own_bucket: &str) -> Vec<Result<Record, RetryReason>> {
    let values = |message: &SqsMessage| {
        let body = message.body.as_deref().unwrap_or_default();
        // A message over its own limit is not built.
        count_values(body, JOB_VALUES_MAX).unwrap_or_default()
    };
    let mut counted: Vec<_> = messages.into_iter().enumerate().map(|(place, m)| (values(&m), place, m)).collect();
    counted.sort_by_key(|(count, place, _)| (*count, *place));
    let mut total = 0;
    let mut parsed: Vec<_> = counted
        .into_iter()
        .map(|(count, place, message)| {
            total += count;
            let record = if total > BATCH_VALUES_MAX {
                Err(RetryReason::BatchTooLarge)
            } else {
                // A body that panics ends its own record.
                catch_unwind(AssertUnwindSafe(|| Record::parse(message, own_bucket))).map_err(|_| RetryReason::Panicked)
            };
            (place, record)
        })
        .collect();
    parsed.sort_by_key(|(place, _)| *place);
    parsed.into_iter().map(|(_, record)| record).collect()
}

impl Record {
    pub fn parse(message: SqsMessage, own_bucket: &str) -> Self {
        let text =
            |name: &str| message.message_attributes.get(name).and_then(|attribute| attribute.string_value.as_deref());
        let received = ReceivedAttributes {
            priority: text(attributes::PRIORITY),
            failed_attempt: text(attributes::FAILED_ATTEMPT),
            poll: text(attributes::POLL),
        };
        let receive_count = message.attributes.get("ApproximateReceiveCount");
        let sent_at = message.attributes.get("SentTimestamp");
        let trace_header = message.attributes.get("AWSTraceHeader");
        Self {
            receive_count: receive_count.and_then(|count| count.parse().ok()).unwrap_or(1),
            sent_at_ms: sent_at.and_then(|sent_at| sent_at.parse().ok()),
            trace_id: trace_header.and_then(|header| read_trace_id(header)),
            redrive_of: received.redrive_of(),
            poll: received.poll(),
            parsed: body::parse_message(message.body.as_deref(), received.priority, own_bucket),
            carried: carried_attributes(&message),
            message_id: message.message_id,
            receipt_handle: message.receipt_handle,
            source: message.event_source_arn,
            body: message.body,
        }
    }

    pub fn job_id(&self) -> Option<&JobId> {
        match &self.parsed {
            Ok(ParsedMessage::Job(job)) => Some(&job.job_id),
            Ok(
                ParsedMessage::Control(_)
                | ParsedMessage::Several(_)
                | ParsedMessage::Nothing
                | ParsedMessage::NewerVersion,
            )
            | Err(_) => None,
        }
    }
}

/// Returns a message to the queue, because a suspect of its batch runs alone.
pub(super) async fn return_to_queue(consumer: &Consumer, record: Record) -> Handled {
    let after = SUSPECT_DELAY.mul_f64(0.5 + fastrand::f64() / 2.0);
    if let Some(receipt) = &record.receipt_handle {
        change_visibility(consumer, &record, receipt, after).await;
    }
    Handled::without_usage(Retry::after(after, RetryReason::SuspectFirst))
}

/// Lets SQS redeliver the message of a suspect when the lease of this invocation has expired.
/// If the suspect ends the process, its message then returns as soon as it may be claimed.
pub(super) async fn show_at_lease_end(consumer: &Consumer, record: &Record, deadline: Timestamp) {
    if let Some(receipt) = &record.receipt_handle {
        change_visibility(consumer, record, receipt, until(deadline) + LEASE_MARGIN).await;
    }
}

async fn change_visibility(consumer: &Consumer, record: &Record, receipt: &str, after: Duration) {
    let changed = consumer.queue.change_visibility(record.source.as_deref(), receipt, after).await;
    // After a failure here, the queue's own visibility time-out retries the message.
    if let Err(error) = changed {
        warn!(message_id = record.message_id, code = error.code, "the message's visibility could not be changed");
    }
}

/// The id in a trace header: `Root=1-67891233-abcdef012345678912345678;Parent=…;Sampled=1`.
fn read_trace_id(header: &str) -> Option<String> {
    let id = header.split(';').find_map(|part| part.trim().strip_prefix("Root="))?;
    let is_id = id.len() == TRACE_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| id.to_owned())
}

fn carried_attributes(message: &SqsMessage) -> Vec<Attribute> {
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

/// Handles one record. A panic ends this record alone: its stored job is unchanged,
/// and the message is retried when a lease of this invocation has expired.
///
/// `is_alone` says that the invocation runs no other record.
pub(super) async fn handle(consumer: &Consumer, record: Record, is_alone: bool, deadline: Timestamp) -> Handled {
    let started = Instant::now();
    let (message_id, receive_count) = (record.message_id.clone(), record.receive_count);
    let (receipt_handle, source) = (record.receipt_handle.clone(), record.source.clone());
    let (sent_at_ms, trace_id) = (record.sent_at_ms, record.trace_id.clone());
    let job_id = record.job_id().map(|id| id.as_str().to_owned());
    let guarded = AssertUnwindSafe(handle_unguarded(consumer, record, is_alone, deadline)).catch_unwind();
    let handled = guarded.await.unwrap_or_else(|_| {
        error!(message_id, job_id, "the handling of a record panicked");
        Handled::without_usage(Retry::after(until(deadline) + LEASE_MARGIN, RetryReason::Panicked))
    });
    if let (Outcome::Retry(Retry { after: Some(after), .. }), Some(receipt)) = (&handled.outcome, receipt_handle) {
        // After a failure here, the queue's own visibility time-out retries the message.
        if let Err(unavailable) = consumer.queue.change_visibility(source.as_deref(), &receipt, *after).await {
            warn!(message_id, job_id, code = unavailable.code, "the message's visibility could not be changed");
        }
    }
    let age_ms = sent_at_ms.map(|sent_at_ms| now().as_millisecond().saturating_sub(sent_at_ms).max(0));
    measure_age(&consumer.meter, age_ms, &handled.outcome);
    info!(
        message_id,
        job_id,
        receive_count,
        age_ms,
        trace_id,
        outcome = handled.outcome.name(),
        cause = handled.outcome.cause(),
        elapsed_ms = started.elapsed().as_millis() as u64,
        "record handled"
    );
    handled
}

async fn handle_unguarded(consumer: &Consumer, record: Record, is_alone: bool, deadline: Timestamp) -> Handled {
    let Record { source, body, carried, receive_count, redrive_of, poll, parsed, .. } = record;
    match parsed {
        Ok(ParsedMessage::Job(job)) => {
            let time_for_a_job = consumer.time_for_a_job;
            let delivery =
                Delivery { body, carried, receive_count, source, redrive_of, poll, is_alone, deadline, time_for_a_job };
            job::handle(consumer, *job, delivery).await
        }
        Ok(ParsedMessage::Control(control)) => Handled::without_usage(consumer.holds.handle(control, deadline).await),
        Ok(ParsedMessage::Several(bodies)) => Handled::without_usage(split(consumer, source.as_deref(), bodies).await),
        Ok(ParsedMessage::Nothing) => Handled::without_usage(Outcome::Acknowledge(Acknowledged::NothingToDo)),
        Ok(ParsedMessage::NewerVersion) => {
            warn!("a message has a newer version than this function reads");
            Handled::without_usage(Retry::after(NEWER_VERSION_DELAY, RetryReason::NewerVersion))
        }
        Err(failure) => {
            warn!(code = failure.code, "a message contains no job");
            let letter = DeadLetter::new(body.as_deref(), carried, &failure, None);
            Handled::without_usage(match consumer.endings.dead_letters.send(letter).await {
                Ok(()) => Outcome::Acknowledge(Acknowledged::DeadLettered),
                Err(error) => {
                    Retry::at_visibility_timeout(RetryReason::StoreUnavailable).with_cause(Some(error.cause()))
                }
            })
        }
    }
}

/// Sends one message for each job, so that each job ends on its own. A split that
/// is interrupted starts over; a repeated message finds its job finished.
async fn split(consumer: &Consumer, source: Option<&str>, bodies: Vec<String>) -> Outcome {
    for body in bodies {
        if let Err(error) = consumer.queue.send_to_source(source, body).await {
            warn!(service = error.service, code = error.code, "a service did not answer");
            return Retry::at_visibility_timeout(RetryReason::StoreUnavailable).with_cause(Some(error.cause()));
        }
    }
    Outcome::Acknowledge(Acknowledged::Split)
}
