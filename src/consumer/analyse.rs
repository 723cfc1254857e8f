//! The analysis of one document: one call, or, of a text that is longer than
//! one call takes, a call for each part and one that joins their results:
//!
//! ```text
//! text ─ split → parts ─ a call each → results ─ a call for all of them → result
//! ```
//!
//! Each result lies in the bucket as soon as it is known, and is looked for
//! there before a call is made: an attempt that was throttled, ran out of time
//! or crashed leaves to the next what it has paid for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tracing::warn;

use super::Consumer;
use super::admission::Permit;
use super::job::{Delivery, has_time};
use crate::aws::model::{Answer, Answered, Call};
use crate::aws::part_results::PartResult;
use crate::clock::until;
use crate::domain::document::{Content, Document, sha256_hex, text_too_large};
use crate::domain::ending::AttemptError;
use crate::domain::failure::{Failure, codes};
use crate::domain::limits::{DOCUMENT_MAX_BYTES, PART_STORE_TIMEOUT, PARTS_MAX, PARTS_SIDE_BY_SIDE};
use crate::domain::parts::{groups, split};
use crate::domain::row::Usage;

/// Analyses a document; its parts' results lie under `fingerprint`. For its first
/// call there must be time, and `permit` admits it; before each other one it is
/// looked whether there is.
///
/// # Errors
/// As the calls end. [`AttemptError::NoTime`]: what was done so far is stored.
pub(super) async fn analyse(
    consumer: &Consumer,
    call: &Call<'_>,
    document: Document,
    fingerprint: &str,
    permit: Option<Permit>,
    delivery: &Delivery,
) -> Result<Answer, AttemptError> {
    let (format, text) = match document.content() {
        Content::Text { format, text } if text.len() > consumer.part_max_bytes => (*format, text),
        _ => return consumer.converse(call, document, permit, delivery).await,
    };
    drop(permit);
    let parts = split(text, consumer.part_max_bytes, PARTS_MAX)
        .ok_or_else(|| AttemptError::Permanent(text_too_large(text.len(), consumer.part_max_bytes)))?;
    let folder = format!("parts/{}/{fingerprint}", call.job_id);
    let work = Work { consumer, call, delivery, folder };
    let count = parts.len();
    let part = |(number, part)| (format!("{number}"), Document::part(format, part, number, count));
    let documents = (1..).zip(parts).map(part).collect();
    drop(document);
    let done = work.all(documents).await?;
    let parts = u32::try_from(count).ok();
    Ok(Answer { parts, ..work.join(done).await? })
}

impl Consumer {
    /// One call, within the quota of its model.
    async fn converse(
        &self,
        call: &Call<'_>,
        document: Document,
        permit: Option<Permit>,
        delivery: &Delivery,
    ) -> Result<Answer, AttemptError> {
        let permit = match self.admission.as_ref().filter(|admission| admission.is_of(call.model_id)) {
            Some(admission) => {
                let text = matches!(document.content(), Content::Text { .. });
                let input_bytes = text.then(|| document.size_bytes() + call.analysis.prompt_bytes());
                let asker = delivery.asker(self);
                Some(admission.admit(permit, input_bytes, call.analysis.max_tokens, asker).await?)
            }
            None => {
                drop(permit);
                None
            }
        };
        // What came before took some of it.
        if !has_time(self, delivery) {
            return Err(AttemptError::NoTime);
        }
        let begun = permit.map(Permit::begin);
        match self.model.converse(call, document).await {
            Ok(Answered { usage, elapsed, answer }) => {
                if let Some(begun) = begun.filter(|_| usage.input_tokens > 0) {
                    begun.settle(usage, elapsed);
                }
                answer
            }
            Err(error) => Err(match begun {
                Some(begun) => begun.charge_if_too_large(error),
                None => error,
            }),
        }
    }
}

/// A long document's calls.
struct Work<'a> {
    consumer: &'a Consumer,
    call: &'a Call<'a>,
    delivery: &'a Delivery,
    /// Where their results lie: named after all that they depend on.
    folder: String,
}

/// A call's result, with what this attempt spent on it.
struct Done {
    result: Value,
    stop_reason: String,
    usage: Usage,
    elapsed: Duration,
}

