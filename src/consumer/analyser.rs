//! The analysis of one document. A short document takes one call. A long text takes
//! one call for each chunk, and further calls that join the chunk results:
//!
//! ```text
//! text ─ split → chunks ─ one call each → results ─ join calls → result
//! ```
//!
//! Each chunk result is stored in S3 as soon as it is known, and is looked up before
//! the call. An attempt that was throttled, ran out of time or crashed thus leaves
//! its paid results to the next attempt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tracing::warn;

use super::admission::{Admission, Permit};
use super::delivery::Delivery;
use super::gate::Gate;
use super::schema_primer::SchemaPrimer;
use crate::aws::chunk_results::{ChunkResult, ChunkResults};
use crate::aws::model::{Answer, AnsweredCall, Call, CallError, Model, Question, Rejected, slow_validation};
use crate::clock::{now, until};
use crate::domain::analysis::answer_form::AnswerForm;
use crate::domain::document::chunks::{SPLITTING_VERSION, group_results, split_text};
use crate::domain::document::{Content, Document, sha256_hex, text_too_large};
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;
use crate::domain::limits::{CHUNK_STORE_TIMEOUT, CHUNKS_MAX, CONCURRENT_CHUNKS, DOCUMENT_MAX_BYTES};
use crate::heavy_work;

/// Analyses documents within the model's quota.
#[derive(Debug, Clone)]
pub(super) struct Analyser {
    pub model: Model,
    pub gate: Gate,
    pub primer: SchemaPrimer,
    /// `None` when no quota is configured.
    pub admission: Option<Admission>,
    pub chunk_results: ChunkResults,
    /// A longer text is analysed in chunks of at most this size.
    pub chunk_max_bytes: usize,
}

impl Analyser {
    /// The hash by which the result of an equal document is found: the document's
    /// bytes, the analysis, and every setting of the call.
    pub fn fingerprint(&self, call: &Call<'_>, sha256: &str) -> String {
        call.analysis.fingerprint(sha256, &json!([self.model.cache_key_params(call), self.chunk_max_bytes]))
    }

    /// Analyses a document. Chunk results are stored under `fingerprint`.
    ///
    /// The caller has checked that there is time for the first call, and `permit`
    /// admits it. Before each further call, this function checks the time itself.
    ///
    /// # Errors
    /// The error of a call. After [`AttemptError::NoTime`], the results so far are stored.
    pub async fn analyse(
        &self,
        call: &Call<'_>,
        document: Document,
        fingerprint: &str,
        permit: Option<Permit>,
        delivery: &Delivery,
    ) -> Result<Answer, AttemptError> {
        let (format, text) = match document.content() {
            Content::Text { format, text } if text.len() > self.chunk_max_bytes => (*format, text),
            _ => return self.converse(call, document, permit, delivery).await,
        };
        drop(permit);
        let chunks = split_text(text, self.chunk_max_bytes, CHUNKS_MAX)
            .ok_or_else(|| AttemptError::Permanent(text_too_large(text.len(), self.chunk_max_bytes)))?;
        let folder = format!("chunks/{}/{SPLITTING_VERSION}-{fingerprint}", call.job_id);
        let long_text = LongText { analyser: self, call, delivery, folder };
        let count = chunks.len();
        let chunk = |(number, chunk)| (format!("{number}"), Document::chunk(format, chunk, number, count));
        let documents = (1..).zip(chunks).map(chunk).collect();
        drop(document);
        let done = long_text.analyse_all(documents).await?;
        let chunks = u32::try_from(count).ok();
        Ok(Answer { chunks, ..long_text.join(done).await? })
    }

    /// Analyses one document. The model is asked a second time, in the same attempt:
    ///
    /// - after an answer that does not fit, with the complaint about it;
    /// - or after a broken tool call.
    ///
    /// After the refusal of a form, the model is asked in its next form. Each form is refused
    /// once at most, and a refusal costs no tokens.
    async fn converse(
        &self,
        call: &Call<'_>,
        document: Document,
        mut permit: Option<Permit>,
        delivery: &Delivery,
    ) -> Result<Answer, AttemptError> {
        let mut question = Question::new(document);
        let mut form = self.model.first_form(call)?;
        let (mut spent, mut duration) = (Usage::default(), Duration::ZERO);
        // The error of a paid call, which charges the attempt in every case.
        let mut first_error: Option<AttemptError> = None;
        loop {
            let called = self.call_model(call, &question, form, permit.take(), delivery).await;
            let next = match (called, &first_error) {
                (Ok(Called::Answered(AnsweredCall { usage, elapsed, answer })), _) => {
                    spent += usage;
                    duration += elapsed;
                    match answer {
                        Ok(answer) => return Ok(Answer { usage: spent, elapsed: duration, ..answer }),
                        Err(rejected) => rejected,
                    }
                }
                (Ok(Called::FormRefused(next)), None) => {
                    form = next;
                    continue;
                }
                (Ok(Called::BrokenToolUse(failure)), Some(_)) if !question.is_repair() => {
                    return Err(AttemptError::Permanent(failure));
                }
                (Ok(Called::BrokenToolUse(failure)), None) => {
                    Rejected { error: AttemptError::Transient(failure), complaint: None }
                }
                (_, Some(error)) => return Err(error.clone()),
                (Err(error), None) => return Err(error),
            };
            let Rejected { error, complaint } = next;
            let is_transient = matches!(error, AttemptError::Transient(_));
            if first_error.is_some() || !is_transient || !delivery.has_time() {
                return Err(error);
            }
            first_error = Some(error);
            if let Some(complaint) = complaint {
                question = question.again(*complaint);
            }
        }
    }

