//! Detects files and images from their bytes, independent of their names. Text has no
//! signature.

use super::failures::encrypted;
use super::format::{FileFormat, ImageFormat};
use super::office;
use crate::domain::failure::Failure;

/// A document that is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File(FileFormat),
    Image(ImageFormat),
}

/// The bytes in which the header of a PDF must begin. PDF readers search no further.
const PDF_HEADER_WITHIN: usize = 1_024;

/// Detects a file or an image from its bytes; `None` if the bytes may be text.
///
/// # Errors
/// The failure of an encrypted or unsupported file.
pub(super) fn detect_kind(bytes: &[u8]) -> Result<Option<Kind>, Failure> {
    let image = |format| Ok(Some(Kind::Image(format)));
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => image(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => image(ImageFormat::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => image(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => image(ImageFormat::Webp),
        [b'P', b'K', 3, 4, ..] => office::detect_zip_format(bytes).map(|format| Some(Kind::File(format))),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => {
            office::detect_ole_format(bytes).map(|format| Some(Kind::File(format)))
        }
        _ if is_pdf(bytes) && is_encrypted_pdf(bytes) => Err(encrypted()),
        _ if is_pdf(bytes) => Ok(Some(Kind::File(FileFormat::Pdf))),
        _ => Ok(None),
    }
}

/// Other bytes may precede the header of a PDF, such as the headers of a mail. Valid
/// UTF-8 with the header inside is a text about PDFs.
fn is_pdf(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(PDF_HEADER_WITHIN)];
    match position(head, b"%PDF-") {
        Some(0) => true,
        Some(_) => std::str::from_utf8(bytes).is_err(),
        None => false,
    }
}

/// The trailer of an encrypted PDF has the key `/Encrypt`, such as `/Encrypt 12 0 R`.
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

/// Whether the bytes begin with a reference to a PDF object, such as `12 0 R`.
fn is_reference(bytes: &[u8]) -> bool {
    let mut words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut is_number = || words.next().is_some_and(|word| word.len() <= 10 && word.iter().all(u8::is_ascii_digit));
    is_number() && is_number() && words.next().is_some_and(|word| word.starts_with(b"R"))
}

/// The position at which `wanted` first occurs.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
