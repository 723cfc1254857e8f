//! The work of a document job: admit, fetch, find a duplicate, analyse, complete.

use super::admission::{NotAdmitted, Permit};
use super::analyser::{Analyser, Stopped};
use super::analyses::Analyses;
use super::attempt::Attempt;
use super::children::{ChildJobs, Parent, folder_result};
use super::delivery::Delivery;
use super::document_opener::DocumentOpener;
use super::document_reader::DocumentReader;
use super::evidence_check;
use super::memory_budget::MemoryPermit;
use super::response::Handled;
use super::result_store::ResultStore;
use super::store_probe::StoreProbe;
use crate::aws::Unavailable;
use crate::aws::model::Call;
use crate::clock::now;
use crate::domain::analysis::Analysis;
use crate::domain::batch::Batch;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::document::reading::Reading;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::{HoldKind, HoldTarget};
use crate::domain::job::ending::{AttemptError, OnHold};
use crate::domain::job::outcome::{Outcome, Retry, RetryReason};
use crate::domain::job::stored::{Completed, Usage};
use crate::domain::job::{DocumentSource, Job};
use crate::domain::limits::FETCH_RESERVE;

/// Runs document jobs.
#[derive(Debug, Clone)]
pub(super) struct DocumentWork {
    pub reader: DocumentReader,
    pub opener: DocumentOpener,
    pub children: ChildJobs,
    pub analyser: Analyser,
    pub analyses: Analyses,
    pub results: ResultStore,
    pub store: StoreProbe,
    pub deduplicate: bool,
}

impl DocumentWork {
    /// Admits the model call of a document to the quota; `None` when no quota applies.
    ///
    /// # Errors
    /// The outcome of a message that must wait. Its stored job is unchanged.
    pub async fn admit(
        &self,
        job: &Job,
        source: &DocumentSource,
        delivery: &Delivery,
    ) -> Result<Option<Permit>, Outcome> {
        let Some(admission) = &self.analyser.conversation.admission else { return Ok(None) };
        let request = job.analysis.as_ref();
        let model_id = job.model_id.as_deref().or(request.and_then(|request| request.model_id.as_deref()));
        if model_id.is_some_and(|model_id| !admission.applies_to(model_id)) {
            return Ok(None);
        }
        let input_bytes = match source {
            DocumentSource::Inline(text) => {
                Some(text.len().min(self.analyser.chunk_max_bytes) + Analysis::standard().prompt_bytes())
            }
            DocumentSource::S3(_) => None,
        };
        // An analysis above the ceiling fails after the claim, and reserves no more than it.
        let ceiling = self.analyses.max_tokens_ceiling;
        let max_tokens = request.and_then(|request| request.max_tokens).map(|tokens| tokens.min(ceiling));
        match admission.admit(None, input_bytes, max_tokens, delivery.admission_request()).await {
            Ok(permit) => Ok(Some(permit)),
            Err(NotAdmitted::OverQuota(after)) => Err(Retry::after(after, RetryReason::OverQuota)),
            Err(NotAdmitted::Unavailable(error)) => Err(delivery.retry_unavailable(job, &error)),
            Err(NotAdmitted::NoTime) => Err(delivery.retry_without_time()),
            // The attempt fails with this reason once the job is claimed.
            Err(NotAdmitted::NeverFits) => Ok(None),
        }
    }

    /// Runs a claimed job to its ending.
    pub async fn run(&self, attempt: &Attempt<'_>, source: &DocumentSource, permit: Option<Permit>) -> Handled {
        match self.analyse(attempt, source, permit).await {
            Ok((completed, document)) => {
                let usage = Some(completed.usage);
                Handled { outcome: attempt.complete(completed, document).await, usage }
            }
            Err(error) => Handled::without_usage(attempt.end(error).await),
        }
    }

