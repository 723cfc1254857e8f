//! Evidence: the check of the passages that a model names for the values of its result.
//!
//! The model names a passage of the document for each value. This module searches each passage
//! in the document's own text, and checks that the passage contains the value. No model takes
//! part in the check, so a made-up passage or value cannot pass it.
//!
//! ```text
//! text ─ fold ─┐
//! quotes ──────┼─ find the passage ─ does it contain the value? ─ verdict of each value
//! result ──────┘
//! ```

mod dates;
mod folded;
mod leaves;
mod nearest;
mod numbers;
mod quotes;
mod support;
#[cfg(test)]
mod tests;
mod whole;

pub use self::quotes::{EVIDENCE_FIELD, Quote, evidence_schema, take_quotes};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::folded::{Folded, Hyphens, fold};
use self::leaves::{Leaf, collect_leaves};
use self::nearest::Words;
use self::quotes::find_quotes;
use self::support::is_supported;
use self::whole::find_whole;
use crate::domain::limits::{EVIDENCE_LEAVES_MAX, EVIDENCE_MAX_BYTES, EVIDENCE_QUOTE_MIN_CHARS};

/// How a passage was found in the document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Nowhere.
    None,
    /// A similar passage is there. This is a hint, and verifies nothing.
    Approximate,
    /// It is there apart from white space, hyphenation at line ends, ligatures, typographic
    /// quotes and dashes, and case.
    Normalized,
    /// It is there character by character.
    Exact,
}

impl Found {
    /// Whether the passage is in the document.
    pub fn is_there(self) -> bool {
        self >= Self::Normalized
    }
}

/// The verdict on one value of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafEvidence {
    /// The place of the value: a JSON Pointer into the result.
    pub path: String,
    /// Whether the passage is in the document and contains the value.
    pub verified: bool,
    /// How the passage was found.
    pub found: Found,
    /// Whether the passage contains the value.
    pub supported: bool,
    /// The passage that the model named; `None` if it named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The first character of the passage in the document's text. Characters are Unicode scalar
    /// values, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<usize>,
    /// The character after the passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<usize>,
    /// The line in which the passage begins, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The page on which the passage begins, from 1; `None` for a document without pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
}

/// The evidence of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Whether the document has a text in which passages can be searched. A scan or an image
    /// has none.
    pub verifiable: bool,
    /// The verified values.
    pub verified: usize,
    /// The values that need evidence.
    pub of: usize,
    /// The verdicts in the order of the result, at most [`EVIDENCE_LEAVES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<LeafEvidence>,
}

/// The state of a job's evidence, by which lists are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceStatus {
    /// Every value is verified.
    Verified,
    /// Some value is not.
    Unverified,
    /// The document has no text in which passages can be searched.
    Unverifiable,
}

impl EvidenceStatus {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Verified, Self::Unverified, Self::Unverifiable];

    /// The text of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Unverifiable => "unverifiable",
        }
    }
}

impl Evidence {
    /// The evidence of a result whose document has no text.
    pub fn unverifiable(result: &Value, schema: &Value) -> Self {
        let of = collect_leaves(result, schema).len();
        Self { verifiable: false, verified: 0, of, leaves: Vec::new() }
    }

    /// The evidence in a size that a stored job takes: without the quotes, if they are too large.
    /// The places in the text remain.
    pub fn fit_item(mut self) -> Self {
        let size = serde_json::to_string(&self).map_or(usize::MAX, |json| json.len());
        if size > EVIDENCE_MAX_BYTES {
            self.leaves.iter_mut().for_each(|leaf| leaf.quote = None);
        }
        self
    }

    /// The state.
    pub fn status(&self) -> EvidenceStatus {
        match self {
            Self { verifiable: false, .. } => EvidenceStatus::Unverifiable,
            Self { verified, of, .. } if verified == of => EvidenceStatus::Verified,
            Self { .. } => EvidenceStatus::Unverified,
        }
    }

    /// The verified values as a text, such as `11 of 12`.
    pub fn summary(&self) -> String {
        match self.verifiable {
            true => format!("{} of {}", self.verified, self.of),
            false => EvidenceStatus::Unverifiable.as_str().to_owned(),
        }
    }

    /// The paths of the values without verified evidence.
    pub fn unverified_paths(&self) -> impl Iterator<Item = &str> {
        self.leaves.iter().filter(|leaf| !leaf.verified).map(|leaf| leaf.path.as_str())
    }
}

