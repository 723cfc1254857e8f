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

/// The failure of a document that was not read within its time.
pub fn too_slow(seconds: u64) -> Failure {
    let message =
        format!("the document could not be read within {seconds} s; send it in a simpler format, such as PDF");
    Failure::new(codes::DOCUMENT_DAMAGED, message)
}

/// The failure of a document whose reader has a defect.
pub fn unreadable() -> Failure {
    damaged("the document")
}

pub(super) fn empty() -> Failure {
    Failure::new(
        codes::DOCUMENT_EMPTY,
        "the document is empty, or has nothing but white space and invisible characters",
    )
}

pub(super) fn litter() -> Failure {
    Failure::new(
        codes::DOCUMENT_LITTER,
        "the file belongs to a system or an application (such as .DS_Store, ._*, Thumbs.db, desktop.ini, ~$*); \
         leave it out",
    )
}

pub(super) fn encrypted() -> Failure {
    Failure::new(codes::DOCUMENT_ENCRYPTED, "the document is encrypted; send it without a password or protection")
}

/// The failure of a damaged file. `what` names the kind of file with its article.
pub(super) fn damaged(what: &str) -> Failure {
    let message = format!("{what} is damaged or incomplete; open it in its application, and save or export it again");
    Failure::new(codes::DOCUMENT_DAMAGED, message)
}

/// The failure of a type that Docket knows and cannot read. `what` names the type with its
/// article; `remedy` says what to send.
pub(super) fn unsupported(what: &str, remedy: &str) -> Failure {
    Failure::new(codes::DOCUMENT_TYPE_UNSUPPORTED, format!("{what} cannot be read; {remedy}"))
}

/// The failure of a file that exceeds `limit` when it is expanded. `what` names the limited
/// thing in the plural.
pub(super) fn expands_too_far(what: &str, limit: usize) -> Failure {
    let message = format!("the file must expand to at most {limit} {what}; send its content in several files");
    Failure::new(codes::DOCUMENT_TOO_LARGE, message)
}

pub(super) fn type_unknown() -> Failure {
    Failure::new(
        codes::DOCUMENT_TYPE_UNKNOWN,
        "the type of the document is not supported; send text (txt, md, html, csv, json, xml, in any common encoding), \
         pdf, doc, docx, docm, rtf, odt, xls, xlsx, xlsm, xlsb, ods, pptx, odp, epub, eml, msg, zip, png, jpeg, gif, \
         webp or tiff",
    )
}
