//! The failures of documents that cannot be analysed.

use crate::domain::failure::{Failure, codes};
use crate::domain::limits::CHUNKS_MAX;

/// The failure of a document over a limit; `what` says what the limit is of.
pub fn too_large(what: &str, size_bytes: usize, limit: usize) -> Failure {
    let message = format!("the document has {size_bytes} bytes; {limit} is the limit of {what}");
    Failure::new(codes::DOCUMENT_TOO_LARGE, message)
}

/// The failure of a text that does not fit as many parts as there may be.
pub fn text_too_large(size_bytes: usize, chunk_max_bytes: usize) -> Failure {
    let message = format!(
        "the text has {size_bytes} bytes in UTF-8; {} is the limit, {CHUNKS_MAX} parts of {chunk_max_bytes}",
        CHUNKS_MAX * chunk_max_bytes
    );
    Failure::new(codes::DOCUMENT_TOO_LARGE, message)
}

pub(super) fn empty() -> Failure {
    Failure::new(codes::DOCUMENT_EMPTY, "the document has nothing in it to analyse")
}

pub(super) fn encrypted() -> Failure {
    Failure::new(codes::DOCUMENT_ENCRYPTED, "the document is encrypted; hand it in without a password or protection")
}

pub(super) fn type_unknown() -> Failure {
    Failure::new(
        codes::DOCUMENT_TYPE_UNKNOWN,
        "the document is none of what is taken: text (txt, md, html, csv; UTF-8, UTF-16 or Latin-1), pdf, doc, docx, \
         xls, xlsx, png, jpeg, gif, webp",
    )
}
