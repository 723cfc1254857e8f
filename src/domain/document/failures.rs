//! The failures of documents that Docket does not send to a model.

use crate::domain::failure::{Failure, codes};
use crate::domain::limits::CHUNKS_MAX;

/// The failure of a document that exceeds `limit` bytes. `what` names the kind of
/// document with its article, such as `an image`.
pub fn too_large(what: &str, size_bytes: usize, limit: usize) -> Failure {
    let message = format!("{what} must have at most {limit} bytes; this one has {size_bytes}");
    Failure::new(codes::DOCUMENT_TOO_LARGE, message)
}

/// The failure of a text that needs more than [`CHUNKS_MAX`] chunks.
pub fn text_too_large(size_bytes: usize, chunk_max_bytes: usize) -> Failure {
    let message = format!(
        "a text must have at most {} bytes in UTF-8, {CHUNKS_MAX} chunks of {chunk_max_bytes}; this one has {size_bytes}",
        CHUNKS_MAX * chunk_max_bytes
    );
    Failure::new(codes::DOCUMENT_TOO_LARGE, message)
}

pub(super) fn empty() -> Failure {
    Failure::new(codes::DOCUMENT_EMPTY, "the document is empty or has only white space")
}

pub(super) fn encrypted() -> Failure {
    Failure::new(codes::DOCUMENT_ENCRYPTED, "the document is encrypted; send it without a password or protection")
}

pub(super) fn type_unknown() -> Failure {
    Failure::new(
        codes::DOCUMENT_TYPE_UNKNOWN,
        "the type of the document is not supported; send text (txt, md, html, csv; in UTF-8, UTF-16 or Latin-1), \
         pdf, doc, docx, xls, xlsx, png, jpeg, gif or webp",
    )
}