    /// Everything between the claim and its ending. The stored job is not written here.
    async fn analyse(
        &self,
        attempt: &Attempt<'_>,
        source: &DocumentSource,
        permit: Option<Permit>,
    ) -> Result<(Completed, DocumentRecord), AttemptError> {
        let Attempt { job, delivery, claim, .. } = attempt;
        if claim.suspect && !delivery.is_alone {
            return Err(AttemptError::NotAlone);
        }
        let batch = attempt.batch().await?;
        if batch.as_ref().is_some_and(|batch| batch.cancelled_at.is_some()) {
            return Err(AttemptError::Cancelled);
        }
        if let Some(paused) = batch.as_ref().and_then(Batch::paused_on_hold) {
            return Err(AttemptError::OnHold(paused));
        }
        let of_batch = batch.as_ref().and_then(|batch| batch.analysis.as_ref());
        let request = claim.analysis.as_deref().or(of_batch);
        let analysis = &self.analyses.get(request).await?;
        let of_analysis = request.and_then(|request| request.model_id.as_deref());
        let model_id = claim.model_id.as_deref().or(of_analysis).unwrap_or(self.analyser.conversation.model.model_id());
        let page_range = request.and_then(|request| request.page_range);
        let time = delivery.time_before_call();
        let fetched = tokio::time::timeout(time, self.fetch(source, delivery, page_range)).await;
        let (reading, mut record, _memory) = fetched.map_err(|_| {
            // A late start is no fault of the document or the bucket.
            if time < FETCH_RESERVE {
                return AttemptError::NoTime;
            }
            let message = "the document could not be read before the invocation's deadline";
            AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
        })??;
        if !delivery.has_time() {
            return Err(AttemptError::NoTime);
        }
        let Reading { parts, children, facts } = reading;
        record.facts = facts;
        if !children.is_empty() {
            let parent = Parent { job, claim, key: source_key(source) };
            let described = self.children.create(&parent, children).await?;
            record.facts.children = u32::try_from(described.len()).ok();
            if parts.is_empty() {
                return Ok((self.complete_folder(attempt, model_id, &described).await?, record));
            }
        }
        let deduplicate = batch.as_ref().and_then(|batch| batch.deduplicate).unwrap_or(self.deduplicate);
        let sha256 = record.sha256.as_deref().unwrap_or_default();
        let (attempt, generation) = (claim.attempt, claim.generation);
        let call = Call { job_id: &job.job_id, attempt, generation, model_id, analysis };
        let fingerprint = self.analyser.fingerprint(&call, sha256, &parts, page_range);
        if deduplicate
            && let Some(completed) = self.results.find_duplicate(call.job_id, call.attempt, &fingerprint).await?
        {
            return Ok((completed, record));
        }
        let readable = if analysis.has_evidence() { evidence_check::read_text(&parts).await } else { None };
        let mut answer = match self.analyser.analyse(&call, parts, &fingerprint, permit, delivery).await {
            Ok(answer) => answer,
            Err(Stopped { error, unsaved: None }) => return Err(error),
            Err(Stopped { error, unsaved: Some(cause) }) => return Err(self.chunks_not_stored(error, cause).await),
        };
        let evidence = evidence_check::finish(analysis, readable, &mut answer.result).await;
        // Only a deduplicating job is found by its fingerprint, so the index costs others nothing.
        let found_by = deduplicate.then_some(fingerprint);
        let stored = self.results.store_answer(&job.job_id, claim.attempt, (answer, evidence), found_by, now()).await;
        match stored {
            Ok(completed) => Ok((completed, record)),
            Err(error) => Err(self.not_stored(error).await),
        }
    }

