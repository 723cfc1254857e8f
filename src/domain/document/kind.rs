//! Detects the kind of a document from its bytes, independent of its name. Text has no
//! signature.

use super::failures::{litter, type_unknown, unsupported};
use super::format::{FileFormat, ImageFormat};
use super::litter::has_litter_signature;
use super::ole::{self, OleKind};
use super::package::{Package, PackageKind};
use super::readers::mail;
use crate::domain::failure::Failure;

/// The kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or nothing known.
    Text,
    /// A PDF whose header begins at this byte.
    Pdf(usize),
    File(FileFormat),
    Image(ImageFormat),
    Tiff,
    Rtf,
    Mail,
    OutlookMessage,
    Package(PackageKind),
}

/// The bytes in which the header of a PDF must begin. PDF readers search no further.
const PDF_HEADER_WITHIN: usize = 1_024;
/// The bytes at the end of a PDF in which `startxref` must be.
const PDF_END_WITHIN: usize = 2_048;

/// Detects the kind of a document.
///
/// # Errors
/// The failure of an encrypted, damaged or unsupported file.
pub(super) fn detect_kind(bytes: &[u8]) -> Result<Kind, Failure> {
    if has_litter_signature(bytes) {
        return Err(litter());
    }
    Ok(match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Kind::Image(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Kind::Image(ImageFormat::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Image(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::Image(ImageFormat::Webp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Kind::Tiff,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Kind::Package(Package::open(bytes)?.kind()?),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => match ole::detect_kind(bytes)? {
            OleKind::File(format) => Kind::File(format),
            OleKind::Message => Kind::OutlookMessage,
        },
        _ if is_rtf(bytes) => Kind::Rtf,
        _ => match find_pdf_header(bytes) {
            Some(at) => Kind::Pdf(at),
            None => {
                check_known_types(bytes)?;
                if mail::is_mail(bytes) { Kind::Mail } else { Kind::Text }
            }
        },
    })
}

fn is_rtf(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    bytes.starts_with(b"{\\rtf")
}

/// The position of a PDF's header. Other bytes may precede it, such as an empty line or the
/// headers of a response. Text that only mentions the header is a text about PDFs.
fn find_pdf_header(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(PDF_HEADER_WITHIN)];
    let at = head.windows(5).position(|window| window == b"%PDF-")?;
    if at == 0 || std::str::from_utf8(bytes).is_err() {
        return Some(at);
    }
    let before = head[..at].strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head[..at]);
    let begins_line = before.last().is_none_or(|byte| b"\r\n".contains(byte));
    let tail = &bytes[bytes.len().saturating_sub(PDF_END_WITHIN)..];
    let has_end = tail.windows(9).any(|window| window == b"startxref");
    let has_objects = bytes.windows(6).any(|window| window == b"endobj");
    (begins_line && (before.trim_ascii().is_empty() || has_end) && has_objects).then_some(at)
}

/// Fails for types that Docket knows and cannot read.
fn check_known_types(bytes: &[u8]) -> Result<(), Failure> {
    const AS_ZIP: &str = "send its files, or a zip of them";
    const AS_JPEG: &str = "save it as JPEG or PNG";
    let brand = match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => brand.first_chunk::<4>(),
        _ => None,
    };
    let (what, remedy) = match (bytes, brand) {
        (_, Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1")) => ("a HEIC image", AS_JPEG),
        (_, Some(b"avif" | b"avis")) => ("an AVIF image", AS_JPEG),
        (_, Some(_)) => ("a video or a sound", "send its transcript as text"),
        ([b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..], _) => ("a 7z archive", AS_ZIP),
        ([b'R', b'a', b'r', b'!', 0x1a, 7, ..], _) => ("a RAR archive", AS_ZIP),
        ([0x1f, 0x8b, 8, ..], _) => ("a gzip file", AS_ZIP),
        ([b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..], _) => ("a bzip2 file", AS_ZIP),
        ([0xfd, b'7', b'z', b'X', b'Z', 0, ..], _) => ("an xz file", AS_ZIP),
        ([0x28, 0xb5, 0x2f, 0xfd, ..], _) => ("a zstd file", AS_ZIP),
        ([0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..], _) => ("a JPEG 2000 image", AS_JPEG),
        ([b'8', b'B', b'P', b'S', ..], _) => ("a Photoshop image", AS_JPEG),
        ([b'B', b'M', ..], _) if is_bitmap(bytes) => ("a BMP image", AS_JPEG),
        ([b'%', b'!', b'P', b'S', ..] | [0xc5, 0xd0, 0xd3, 0xc6, ..], _) => ("a PostScript file", "save it as PDF"),
        ([b'A', b'T', b'&', b'T', b'F', b'O', b'R', b'M', ..], _) => ("a DjVu file", "save it as PDF"),
        ([b'!', b'B', b'D', b'N', ..], _) => ("an Outlook data file", "send its messages as eml or msg"),
        ([b'I', b'D', b'3', ..] | [b'O', b'g', b'g', b'S', ..] | [b'R', b'I', b'F', b'F', ..], _)
            if bytes.contains(&0) =>
        {
            ("a video or a sound", "send its transcript as text")
        }
        ([b'M', b'Z', ..] | [0x7f, b'E', b'L', b'F', ..], _) if bytes.contains(&0) => {
            ("a program", "send the documents alone")
        }
        _ if bytes.starts_with(b"SQLite format 3\0") => ("a database", "export its tables as csv"),
        _ if bytes.get(257..262) == Some(b"ustar") => ("a tar archive", AS_ZIP),
        _ if bytes.starts_with(b"\xff\xfe\xff\x0e") => return Err(type_unknown()),
        _ => return Ok(()),
    };
    Err(unsupported(what, remedy))
}

/// Whether bytes that begin with `BM` have the header of a bitmap: its size, then zeros.
fn is_bitmap(bytes: &[u8]) -> bool {
    bytes.get(6..10) == Some(&[0; 4])
}
