//! Parks a job that waits for a hold or a paused batch, so that the end of the wait finds
//! it: the stored job names what it waits for, and its document is in the bucket.

use tracing::warn;

use super::delivery::Delivery;
use super::gate::Gate;
use crate::aws::documents::Documents;
use crate::aws::jobs::Parked;
use crate::clock::now;
use crate::domain::document::{DocumentRecord, sha256_hex};
use crate::domain::job::ending::OnHold;
use crate::domain::job::outcome::{Acknowledged, Outcome};
use crate::domain::job::{DocumentSource, Job, Work};

/// Parks waiting jobs.
#[derive(Debug, Clone)]
pub(super) struct Parking {
    pub gate: Gate,
    pub documents: Documents,
    pub bucket: String,
}

impl Parking {
    /// Parks an unclaimed job, and returns the outcome of its message.
    ///
    /// A job that cannot be parked waits until SQS delivers its message again.
    pub async fn park(&self, job: &Job, on_hold: &OnHold, delivery: &Delivery) -> Outcome {
        self.gate.revive_probe(&on_hold.target).await;
        let jobs = &self.gate.jobs;
        let stored = match jobs.get(&job.job_id).await {
            Ok(stored) => stored,
            Err(error) => return delivery.retry_unavailable(job, &error),
        };
        let document = match &stored {
            Some(row) if row.state.status().has_ended() && delivery.redrive_of != Some(row.attempt) => {
                return Outcome::Acknowledge(Acknowledged::AlreadyFinished);
            }
            // The job waits already, with its document in the bucket.
            Some(row) if row.waiting_for.as_ref() == Some(&on_hold.target) && row.document.location().is_some() => {
                return delivery.retry_on_hold(on_hold);
            }
            Some(row) if row.document.location().is_some() => None,
            Some(_) | None => self.store_document(job).await,
        };
        match jobs.park(job, &on_hold.target, document.as_ref(), now()).await {
            Ok(Parked::Waiting | Parked::NotPending(_)) => delivery.retry_on_hold(on_hold),
            Err(error) => delivery.retry_unavailable(job, &error),
        }
    }

    /// The record of a job's document in the bucket; stores a document that came in the
    /// message. `None` if the bucket did not store it, or the job has no document.
    pub async fn store_document(&self, job: &Job) -> Option<DocumentRecord> {
        let text = match &job.work {
            Work::Document(DocumentSource::S3(location)) => return Some(DocumentRecord::unread(location)),
            Work::Document(DocumentSource::Inline(text)) => text,
            Work::AsyncInvocation(_) => return None,
        };
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
