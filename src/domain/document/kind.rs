//! What some bytes are. Files tell it by how they begin, whatever they are
//! called; text has no such mark, so that its name may say more.

use super::failures::encrypted;
use super::format::{FileFormat, ImageFormat};
use super::office;
use crate::domain::failure::Failure;

/// What is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File(FileFormat),
    Image(ImageFormat),
}

/// How far into a file a PDF may begin: readers look no further.
const PDF_HEADER_WITHIN: usize = 1_024;

/// Tells a file or an image by its bytes; `None` when they may be text.
pub(super) fn of(bytes: &[u8]) -> Result<Option<Kind>, Failure> {
    let image = |format| Ok(Some(Kind::Image(format)));
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => image(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => image(ImageFormat::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => image(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => image(ImageFormat::Webp),
        [b'P', b'K', 3, 4, ..] => office::of_zip(bytes).map(|format| Some(Kind::File(format))),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => office::of_ole(bytes).map(|f| Some(Kind::File(f))),
        _ if is_pdf(bytes) && is_encrypted_pdf(bytes) => Err(encrypted()),
        _ if is_pdf(bytes) => Ok(Some(Kind::File(FileFormat::Pdf))),
        _ => Ok(None),
    }
}

/// Something may stand before a PDF, such as the rest of a message. A text that
/// speaks of PDFs is a text still.
fn is_pdf(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(PDF_HEADER_WITHIN)];
    match position(head, b"%PDF-") {
        Some(0) => true,
        Some(_) => std::str::from_utf8(bytes).is_err(),
        None => false,
    }
}

/// An encrypted PDF says so in its trailer: `/Encrypt 12 0 R`.
///
/// ISO 32000-1, 7.6.1.
fn is_encrypted_pdf(bytes: &[u8]) -> bool {
    const KEY: &[u8] = b"/Encrypt";
    let mut rest = bytes;
    while let Some(at) = position(rest, KEY) {
        rest = &rest[at + KEY.len()..];
        let after = rest.trim_ascii_start();
        if after.starts_with(b"<<") || (after.len() < rest.len() && is_reference(after)) {
            return true;
        }
    }
    false
}

/// `12 0 R`, which names another object of a PDF.
fn is_reference(bytes: &[u8]) -> bool {
    let mut words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut is_number = || words.next().is_some_and(|word| word.len() <= 10 && word.iter().all(u8::is_ascii_digit));
    is_number() && is_number() && words.next().is_some_and(|word| word.starts_with(b"R"))
}

/// Where some bytes stand first.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
