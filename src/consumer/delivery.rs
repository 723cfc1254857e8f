//! One delivery of a job's message: what the endings of a job need to know of it.

use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use super::admission::AdmissionRequest;
use crate::aws::Unavailable;
use crate::clock::until;
use crate::domain::async_invocation::poll::Poll;
use crate::domain::backoff::full_jitter;
use crate::domain::hold::message_delay;
use crate::domain::job::Job;
use crate::domain::job::ending::OnHold;
use crate::domain::job::outcome::{Outcome, Retry, RetryReason};
use crate::domain::limits::{LEASE_MARGIN, NO_TIME_DELAY, RESPONSE_MARGIN, STORE_RESERVE};
use crate::domain::message::attributes::Attribute;

/// One delivery of a job's message.
pub(super) struct Delivery {
    pub body: Option<String>,
    /// The message's attributes, sorted by name.
    pub carried: Vec<Attribute>,
    pub receive_count: u32,
    /// The ARN of the queue that delivered the message.
    pub source: Option<String>,
    /// The failed attempt whose redrive the message is.
    pub redrive_of: Option<u32>,
    /// The poll of a long invocation that the message is.
    pub poll: Option<Poll>,
    /// Whether the invocation runs no other record.
    pub is_alone: bool,
    /// When Lambda ends the invocation.
    pub deadline: Timestamp,
    /// The time that one model call and its ending take at most.
    pub time_for_a_job: Duration,
}

impl Delivery {
    /// The latest time at which a model call may begin.
    pub fn latest_start(&self) -> Timestamp {
        self.deadline - self.time_for_a_job
    }

    /// The time that the end of a job and the response take after its last call.
    pub fn time_after_call() -> Duration {
        STORE_RESERVE + RESPONSE_MARGIN
    }

    /// Whether a model call may still begin.
    pub fn has_time(&self) -> bool {
        until(self.deadline) >= self.time_for_a_job
    }

    /// The time that remains before a model call must begin.
    pub fn time_before_call(&self) -> Duration {
        until(self.deadline).saturating_sub(self.time_for_a_job)
    }

    /// When a claim for this delivery expires.
    pub fn lease_until(&self) -> Timestamp {
        self.deadline + LEASE_MARGIN
    }

    /// The request by which this delivery's model call is admitted to the quota.
    pub fn admission_request(&self) -> AdmissionRequest<'_> {
        AdmissionRequest {
            source: self.source.as_deref(),
            receive_count: self.receive_count,
            latest_start: self.latest_start(),
        }
    }

    /// Retries the message soon: this invocation has too little time left.
    pub fn retry_without_time(&self) -> Outcome {
        Retry::after(NO_TIME_DELAY.mul_f64(fastrand::f64()), RetryReason::NoTime)
    }

    /// Retries the message after backoff: another worker holds the job.
    pub fn retry_lost_lease(&self) -> Outcome {
        Retry::after(self.backoff(), RetryReason::LeaseLost)
    }

    /// Retries the message after backoff: a service did not answer. The stored job
    /// is unchanged, and a lease on it expires on its own.
    pub fn retry_unavailable(&self, job: &Job, error: &Unavailable) -> Outcome {
        warn!(job_id = job.job_id.as_str(), service = error.service, code = error.code, "a service did not answer");
        Retry::after(self.backoff(), RetryReason::StoreUnavailable).with_cause(Some(error.cause()))
    }

    /// Retries the message when the wait for a hold or a pause may be over. Usually the end
    /// of the hold sends a new message earlier.
    pub fn retry_on_hold(&self, on_hold: &OnHold) -> Outcome {
        let cause = Some(on_hold.reason.code.clone());
        Retry::after(message_delay(self.receive_count), RetryReason::OnHold).with_cause(cause)
    }

    fn backoff(&self) -> Duration {
        full_jitter(self.receive_count, fastrand::f64())
    }
}
