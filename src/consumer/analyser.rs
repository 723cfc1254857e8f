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

use std::sync::Mutex;

use serde_json::json;

use super::admission::Permit;
use super::conversation::Conversation;
use super::delivery::Delivery;
use super::long_text::LongText;
use crate::aws::Unavailable;
use crate::aws::chunk_results::ChunkResults;
use crate::aws::model::{Answer, Call};
use crate::domain::document::chunks::{SPLITTING_VERSION, split_text};
use crate::domain::document::{Content, Document, TextFormat, text_too_large};
use crate::domain::job::ending::AttemptError;
use crate::domain::limits::CHUNKS_MAX;

/// Analyses documents within the model's quota.
#[derive(Debug, Clone)]
pub(super) struct Analyser {
    pub conversation: Conversation,
    pub chunk_results: ChunkResults,
    /// A longer text is analysed in chunks of at most this size.
    pub chunk_max_bytes: usize,
}

impl Analyser {
    /// The hash by which the result of an equal document is found: the document's
    /// bytes, the analysis, and every setting of the call.
    ///
    /// The name of a document takes part where it changes the format that is sent.
    pub fn fingerprint(
        &self,
        call: &Call<'_>,
        sha256: &str,
        parts: &[Document],
        page_range: Option<[u32; 2]>,
    ) -> String {
        let format = parts.first().map(|part| part.content().format_name());
        let params = json!([self.conversation.model.cache_key_params(call), self.chunk_max_bytes, format, page_range]);
        call.analysis.fingerprint(sha256, &params)
    }

    /// Analyses a document, which came in one part or in several. Chunk results are stored under `fingerprint`.
    ///
    /// The caller has checked that there is time for the first call, and `permit`
    /// admits it. Before each further call, this function checks the time itself.
    ///
    /// # Errors
    /// The error of a call. The results so far are stored, unless [`Stopped::unsaved`] says
    /// otherwise.
    pub async fn analyse(
        &self,
        call: &Call<'_>,
        mut parts: Vec<Document>,
        fingerprint: &str,
        permit: Option<Permit>,
        delivery: &Delivery,
    ) -> Result<Answer, Stopped> {
        if let [document] = &parts[..] {
            parts = match document.content() {
                Content::Text { format, text } if text.len() > self.chunk_max_bytes => self.split(*format, text)?,
                _ => parts,
            };
        }
        if parts.len() == 1
            && let Some(document) = parts.pop()
        {
            return Ok(self.conversation.converse(call, document, permit, delivery, false).await?);
        }
        drop(permit);
        let folder = format!("chunks/{}/{SPLITTING_VERSION}-{fingerprint}", call.job_id);
        let Self { conversation, chunk_results, chunk_max_bytes } = self;
        let unsaved = Mutex::default();
        let long_text = LongText {
            conversation,
            chunk_results,
            chunk_max_bytes: *chunk_max_bytes,
            call,
            delivery,
            folder,
            unsaved,
        };
        let count = parts.len();
        let documents = (1..).zip(parts).map(|(number, part): (usize, _)| (number.to_string(), part)).collect();
        let analysed = async { long_text.join(long_text.analyse_all(documents).await?).await };
        match analysed.await {
            Ok(answer) => Ok(Answer { chunks: u32::try_from(count).ok(), ..answer }),
            Err(error) => Err(Stopped { error, unsaved: long_text.save_again().await }),
        }
    }

    /// The chunks of a long text.
    fn split(&self, format: TextFormat, text: &str) -> Result<Vec<Document>, AttemptError> {
        let chunks = split_text(format, text, self.chunk_max_bytes, CHUNKS_MAX)
            .ok_or_else(|| AttemptError::Permanent(text_too_large(text.len(), self.chunk_max_bytes)))?;
        let count = chunks.len();
        Ok((1..).zip(chunks).map(|(number, chunk)| Document::chunk(format, &chunk, number, count)).collect())
    }
}

/// An analysis without an answer.
#[derive(Debug)]
pub(super) struct Stopped {
    /// The error that stopped it.
    pub error: AttemptError,
    /// Why the bucket did not store the answer of a paid call; `None` if all are stored.
    pub unsaved: Option<Unavailable>,
}

impl From<AttemptError> for Stopped {
    fn from(error: AttemptError) -> Self {
        Self { error, unsaved: None }
    }
}