    /// Makes one call through the gate and within the quota of its model.
    async fn call_model(
        &self,
        call: &Call<'_>,
        question: &Question,
        form: AnswerForm,
        permit: Option<Permit>,
        delivery: &Delivery,
    ) -> Result<Called, AttemptError> {
        if let Some(on_hold) = self.gate.blocks_model(call.model_id).await {
            return Err(AttemptError::OnHold(on_hold));
        }
        self.gate.resolve_doubt(call.model_id, delivery).await?;
        let priming = self.primer.wait(call, form, delivery.latest_start()).await?;
        let document = question.document();
        let mut permit = match self.admission.as_ref().filter(|admission| admission.applies_to(call.model_id)) {
            Some(admission) => {
                let is_text = matches!(document.content(), Content::Text { .. });
                let input_bytes = is_text.then(|| document.size_bytes() + call.analysis.prompt_bytes());
                let request = delivery.admission_request();
                Some(admission.admit(permit, input_bytes, call.analysis.max_tokens, request).await?)
            }
            None => {
                drop(permit);
                None
            }
        };
        // The steps before the call took some of the time.
        if !delivery.has_time() {
            return Err(AttemptError::NoTime);
        }
        if let Some(permit) = &mut permit {
            permit.begin_call();
        }
        let begun = now();
        let error = match self.model.converse(call, question, form).await {
            Ok(answered) => {
                self.gate.answered(call.model_id);
                priming.finish();
                if let Some(permit) = permit.filter(|_| answered.usage.input_tokens > 0) {
                    permit.settle(answered.usage, answered.elapsed);
                }
                return Ok(Called::Answered(answered));
            }
            Err(CallError::BrokenToolUse(failure)) => {
                self.gate.answered(call.model_id);
                return Ok(Called::BrokenToolUse(failure));
            }
            Err(CallError::FormRefused(error)) => match self.model.next_form(call, form) {
                Some(next) => return Ok(Called::FormRefused(next)),
                None => error,
            },
            Err(CallError::Attempt(error)) => error,
        };
        let error = match permit {
            Some(permit) => permit.charge_if_too_large(error),
            None => error,
        };
        Err(self.gate.judge((call.job_id, call.model_id), error, begun, delivery).await)
    }
}

/// The end of one call.
enum Called {
    /// Bedrock answered.
    Answered(AnsweredCall),
    /// The model refuses the form; this is its next one.
    FormRefused(AnswerForm),
    /// The model produced a broken tool call.
    BrokenToolUse(Failure),
}

/// The calls of one long text.
struct LongText<'a> {
    analyser: &'a Analyser,
    call: &'a Call<'a>,
    delivery: &'a Delivery,
    /// The S3 folder of the chunk results. Its name holds everything that the
    /// results depend on.
    folder: String,
}

/// The result of one call, with what this attempt spent on it.
struct Done {
    result: Value,
    repaired: bool,
    stop_reason: String,
    usage: Usage,
    elapsed: Duration,
}

impl LongText<'_> {
    /// Joins results until one remains. Each round at least halves their number.
    async fn join(&self, mut done: Vec<Done>) -> Result<Answer, AttemptError> {
        let (mut usage, mut elapsed, mut repaired) = (Usage::default(), Duration::ZERO, false);
        loop {
            for one in &done {
                usage += one.usage;
                elapsed += one.elapsed;
                repaired |= one.repaired;
            }
            if let [_] = done[..] {
                break;
            }
            let mut results: Vec<Value> = done.into_iter().map(|one| one.result).collect();
            let sizes: Vec<usize> = results.iter().map(|result| result.to_string().len()).collect();
            let documents: Vec<_> = group_results(&sizes, self.analyser.chunk_max_bytes)
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
        let model_id = self.call.model_id.to_owned();
        Ok(Answer { result, repaired, model_id, usage, stop_reason, elapsed, chunks: None })
    }

    /// Analyses documents concurrently. After the first error no call begins; calls
    /// in flight are awaited, because they are paid for.
    async fn analyse_all(&self, documents: Vec<(String, Document)>) -> Result<Vec<Done>, AttemptError> {
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
            self.analyser.converse(self.call, document, None, self.delivery).await?;
        let stored = ChunkResult { result, repaired, usage, stop_reason };
        if let Err(error) = self.analyser.chunk_results.put(&key, &stored).await {
            // This attempt keeps the result; only a later attempt would pay again.
            let job_id = self.call.job_id.as_str();
            warn!(job_id, service = error.service, code = error.code, "a chunk result could not be stored");
        }
        let ChunkResult { result, repaired, usage, stop_reason } = stored;
        Ok(Done { result, repaired, stop_reason, usage, elapsed })
    }

    /// The stored result, if it fits the analysis.
    async fn load(&self, key: &str) -> Result<Option<ChunkResult>, AttemptError> {
        let stored = self.analyser.chunk_results.get(key).await.map_err(|error| {
            let message = format!("the stored chunk results could not be read ({})", error.code);
            AttemptError::Transient(Failure::new(codes::DOCUMENT_UNAVAILABLE, message))
        })?;
        let analysis = self.call.analysis.clone();
        let check = move || stored.filter(|stored| analysis.check(&stored.result).is_ok());
        heavy_work::run(check).await.map_err(|abandoned| AttemptError::Permanent(slow_validation(abandoned)))
    }

    /// Checks that there is time for a call and for storing its result.
    fn check_time(&self) -> Result<(), AttemptError> {
        let needed = self.delivery.time_for_a_job + CHUNK_STORE_TIMEOUT;
        if until(self.delivery.deadline) < needed { Err(AttemptError::NoTime) } else { Ok(()) }
    }
}
