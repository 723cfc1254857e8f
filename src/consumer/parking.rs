//! Parks a job that waits for a hold or a paused batch, so that the end of the wait finds
//! it: the stored job names what it waits for, and its document is in the bucket.

use tracing::warn;

use super::delivery::Delivery;
use super::gate::Gate;
use crate::aws::documents::Documents;
use crate::aws::jobs::Parked;
use crate::clock::now;
use crate::domain::document::{DocumentRecord, sha256_hex};
use crate::domain::hold::HoldTarget;
use crate::domain::job::ending::OnHold;
use crate::domain::job::outcome::{Acknowledged, Outcome};
use crate::domain::job::stored::StoredJob;
use crate::domain::job::work_id::{WorkMatch, compare_work};
use crate::domain::job::{DocumentSource, Job, Work};

/// Parks waiting jobs.
#[derive(Debug, Clone)]
pub(super) struct Parking {
    pub gate: Gate,
    pub documents: Documents,
    pub bucket: String,
}

impl Parking {
    /// Parks an unclaimed job, and returns the outcome of its message. `None` if the job
    /// need not wait, because its stored job names another model or another document.
    ///
    /// A job that cannot be parked waits until SQS delivers its message again.
    pub async fn park(&self, job: &Job, on_hold: OnHold, delivery: &Delivery) -> Option<Outcome> {
        let jobs = &self.gate.jobs;
        let stored = match jobs.get(&job.job_id).await {
            Ok(stored) => stored,
            Err(error) => return Some(delivery.retry_unavailable(job, &error)),
        };
        // The claim names the reason, and holds nothing up: it is refused.
        if stored.as_ref().is_some_and(|row| compare_work(row, &job.work) != WorkMatch::Same) {
            return None;
        }
        let on_hold = match stored.as_ref().and_then(requested_model) {
            // A message of a resend or a retry does not name the model.
            Some(model_id) if matches!(on_hold.target, HoldTarget::Model(_)) => {
                self.gate.blocks_model(model_id).await?
            }
            _ => on_hold,
        };
        self.gate.revive_probe(&on_hold.target).await;
        let document = match &stored {
            Some(row) if row.state.status().has_ended() && delivery.redrive_of != Some(row.attempt) => {
                return Some(Outcome::Acknowledge(Acknowledged::AlreadyFinished));
            }
            Some(row) if row.document.location().is_some() => {
                // The first delivery of a message writes in any case: a resend may have sent
                // the message, and must not end this wait.
                if row.waiting_for.as_ref() == Some(&on_hold.target) && delivery.receive_count > 1 {
                    return Some(delivery.retry_on_hold(&on_hold));
                }
                None
            }
            Some(_) | None => match &job.work {
                Work::Document(DocumentSource::S3(location)) => Some(DocumentRecord::unread(location)),
                Work::Document(DocumentSource::Inline(_)) | Work::AsyncInvocation(_) => self.store_document(job).await,
            },
        };
        Some(match jobs.park(job, &on_hold.target, document.as_ref(), now()).await {
            Ok(Parked::Waiting | Parked::NotPending(_)) => delivery.retry_on_hold(&on_hold),
            Err(error) => delivery.retry_unavailable(job, &error),
        })
    }

    /// Stores a document that came in the message, and returns its record. `None` if the
    /// bucket did not store it, or no document came in the message.
    pub async fn store_document(&self, job: &Job) -> Option<DocumentRecord> {
        let Work::Document(DocumentSource::Inline(text)) = &job.work else { return None };
        let sha256 = sha256_hex(text.as_bytes());
        let key = format!("documents/{}/{sha256}.txt", job.job_id);
        match self.documents.store(&self.bucket, &key, text.clone(), sha256).await {
            Ok(location) => Some(DocumentRecord::stored(&location, text.len())),
            Err(error) => {
                let job_id = job.job_id.as_str();
                warn!(job_id, service = error.service, code = error.code, "a waiting document could not be stored");
                None
            }
        }
    }
}

/// The model that a stored job requests, if it requests one itself.
fn requested_model(row: &StoredJob) -> Option<&str> {
    row.model_id.as_deref().or(row.analysis.as_ref().and_then(|own| own.model_id.as_deref()))
}
