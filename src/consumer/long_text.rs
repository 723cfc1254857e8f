//! The calls of one long text: a call for each chunk, and calls that join their results.
//!
//! A result that the bucket does not store stays with the attempt. If the attempt ends without
//! an answer, it is charged, because a later attempt pays for the call again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tracing::warn;

use super::conversation::Conversation;
use super::delivery::Delivery;
use crate::aws::Unavailable;
use crate::aws::chunk_results::{ChunkResult, ChunkResults};
use crate::aws::model::{Answer, Call, slow_validation};
use crate::clock::until;
use crate::domain::document::chunks::group_results;
use crate::domain::document::joined_lists::JoinedLists;
use crate::domain::document::{Document, sha256_hex};
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;
use crate::domain::limits::{CHUNK_STORE_TIMEOUT, CONCURRENT_CHUNKS, DOCUMENT_MAX_BYTES};
use crate::heavy_work;

/// The calls of one long text.
pub(super) struct LongText<'a> {
    pub conversation: &'a Conversation,
    pub chunk_results: &'a ChunkResults,
    pub chunk_max_bytes: usize,
    pub call: &'a Call<'a>,
    pub delivery: &'a Delivery,
    /// The S3 folder of the chunk results. Its name holds everything that the
    /// results depend on.
    pub folder: String,
    /// The paid results that the bucket did not store, with their keys.
    pub unsaved: Mutex<Vec<(String, ChunkResult)>>,
}

/// The result of one call, with what this attempt spent on it.
pub(super) struct Done {
    result: Value,
    repaired: bool,
    stop_reason: String,
    usage: Usage,
    elapsed: Duration,
}

