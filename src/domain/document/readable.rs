//! The text of a document as Docket itself reads it, for the check of quotes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::LoadOptions;

use super::readers::{office, sheets};
use super::{Content, Document, FileFormat};
use crate::domain::limits::{EXTRACTED_TEXT_MAX_BYTES, PDF_STREAM_MAX_BYTES};

/// The text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readable {
    /// The complete text.
    pub text: String,
    /// The positions in `text` at which the pages begin, in bytes; empty without pages. A
    /// page without text begins where the next one does.
    pub page_starts: Vec<usize>,
}

/// The text of a document in all its parts, as [`Reading::parts`](super::reading::Reading)
/// has them. `None` if Docket reads no text in it: an image, a scan, an old Office file, or a
/// file that is too damaged.
///
/// It may take seconds of processor time: run it with `heavy_work`.
pub fn readable_text(parts: &[Document]) -> Option<Readable> {
    let mut readable = Readable { text: String::new(), page_starts: Vec::new() };
    for part in parts {
        match part.content() {
            Content::Text { text, .. } => readable.text.push_str(text),
            Content::Image { .. } => return None,
            Content::File { format, bytes } => match format {
                FileFormat::Docx => readable.text.push_str(&office::word_text(bytes).ok()?),
                FileFormat::Xlsx => readable.text.push_str(&sheets::workbook_text(bytes, false).ok()?),
                FileFormat::Pdf => append_pages(&mut readable, bytes)?,
                FileFormat::Doc | FileFormat::Xls => return None,
            },
        }
        if readable.text.len() > EXTRACTED_TEXT_MAX_BYTES {
            return None;
        }
    }
    (!readable.text.trim().is_empty()).then_some(readable)
}

/// Appends the pages of a PDF.
fn append_pages(readable: &mut Readable, bytes: &[u8]) -> Option<()> {
    let read = || {
        let options = LoadOptions { max_decompressed_size: Some(PDF_STREAM_MAX_BYTES), ..LoadOptions::default() };
        let document = lopdf::Document::load_mem_with_options(bytes, options).ok()?;
        let mut pages = Vec::new();
        let mut length = 0;
        for number in document.get_pages().into_keys() {
            let text = document.extract_text(&[number]).unwrap_or_default();
            length += text.len();
            if length > EXTRACTED_TEXT_MAX_BYTES {
                return None;
            }
            pages.push(text);
        }
        Some(pages)
    };
    // A file that makes the library panic has no readable text.
    for page in catch_unwind(AssertUnwindSafe(read)).ok().flatten()? {
        readable.page_starts.push(readable.text.len());
        readable.text.push_str(&page);
    }
    Some(())
}