impl Work<'_> {
    /// Joins results until there is one. Each level has half as many or fewer.
    async fn join(&self, mut done: Vec<Done>) -> Result<Answer, AttemptError> {
        let (mut usage, mut elapsed) = (Usage::default(), Duration::ZERO);
        loop {
            for one in &done {
                usage.input_tokens += one.usage.input_tokens;
                usage.output_tokens += one.usage.output_tokens;
                elapsed += one.elapsed;
            }
            if let [_] = done[..] {
                break;
            }
            let mut results: Vec<Value> = done.into_iter().map(|one| one.result).collect();
            let sizes: Vec<usize> = results.iter().map(|result| result.to_string().len()).collect();
            let documents: Vec<_> = groups(&sizes, self.consumer.part_max_bytes)
                .into_iter()
                .map(|count| {
                    let group = Value::Array(results.drain(..count).collect()).to_string();
                    (format!("joined-{}", sha256_hex(group.as_bytes())), Document::results(group))
                })
                .collect();
            if documents.iter().any(|(_, document)| document.size_bytes() > DOCUMENT_MAX_BYTES) {
                let message = "the results of the document's parts are too long to be joined; ask for shorter ones";
                return Err(AttemptError::Permanent(Failure::new(codes::ANSWER_TOO_LARGE, message)));
            }
            done = self.all(documents).await?;
        }
        let Done { result, stop_reason, .. } = done.pop().expect("results are joined until there is one");
        let model_id = self.call.model_id.to_owned();
        Ok(Answer { result, model_id, usage, stop_reason, elapsed, parts: None })
    }

    /// Asks about documents side by side. After the first that fails no other is
    /// begun, and those that run are heard out: they are paid for.
    async fn all(&self, documents: Vec<(String, Document)>) -> Result<Vec<Done>, AttemptError> {
        let failed = AtomicBool::new(false);
        let failed = &failed;
        let one = |(name, document): (String, Document)| async move {
            if failed.load(Ordering::Relaxed) {
                return Err(AttemptError::NoTime);
            }
            let done = self.one(&name, document).await;
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
            done
        };
        let ended: Vec<_> = stream::iter(documents).map(one).buffered(PARTS_SIDE_BY_SIDE).collect().await;
        let (mut done, mut errors) = (Vec::with_capacity(ended.len()), Vec::new());
        for end in ended {
            match end {
                Ok(one) => done.push(one),
                Err(error) => errors.push(error),
            }
        }
        errors.into_iter().max_by_key(weight).map_or(Ok(done), Err)
    }

    /// Asks about one document, unless the result is there.
    async fn one(&self, name: &str, document: Document) -> Result<Done, AttemptError> {
        self.time_left()?;
        let key = format!("{}/{name}.json", self.folder);
        if let Some(PartResult { result, usage, stop_reason }) = self.stored(&key).await? {
            return Ok(Done { result, stop_reason, usage, elapsed: Duration::ZERO });
        }
        self.time_left()?;
        let Answer { result, usage, stop_reason, elapsed, .. } =
            self.consumer.converse(self.call, document, None, self.delivery).await?;
        let stored = PartResult { result, usage, stop_reason };
        if let Err(error) = self.consumer.part_results.put(&key, &stored).await {
            // It serves this attempt; only a later one would pay for it again.
            let job_id = self.call.job_id.as_str();
            warn!(job_id, service = error.service, code = error.code, "a part's result could not be stored");
        }
        let PartResult { result, usage, stop_reason } = stored;
        Ok(Done { result, stop_reason, usage, elapsed })
    }

    /// What lies there, when it answers what is asked.
    async fn stored(&self, key: &str) -> Result<Option<PartResult>, AttemptError> {
        let stored = self.consumer.part_results.get(key).await.map_err(|error| {
            let message = format!("the results of the document's parts could not be read this time ({})", error.code);
            AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
        })?;
        Ok(stored.filter(|stored| self.call.analysis.check(&stored.result).is_ok()))
    }

    /// Whether there is time for a call and for storing its result.
    fn time_left(&self) -> Result<(), AttemptError> {
        let wanted = self.consumer.time_for_a_job() + PART_STORE_TIMEOUT;
        if until(self.delivery.deadline) < wanted { Err(AttemptError::NoTime) } else { Ok(()) }
    }
}

/// Of several errors the one that says most ends the attempt.
fn weight(error: &AttemptError) -> u8 {
    match error {
        AttemptError::NoTime => 0,
        AttemptError::OverQuota(_) => 1,
        AttemptError::Throttled(_) => 2,
        AttemptError::Transient(_) => 3,
        AttemptError::Permanent(_) => 4,
        AttemptError::Cancelled => 5,
    }
}
