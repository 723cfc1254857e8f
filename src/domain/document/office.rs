//! Detects the Office format of a container: a ZIP file with Office Open XML, or an
//! older OLE compound file. Only the container's directory is read, so nothing is
//! decompressed.

use super::failures::{encrypted, type_unknown};
use super::format::FileFormat;
use crate::domain::failure::Failure;

/// Sizes of the ZIP format. `ZIP_END_BYTES` is the record at the end of the file without
/// its comment. `ZIP_ENTRY_BYTES` is a directory entry without its variable fields.
///
/// <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, 4.3.16 and 4.3.12.
const ZIP_END_BYTES: usize = 22;
const ZIP_COMMENT_MAX_BYTES: usize = 65_535;
const ZIP_ENTRY_BYTES: usize = 46;

/// Detects the format of an Office Open XML file from the name of its main part.
pub(super) fn detect_zip_format(bytes: &[u8]) -> Result<FileFormat, Failure> {
    let mut names = zip_names(bytes);
    let format = names.find_map(|name| match name {
        b"word/document.xml" => Some(FileFormat::Docx),
        b"xl/workbook.xml" => Some(FileFormat::Xlsx),
        _ => None,
    });
    format.ok_or_else(type_unknown)
}

/// The names in the central directory of a ZIP file, up to the first invalid entry.
fn zip_names(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tail = bytes.len().saturating_sub(ZIP_END_BYTES + ZIP_COMMENT_MAX_BYTES);
    let end = bytes[tail..].windows(4).rposition(|window| window == b"PK\x05\x06").map(|at| tail + at);
    let mut at = end.and_then(|end| u32_at(bytes, end + 16)).unwrap_or(u32::MAX) as usize;
    std::iter::from_fn(move || {
        if bytes.get(at..)?.get(..4)? != b"PK\x01\x02" {
            return None;
        }
        let (name, extra, comment) = (u16_at(bytes, at + 28)?, u16_at(bytes, at + 30)?, u16_at(bytes, at + 32)?);
        let begin = at + ZIP_ENTRY_BYTES;
        let name_end = begin + usize::from(name);
        at = name_end + usize::from(extra) + usize::from(comment);
        bytes.get(begin..name_end)
    })
}

/// The size of an entry in the directory of a compound file. Sectors are a multiple of
/// it, so every entry begins at a multiple of this size.
///
/// <https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-cfb/60fe8611-66c3-496b-b70d-a504c94c9ace>
const OLE_ENTRY_BYTES: usize = 128;
/// The size of an entry's name field, in bytes, with the terminating zero.
const OLE_NAME_BYTES: usize = 64;
/// The type of an entry that is a stream.
const OLE_STREAM: u8 = 2;

/// Detects the format of an older Office file from its main stream.
///
/// A password-protected Office file is a compound file with an encrypted package.
pub(super) fn detect_ole_format(bytes: &[u8]) -> Result<FileFormat, Failure> {
    let mut found = None;
    for entry in bytes.chunks_exact(OLE_ENTRY_BYTES) {
        if is_stream(entry, "EncryptedPackage") {
            return Err(encrypted());
        }
        // An embedded file comes after the file that contains it.
        if found.is_none() && is_stream(entry, "WordDocument") {
            found = Some(FileFormat::Doc);
        } else if found.is_none() && (is_stream(entry, "Workbook") || is_stream(entry, "Book")) {
            found = Some(FileFormat::Xls);
        }
    }
    found.ok_or_else(type_unknown)
}

/// Whether a directory entry is a stream with this name. The entry has the name in
/// UTF-16 with a terminating zero, then the name's length in bytes and the type.
fn is_stream(entry: &[u8], name: &str) -> bool {
    let length = (name.len() + 1) * 2;
    entry.get(OLE_NAME_BYTES + 2) == Some(&OLE_STREAM)
        && u16_at(entry, OLE_NAME_BYTES).is_some_and(|written| usize::from(written) == length)
        && name.bytes().chain([0]).zip(entry.chunks_exact(2)).all(|(c, pair)| pair == [c, 0])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
