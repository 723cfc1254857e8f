//! The check of evidence: off the thread that keeps time, after an answer that fits.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::analysis::Analysis;
use crate::domain::document::readable::{Readable, readable_text};
use crate::domain::document::{Content, Document, Role};
use crate::domain::evidence::{Evidence, check, take_quotes};
use crate::domain::limits::{EVIDENCE_ASKED_MAX, EVIDENCE_TEXT_MAX_BYTES};
use crate::heavy_work;

/// The values of an answer that have no verified evidence.
pub(super) struct Gaps {
    paths: Vec<String>,
    count: usize,
}

impl Gaps {
    /// The complaint that asks the model for the passages.
    pub fn complaint(&self) -> String {
        let shown: Vec<String> = self.paths.iter().take(EVIDENCE_ASKED_MAX).map(|path| format!("`{path}`")).collect();
        let more = if self.paths.len() > shown.len() { ", and others" } else { "" };
        format!(
            "for these values, `docket_evidence` has no passage that is in the document word for word and contains \
             the value: {}{more}. Copy a passage for each of them. If the document has none, correct the value",
            shown.join(", ")
        )
    }

    /// Whether another answer has fewer gaps.
    pub async fn has_fewer(&self, analysis: &Arc<Analysis>, document: &Document, result: &Value) -> bool {
        count_gaps(analysis, document, result).await.is_some_and(|other| other.count < self.count)
    }
}

/// Finds the values without evidence. `None` if there is none, if the analysis asks for no
/// evidence, or if the document has no text.
pub(super) async fn find_gaps(analysis: &Arc<Analysis>, document: &Document, result: &Value) -> Option<Gaps> {
    count_gaps(analysis, document, result).await.filter(|gaps| gaps.count > 0)
}

async fn count_gaps(analysis: &Arc<Analysis>, document: &Document, result: &Value) -> Option<Gaps> {
    // The text of chunk results is no text of the document.
    if !analysis.has_evidence() || document.role() == Role::Results {
        return None;
    }
    let readable = read_text(std::slice::from_ref(document)).await?;
    let evidence = check_text(analysis, readable, &mut result.clone()).await?;
    let paths: Vec<String> = evidence.unverified_paths().map(str::to_owned).collect();
    Some(Gaps { count: evidence.of - evidence.verified, paths })
}

/// The text of a document in which passages are searched; `None` if it has none, or is too large.
pub(super) async fn read_text(parts: &[Document]) -> Option<Readable> {
    let content_bytes = |part: &Document| match part.content() {
        Content::Text { text, .. } => text.len(),
        Content::File { bytes, .. } | Content::Image { bytes, .. } => bytes.len(),
    };
    let size: usize = parts.iter().map(content_bytes).sum();
    if size > EVIDENCE_TEXT_MAX_BYTES {
        return None;
    }
    let parts = parts.to_vec();
    heavy_work::run(move || readable_text(&parts)).await.ok().flatten()
}

/// Takes the passages out of a result, and checks them. `readable` is the text of the whole
/// document; without it, the result is unverifiable.
pub(super) async fn finish(
    analysis: &Arc<Analysis>,
    readable: Option<Readable>,
    result: &mut Value,
) -> Option<Evidence> {
    if !analysis.has_evidence() {
        return None;
    }
    let checked = match readable {
        Some(readable) => check_text(analysis, readable, result).await,
        None => None,
    };
    // The time for the check was over, or there is no text.
    take_quotes(result);
    Some(checked.unwrap_or_else(|| Evidence::unverifiable(result, analysis.result_schema())))
}

async fn check_text(analysis: &Arc<Analysis>, readable: Readable, result: &mut Value) -> Option<Evidence> {
    let quotes = take_quotes(result);
    let (analysis, result) = (analysis.clone(), result.clone());
    let Readable { text, page_starts } = readable;
    heavy_work::run(move || check(&text, &page_starts, &result, &quotes, analysis.result_schema())).await.ok()
}