/// Checks the quotes of a result in the document's text. `page_starts` are the bytes at which its
/// pages begin, and empty for a document without pages. `schema` is the JSON Schema of the
/// result, which names the labels.
///
/// The time grows linearly with the length of the text, for each quote that is not found at
/// once.
pub fn check(text: &str, page_starts: &[usize], result: &Value, quotes: &[Quote], schema: &Value) -> Evidence {
    let leaves = collect_leaves(result, schema);
    let of = leaves.len();
    let mut places = Places::new(text, page_starts);
    let checked = leaves.into_iter().take(EVIDENCE_LEAVES_MAX).map(|leaf| places.check(leaf, quotes));
    let leaves: Vec<LeafEvidence> = checked.collect();
    let verified = leaves.iter().filter(|leaf| leaf.verified).count();
    Evidence { verifiable: true, verified, of, leaves }
}

/// A passage of the text: bytes of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passage {
    found: Found,
    start: usize,
    end: usize,
}

/// The forms of a text in which passages are searched. A form is built when it is needed.
struct Places<'a> {
    text: &'a str,
    page_starts: &'a [usize],
    joined: Option<Folded>,
    kept: Option<Folded>,
    words: Option<Words>,
    lines: Lines<'a>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, page_starts: &'a [usize]) -> Self {
        Self { text, page_starts, joined: None, kept: None, words: None, lines: Lines::new(text) }
    }

    /// The verdict on one value: the best that one of its quotes gives.
    fn check(&mut self, leaf: Leaf<'_>, quotes: &[Quote]) -> LeafEvidence {
        let mut best = LeafEvidence {
            path: leaf.path.clone(),
            verified: false,
            found: Found::None,
            supported: false,
            quote: None,
            start: None,
            end: None,
            line: None,
            page: None,
        };
        for quote in find_quotes(quotes, &leaf.path) {
            let passage = self.find(&quote.text);
            let found = passage.map_or(Found::None, |passage| passage.found);
            let supported = is_supported(&leaf, &quote.text);
            let verified = found.is_there() && supported;
            if best.quote.is_some() && (verified, found, supported) <= (best.verified, best.found, best.supported) {
                continue;
            }
            best = LeafEvidence { verified, found, supported, quote: Some(quote.text.clone()), ..best };
            best.page = passage.and_then(|passage| self.page_of(passage));
            let place = passage.map(|passage| self.lines.place(passage));
            (best.start, best.end, best.line) =
                place.map_or((None, None, None), |(start, end, line)| (Some(start), Some(end), Some(line)));
        }
        best
    }

    /// The page of a passage. A page without text begins where the next one does.
    fn page_of(&self, passage: Passage) -> Option<usize> {
        let page = self.page_starts.partition_point(|start| *start <= passage.start);
        (page > 0).then_some(page)
    }

    fn find(&mut self, quote: &str) -> Option<Passage> {
        let quote = quote.trim();
        if !is_long_enough(quote) {
            return None;
        }
        if let Some(start) = find_whole(self.text, quote) {
            return Some(Passage { found: Found::Exact, start, end: start + quote.len() });
        }
        let text = self.text;
        for (form, hyphens) in [(&mut self.joined, Hyphens::Join), (&mut self.kept, Hyphens::Keep)] {
            let folded = form.get_or_insert_with(|| Folded::new(text, hyphens));
            let wanted = fold(quote, hyphens);
            let wanted = wanted.trim();
            if wanted.is_empty() {
                return None;
            }
            if let Some(at) = find_whole(&folded.text, wanted) {
                let (start, end) = folded.original(at, at + wanted.len());
                return Some(Passage { found: Found::Normalized, start, end });
            }
        }
        let words = self.words.get_or_insert_with(|| Words::new(text));
        let (start, end) = words.nearest(quote)?;
        Some(Passage { found: Found::Approximate, start, end })
    }
}

/// A single short word or number is found anywhere.
fn is_long_enough(quote: &str) -> bool {
    let letters = quote.chars().filter(|c| c.is_alphanumeric()).count();
    letters >= EVIDENCE_QUOTE_MIN_CHARS || (letters > 0 && quote.contains(char::is_whitespace))
}

/// Converts places in bytes to characters and lines. Passages usually follow each other, so the
/// count goes on where it stopped.
struct Lines<'a> {
    text: &'a str,
    byte: usize,
    chars: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, byte: 0, chars: 0, line: 1 }
    }

    /// First character, end, and line of a passage.
    fn place(&mut self, passage: Passage) -> (usize, usize, usize) {
        if passage.start < self.byte {
            *self = Self::new(self.text);
        }
        let skipped = &self.text[self.byte..passage.start];
        self.byte = passage.start;
        self.chars += skipped.chars().count();
        self.line += skipped.bytes().filter(|byte| *byte == b'\n').count();
        let length = self.text[passage.start..passage.end].chars().count();
        (self.chars, self.chars + length, self.line)
    }
}
