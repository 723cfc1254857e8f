//! An older Office file: an OLE compound file, whose kind the root's own entries show. A file
//! that is embedded in another one has its entries in a storage, which does not count.

use std::io::{Cursor, Read};

use cfb::CompoundFile;

use super::failures::{damaged, encrypted, litter, type_unknown, unsupported};
use super::format::FileFormat;
use crate::domain::failure::Failure;
use crate::domain::limits::OLE_RECORDS_MAX;

/// A compound file in memory.
pub(super) type Compound<'a> = CompoundFile<Cursor<&'a [u8]>>;

/// The kind of a compound file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OleKind {
    File(FileFormat),
    /// A message of Outlook.
    Message,
}

/// Opens a compound file.
pub(super) fn open(bytes: &[u8]) -> Result<Compound<'_>, Failure> {
    CompoundFile::open(Cursor::new(bytes)).map_err(|_| damaged("the Office file"))
}

/// Detects the kind of a compound file.
///
/// # Errors
/// The failure of an encrypted, damaged, unsupported or unknown file.
pub(super) fn detect_kind(bytes: &[u8]) -> Result<OleKind, Failure> {
    let mut file = open(bytes)?;
    let names: Vec<String> = file.read_root_storage().map(|entry| entry.name().to_owned()).collect();
    let has = |name: &str| names.iter().any(|found| found.eq_ignore_ascii_case(name));
    if has("EncryptedPackage") {
        return Err(encrypted());
    }
    if has("__properties_version1.0") {
        return Ok(OleKind::Message);
    }
    if has("Workbook") || has("Book") {
        let stream = if has("Workbook") { "/Workbook" } else { "/Book" };
        let is_encrypted = has_file_pass(&read_start(&mut file, stream, 256 * 1_024)?);
        return if is_encrypted { Err(encrypted()) } else { Ok(OleKind::File(FileFormat::Xls)) };
    }
    if has("WordDocument") {
        // The flag `fEncrypted` of the FIB.
        // https://learn.microsoft.com/en-us/openspecs/office_file_formats/ms-doc/26fb6c06-4e5c-4778-ab4e-edbf26a545bb
        let flags = read_start(&mut file, "/WordDocument", 12)?.get(11).copied();
        let is_encrypted = flags.is_some_and(|flags| flags & 1 == 1);
        return if is_encrypted { Err(encrypted()) } else { Ok(OleKind::File(FileFormat::Doc)) };
    }
    if has("PowerPoint Document") {
        return Err(unsupported("an old presentation (ppt)", "save it as pptx or PDF"));
    }
    if has("Catalog") && names.iter().all(|name| name == "Catalog" || name.chars().all(|c| c.is_ascii_digit())) {
        return Err(litter());
    }
    Err(type_unknown())
}

/// Reads the first bytes of a stream.
fn read_start(file: &mut Compound<'_>, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let stream = file.open_stream(path).map_err(|_| damaged("the Office file"))?;
    stream.take(limit).read_to_end(&mut bytes).map_err(|_| damaged("the Office file"))?;
    Ok(bytes)
}

/// Whether a workbook has the record FilePass, after which everything is encrypted.
///
/// <https://learn.microsoft.com/en-us/openspecs/office_file_formats/ms-xls/cf9ae8d5-4e8c-40a2-95f1-3b31f16b5529>
fn has_file_pass(workbook: &[u8]) -> bool {
    const FILE_PASS: u16 = 0x2f;
    const EOF: u16 = 0x0a;
    let mut rest = workbook;
    for _ in 0..OLE_RECORDS_MAX {
        let Some(([a, b, c, d], after)) = rest.split_first_chunk::<4>() else { return false };
        match u16::from_le_bytes([*a, *b]) {
            FILE_PASS => return true,
            EOF => return false,
            _ => rest = after.get(usize::from(u16::from_le_bytes([*c, *d]))..).unwrap_or_default(),
        }
    }
    false
}