impl LongText<'_> {
    /// Joins results until one remains. Each round at least halves their number.
    ///
    /// Code concatenates the lists, and the model joins what needs judgement. Where the
    /// schema does not allow the complete lists, the model joins them too.
    pub async fn join(&self, mut done: Vec<Done>) -> Result<Answer, AttemptError> {
        let (mut usage, mut elapsed, mut repaired) = (Usage::default(), Duration::ZERO, false);
        let results: Vec<Value> = done.iter().map(|one| one.result.clone()).collect();
        let lists = JoinedLists::from_results(&results);
        let can_put = match results.first() {
            Some(first) if done.len() > 1 => self.fits(lists.put_into(first.clone())).await?,
            _ => false,
        };
        drop(results);
        if let Some(result) = lists.complete().filter(|_| can_put) {
            let stop_reason = done.last().map(|one| one.stop_reason.clone()).unwrap_or_default();
            for one in &done {
                usage += one.usage;
                elapsed += one.elapsed;
                repaired |= one.repaired;
            }
            done = vec![Done { result, repaired, stop_reason, usage, elapsed }];
            (usage, elapsed) = (Usage::default(), Duration::ZERO);
        }
        loop {
            for one in &done {
                usage += one.usage;
                elapsed += one.elapsed;
                repaired |= one.repaired;
            }
            if let [_] = done[..] {
                break;
            }
            let shorten = |result| if can_put { lists.shorten(result) } else { result };
            let mut results: Vec<Value> = done.into_iter().map(|one| shorten(one.result)).collect();
            let sizes: Vec<usize> = results.iter().map(|result| result.to_string().len()).collect();
            let documents: Vec<_> = group_results(&sizes, self.chunk_max_bytes)
                .into_iter()
                .map(|count| {
                    let group = Value::Array(results.drain(..count).collect()).to_string();
                    (format!("joined-{}", sha256_hex(group.as_bytes())), Document::results(group))
                })
                .collect();
            if documents.iter().any(|(_, document)| document.size_bytes() > DOCUMENT_MAX_BYTES) {
                let message = "the chunk results are too long to be joined; ask for shorter results";
                return Err(AttemptError::Permanent(Failure::new(codes::ANSWER_TOO_LARGE, message)));
            }
            done = self.analyse_all(documents).await?;
        }
        let Done { result, stop_reason, .. } = done.pop().expect("results are joined until one remains");
        let with_lists = if can_put { lists.put_into(result.clone()) } else { result.clone() };
        let result = if self.fits(with_lists.clone()).await? { with_lists } else { result };
        let model_id = self.call.model_id.to_owned();
        Ok(Answer { result, repaired, model_id, usage, stop_reason, elapsed, chunks: None })
    }

    /// Analyses documents concurrently. After the first error no call begins; calls
    /// in flight are awaited, because they are paid for.
    pub async fn analyse_all(&self, documents: Vec<(String, Document)>) -> Result<Vec<Done>, AttemptError> {
        let has_failed = AtomicBool::new(false);
        let has_failed = &has_failed;
        let one = |(name, document): (String, Document)| async move {
            if has_failed.load(Ordering::Relaxed) {
                return Err(AttemptError::NoTime);
            }
            let done = self.analyse_one(&name, document).await;
            has_failed.fetch_or(done.is_err(), Ordering::Relaxed);
            done
        };
        let ended: Vec<_> = stream::iter(documents).map(one).buffered(CONCURRENT_CHUNKS).collect().await;
        let (mut done, mut errors) = (Vec::with_capacity(ended.len()), Vec::new());
        for end in ended {
            match end {
                Ok(one) => done.push(one),
                Err(error) => errors.push(error),
            }
        }
        errors.into_iter().max_by_key(AttemptError::severity).map_or(Ok(done), Err)
    }

    /// Analyses one document, unless its result is stored.
    async fn analyse_one(&self, name: &str, document: Document) -> Result<Done, AttemptError> {
        self.check_time()?;
        let key = format!("{}/{name}.json", self.folder);
        if let Some(ChunkResult { result, repaired, usage, stop_reason }) = self.load(&key).await? {
            return Ok(Done { result, repaired, stop_reason, usage, elapsed: Duration::ZERO });
        }
        self.check_time()?;
        let Answer { result, repaired, usage, stop_reason, elapsed, .. } =
            self.conversation.converse(self.call, document, None, self.delivery, self.holds_unsaved()).await?;
        let stored = ChunkResult { result, repaired, usage, stop_reason };
        if let Err(error) = self.chunk_results.put(&key, &stored).await {
            // This attempt keeps the result; only a later attempt would pay again.
            let job_id = self.call.job_id.as_str();
            warn!(job_id, service = error.service, code = error.code, "a chunk result could not be stored");
            self.lock_unsaved().push((key, stored.clone()));
        }
        let ChunkResult { result, repaired, usage, stop_reason } = stored;
        Ok(Done { result, repaired, stop_reason, usage, elapsed })
    }

    /// Stores the results again that the bucket did not store. Returns why it still does not.
    pub async fn save_again(&self) -> Option<Unavailable> {
        let unsaved = std::mem::take(&mut *self.lock_unsaved());
        let puts = unsaved.iter().map(|(key, result)| self.chunk_results.put(key, result));
        join_all(puts).await.into_iter().find_map(Result::err)
    }

    fn holds_unsaved(&self) -> bool {
        !self.lock_unsaved().is_empty()
    }

    fn lock_unsaved(&self) -> MutexGuard<'_, Vec<(String, ChunkResult)>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored result, if it fits the analysis.
    async fn load(&self, key: &str) -> Result<Option<ChunkResult>, AttemptError> {
        let stored = self.chunk_results.get(key).await.map_err(|error| {
            let message = format!("the stored chunk results could not be read ({})", error.code);
            AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
        })?;
        let analysis = self.call.analysis.clone();
        let check = move || stored.filter(|stored| analysis.check(&stored.result).is_ok());
        heavy_work::run(check).await.map_err(|abandoned| AttemptError::Permanent(slow_validation(abandoned)))
    }

    /// Whether a result fits the analysis and can be stored.
    async fn fits(&self, result: Value) -> Result<bool, AttemptError> {
        let analysis = self.call.analysis.clone();
        let check = move || analysis.check(&result).is_ok();
        heavy_work::run(check).await.map_err(|abandoned| AttemptError::Permanent(slow_validation(abandoned)))
    }

    /// Checks that there is time for a call and for storing its result.
    fn check_time(&self) -> Result<(), AttemptError> {
        let needed = self.delivery.time_for_a_job + CHUNK_STORE_TIMEOUT;
        if until(self.delivery.deadline) < needed { Err(AttemptError::NoTime) } else { Ok(()) }
    }
}
