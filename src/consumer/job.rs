//! One job: look for holds, admit, claim, then hand the claimed job to the work that it needs.

use tracing::warn;
use uuid::Uuid;

use super::Consumer;
use super::admission::Permit;
use super::attempt::Attempt;
use super::delivery::Delivery;
use super::response::Handled;
use crate::aws::jobs::ClaimAnswer;
use crate::clock::{now, until};
use crate::domain::ids::Owner;
use crate::domain::job::claim::{Claim, ClaimRejected, Claimant};
use crate::domain::job::outcome::{Acknowledged, Outcome, Retry, RetryReason};
use crate::domain::job::{Job, Work};
use crate::domain::limits::ASYNC_POLL_FIRST;

/// Handles one job.
pub(super) async fn handle(consumer: &Consumer, job: Job, delivery: Delivery) -> Handled {
    match claim(consumer, job, delivery).await {
        Ok((attempt, permit)) => match &attempt.job.work {
            Work::Document(source) => consumer.documents.run(&attempt, source, permit).await,
            Work::AsyncInvocation(request) => Handled::without_usage(consumer.invocations.run(&attempt, request).await),
        },
        Err(outcome) => Handled::without_usage(outcome),
    }
}

/// Admits and claims a job.
///
/// The quota admits a document before its claim, so that a document that must wait
/// costs no write.
///
/// # Errors
/// The outcome of a message whose job is not claimed.
async fn claim(consumer: &Consumer, job: Job, delivery: Delivery) -> Result<(Attempt<'_>, Option<Permit>), Outcome> {
    if !delivery.has_time() {
        return Err(delivery.retry_without_time());
    }
    // A running invocation is paid for, so its polls pass.
    if delivery.poll.is_none()
        && let Some(on_hold) =
            consumer.gate.blocks(&job, consumer.documents.analyser.conversation.model.model_id()).await
        && let Some(outcome) = consumer.parking.park(&job, on_hold, &delivery).await
    {
        return Err(outcome);
    }
    let owner = Owner::new(Uuid::new_v4());
    let (permit, resumed) = match &job.work {
        Work::Document(source) => (consumer.documents.admit(&job, source, &delivery).await?, None),
        Work::AsyncInvocation(_) => (None, consumer.invocations.resume(&job, &delivery, &owner).await?),
    };
    let mut claim = match resumed {
        Some(claim) => claim,
        None => claim_pending(consumer, &job, &delivery, &owner).await?,
    };
    if let Work::AsyncInvocation(_) = &job.work {
        // The token or the stored job finds the invocation, so no call is repeated.
        claim.took_over = false;
    }
    if claim.took_over {
        let (job_id, attempt) = (job.job_id.as_str(), claim.attempt);
        warn!(job_id, attempt, "the earlier worker fell silent; its model call may have been made");
    }
    Ok((Attempt { endings: &consumer.endings, job, delivery, claim, parking: &consumer.parking }, permit))
}

/// Claims a job that waits for no poll; otherwise returns the outcome of its message.
async fn claim_pending(consumer: &Consumer, job: &Job, delivery: &Delivery, owner: &Owner) -> Result<Claim, Outcome> {
    let max_attempts = consumer.endings.max_attempts;
    let claimant = Claimant { owner, redrive_of: delivery.redrive_of, max_attempts, is_alone: delivery.is_alone };
    match consumer.endings.jobs.claim(job, &claimant, now(), delivery.lease_until()).await {
        Ok(ClaimAnswer::Claimed(claim)) => Ok(claim),
        Ok(ClaimAnswer::Rejected(rejected)) => Err(after_rejection(consumer, job, delivery, rejected).await),
        Err(error) => Err(delivery.retry_unavailable(job, &error)),
    }
}

/// The outcome of a message whose job cannot be claimed.
async fn after_rejection(consumer: &Consumer, job: &Job, delivery: &Delivery, rejected: ClaimRejected) -> Outcome {
    match rejected {
        ClaimRejected::Finished => Outcome::Acknowledge(Acknowledged::AlreadyFinished),
        ClaimRejected::UploadedAgain => Outcome::Acknowledge(Acknowledged::UploadedAgain),
        ClaimRejected::OtherDocument => consumer.endings.refuse_message(job, delivery).await,
        ClaimRejected::Busy { until: lease_until } => {
            let after = match &job.work {
                Work::Document(_) => until(lease_until),
                // The job soon waits for a poll; this copy is then superseded.
                Work::AsyncInvocation(_) => until(lease_until).min(ASYNC_POLL_FIRST),
            };
            Retry::after(after, RetryReason::Busy)
        }
        ClaimRejected::TooEarly { until: not_before } => Retry::after(until(not_before), RetryReason::TooEarly),
        ClaimRejected::Exhausted { attempt, charged_attempts } => {
            consumer.endings.fail_exhausted(job, delivery, attempt, charged_attempts).await
        }
    }
}