    /// The completion of a ZIP file's job. Each of its documents has its own job, and no call
    /// is made.
    async fn complete_folder(
        &self,
        attempt: &Attempt<'_>,
        model_id: &str,
        children: &[serde_json::Value],
    ) -> Result<Completed, AttemptError> {
        let result = self.results.store(&attempt.job.job_id, attempt.claim.attempt, folder_result(children)).await?;
        Ok(Completed {
            result,
            label: None,
            repaired: false,
            model_id: model_id.to_owned(),
            usage: Usage::default(),
            stop_reason: "children".to_owned(),
            model_latency_ms: 0,
            chunks: None,
            completed_at: now(),
            deduplicated_from: None,
            fingerprint: None,
            evidence: None,
        })
    }

    /// The end of an attempt whose paid answer the bucket did not store. If the bucket
    /// refuses writes, the store's hold opens, so that no further call is paid for in vain.
    async fn not_stored(&self, error: Unavailable) -> AttemptError {
        let reason = Failure::new(codes::STORE_UNAVAILABLE, error.cause());
        if !error.is_refusal() || self.store.ask().await.is_ok() {
            return AttemptError::NotStored(reason);
        }
        match self.analyser.conversation.gate.open(HoldTarget::Store, HoldKind::StoreRefusal, reason.clone()).await {
            AttemptError::OnHold(on_hold) => AttemptError::OnHold(OnHold { charged: true, ..on_hold }),
            // The hold could not be opened, and the call is paid for.
            _ => AttemptError::NotStored(reason),
        }
    }

    /// The error of an object that does not exist: it may have been purged with another job.
    async fn explain_missing(&self, location: &S3Location, missing: Failure) -> AttemptError {
        match self.results.jobs.is_purged_object(location).await {
            Ok(true) => {
                let message = "the document was purged with another job that named the same object";
                AttemptError::Permanent(Failure::new(codes::DOCUMENT_PURGED, message))
            }
            Ok(false) => AttemptError::Permanent(missing),
            Err(error) => error.into(),
        }
    }

    /// The end of an attempt that stopped with `error` and holds paid answers of chunks that the
    /// bucket did not store. A later attempt pays for them again, so this one is charged.
    async fn chunks_not_stored(&self, error: AttemptError, cause: Unavailable) -> AttemptError {
        match error {
            AttemptError::Permanent(_) | AttemptError::Refused(_) | AttemptError::Cancelled => error,
            AttemptError::Throttled(_)
            | AttemptError::StoreUnavailable(_)
            | AttemptError::Transient(_)
            | AttemptError::AccountFault(_)
            | AttemptError::NoAnswer(_)
            | AttemptError::Unproven { .. }
            | AttemptError::OnHold(_)
            | AttemptError::NotStored(_)
            | AttemptError::NoTime
            | AttemptError::NotAlone
            | AttemptError::OverQuota(_) => self.not_stored(cause).await,
        }
    }

    /// Reads the document. Returns it with its record and its share of the memory
    /// budget; a document from the message is in memory already and has no share.
    async fn fetch(
        &self,
        source: &DocumentSource,
        delivery: &Delivery,
        page_range: Option<[u32; 2]>,
    ) -> Result<(Reading, DocumentRecord, Option<MemoryPermit>), AttemptError> {
        let (name, bytes, record, memory) = match source {
            DocumentSource::Inline(text) => (None, text.clone().into_bytes(), DocumentRecord::default(), None),
            DocumentSource::S3(location) => {
                let read = self.reader.read(location, delivery).await;
                let (bytes, memory) = match read {
                    Err(AttemptError::Permanent(failure)) if failure.code == codes::DOCUMENT_NOT_FOUND => {
                        return Err(self.explain_missing(location, failure).await);
                    }
                    other => other?,
                };
                (Some(location.key.as_str()), bytes, DocumentRecord::unread(location), Some(memory))
            }
        };
        let record = record.with_bytes(&bytes);
        Ok((self.opener.open(name.map(str::to_owned), bytes, page_range).await?, record, memory))
    }
}

fn source_key(source: &DocumentSource) -> Option<&str> {
    match source {
        DocumentSource::S3(location) => Some(&location.key),
        DocumentSource::Inline(_) => None,
    }
}
