//! A ZIP file: its entries by name, read within a budget of expanded bytes, and the kind of
//! document that it is a package of.

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::encoding;
use super::failures::{damaged, encrypted, expands_too_far};
use crate::domain::failure::Failure;
use crate::domain::limits::{PACKAGE_ENTRIES_MAX, PACKAGE_EXPANDED_MAX_BYTES};

/// The kind of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackageKind {
    Docx,
    /// A document of Word with macros, or a template.
    OtherWord,
    Xlsx,
    /// A workbook with macros, a template, or a binary workbook.
    OtherExcel,
    BinaryExcel,
    Slides,
    /// A package of Office Open XML of another application, such as a drawing.
    OtherOffice,
    OpenText,
    OpenSheet,
    OpenSlides,
    Epub,
    /// A document of Pages, Numbers or Keynote.
    IWork,
    /// Any other ZIP file.
    Folder,
}

/// A ZIP file.
pub(super) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// The names with `/` between their parts, in the order of the directory.
    pub names: Vec<String>,
    /// The bytes that may still be expanded.
    budget: usize,
}

const ZIP: &str = "the ZIP file";

impl<'a> Package<'a> {
    /// Opens a ZIP file. Nothing is expanded yet.
    ///
    /// # Errors
    /// The failure of a damaged file, and of one with more than [`PACKAGE_ENTRIES_MAX`]
    /// entries.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Failure> {
        let mut package = Self::open_unnamed(bytes)?;
        let mut names = Vec::with_capacity(package.archive.len().min(PACKAGE_ENTRIES_MAX));
        for index in 0..package.archive.len() {
            let entry = package.archive.by_index_raw(index).map_err(|_| damaged(ZIP))?;
            // Without its mark, a name may be in any encoding.
            let name = match encoding::decode(entry.name_raw(), None) {
                Some(decoded) => decoded.text,
                None => String::from_utf8_lossy(entry.name_raw()).into_owned(),
            };
            names.push(name.replace('\\', "/"));
        }
        package.names = names;
        Ok(package)
    }

    /// Opens a ZIP file whose names nobody asks for.
    pub fn open_unnamed(bytes: &'a [u8]) -> Result<Self, Failure> {
        if declared_entries(bytes) > PACKAGE_ENTRIES_MAX {
            return Err(expands_too_far("entries", PACKAGE_ENTRIES_MAX));
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| damaged(ZIP))?;
        Ok(Self { archive, names: Vec::new(), budget: PACKAGE_EXPANDED_MAX_BYTES })
    }

    /// The package with a smaller budget of expanded bytes.
    pub fn within(self, limit: usize) -> Self {
        Self { budget: self.budget.min(limit), ..self }
    }

    /// The kind of the package, by its content types and relationships.
    pub fn kind(&mut self) -> Result<PackageKind, Failure> {
        if let Some(types) = self.find("[Content_Types].xml") {
            let types = self.read_text(types)?;
            let main = match self.find("_rels/.rels") {
                Some(relationships) => main_part(&self.read_text(relationships)?),
                None => None,
            };
            return Ok(office_kind(&content_type_of(&types, main.as_deref()).unwrap_or_default()));
        }
        if let Some(mimetype) = self.find("mimetype") {
            let mimetype = self.read(mimetype)?;
            let mimetype = String::from_utf8_lossy(&mimetype[..mimetype.len().min(128)]).trim().to_ascii_lowercase();
            let of_open_document = mimetype.strip_prefix("application/vnd.oasis.opendocument.");
            match of_open_document {
                Some(kind) if kind.starts_with("text") => return Ok(PackageKind::OpenText),
                Some(kind) if kind.starts_with("spreadsheet") => return Ok(PackageKind::OpenSheet),
                Some(kind) if kind.starts_with("presentation") => return Ok(PackageKind::OpenSlides),
                _ if mimetype == "application/epub+zip" => return Ok(PackageKind::Epub),
                _ => {}
            }
        }
        let is_iwork =
            |name: &String| name.ends_with("Index/Document.iwa") || name == "Index.zip" || name == "index.apxl";
        Ok(if self.names.iter().any(is_iwork) { PackageKind::IWork } else { PackageKind::Folder })
    }

    /// The number of an entry by its name. Parts of a package have names without case.
    pub fn find(&self, name: &str) -> Option<usize> {
        let name = name.trim_start_matches('/');
        self.names.iter().position(|found| found.trim_start_matches('/').eq_ignore_ascii_case(name))
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// The failure of an encrypted or damaged entry, and of a package that expands too far.
    pub fn read(&mut self, index: usize) -> Result<Vec<u8>, Failure> {
        let entry = self.archive.by_index_raw(index).map_err(|_| damaged(ZIP))?;
        if entry.encrypted() {
            return Err(encrypted());
        }
        drop(entry);
        let entry = self.archive.by_index(index).map_err(|_| damaged(ZIP))?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(self.budget).unwrap_or(u64::MAX).saturating_add(1);
        entry.take(limit).read_to_end(&mut bytes).map_err(|_| damaged(ZIP))?;
        self.budget = self.budget.checked_sub(bytes.len()).ok_or_else(too_much)?;
        Ok(bytes)
    }

    /// Reads an entry that is text.
    pub fn read_text(&mut self, index: usize) -> Result<String, Failure> {
        let bytes = self.read(index)?;
        Ok(encoding::decode(&bytes, None).ok_or_else(|| damaged(ZIP))?.text)
    }

    /// Expands every entry without keeping it, for a reader that knows no limits itself.
    pub fn check_expanded(&mut self) -> Result<(), Failure> {
        for index in 0..self.archive.len() {
            let entry = self.archive.by_index_raw(index).map_err(|_| damaged(ZIP))?;
            if entry.encrypted() {
                return Err(encrypted());
            }
            drop(entry);
            let mut entry = self.archive.by_index(index).map_err(|_| damaged(ZIP))?;
            let mut buffer = vec![0; 64 * 1_024];
            loop {
                let count = entry.read(&mut buffer).map_err(|_| damaged(ZIP))?;
                if count == 0 {
                    break;
                }
                self.budget = self.budget.checked_sub(count).ok_or_else(too_much)?;
            }
        }
        Ok(())
    }

    /// Whether an entry is a folder.
    pub fn is_folder(&self, index: usize) -> bool {
        self.names.get(index).is_none_or(|name| name.ends_with('/'))
    }
}

fn too_much() -> Failure {
    expands_too_far("bytes", PACKAGE_EXPANDED_MAX_BYTES)
}

/// The number of entries that the end of a ZIP file declares.
///
/// <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, 4.3.16.
fn declared_entries(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(22 + 65_535)..];
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
    let count = end.and_then(|at| tail.get(at + 10..at + 12));
    count.map_or(0, |count| usize::from(u16::from_le_bytes([count[0], count[1]])))
}

/// The target of the relationship to the main part.
fn main_part(relationships: &str) -> Option<String> {
    let mut main = None;
    for_each_element(relationships, |element| {
        let is_main = attribute(element, "Type").is_some_and(|kind| kind.ends_with("/officeDocument"));
        if is_main && main.is_none() {
            main = attribute(element, "Target");
        }
    });
    main.map(|target| target.replace('\\', "/").trim_start_matches("./").to_owned())
}

/// The content type of a part; without one, the first content type of any main part.
fn content_type_of(types: &str, part: Option<&str>) -> Option<String> {
    let extension = part.and_then(|part| part.rsplit_once('.')).map(|(_, extension)| extension.to_owned());
    let (mut exact, mut default, mut any) = (None, None, None);
    for_each_element(types, |element| {
        let Some(kind) = attribute(element, "ContentType") else { return };
        let name = attribute(element, "PartName");
        let is_part = |name: &String| {
            part.is_some_and(|part| name.trim_start_matches('/').eq_ignore_ascii_case(part.trim_start_matches('/')))
        };
        if name.as_ref().is_some_and(is_part) {
            exact = Some(kind);
        } else if name.is_none() && attribute(element, "Extension").is_some_and(|own| Some(own) == extension) {
            default = Some(kind);
        } else if kind.ends_with(".main+xml") {
            any.get_or_insert(kind);
        }
    });
    exact.or(default.filter(|kind: &String| kind != "application/xml")).or(any)
}

fn office_kind(content_type: &str) -> PackageKind {
    let kind = content_type.to_ascii_lowercase();
    let has = |part: &str| kind.contains(part);
    if has("wordprocessingml.document.main") {
        PackageKind::Docx
    } else if has("wordprocessingml") || has("ms-word.") {
        PackageKind::OtherWord
    } else if has("spreadsheetml.sheet.main") {
        PackageKind::Xlsx
    } else if has("excel.sheet.binary") {
        PackageKind::BinaryExcel
    } else if has("spreadsheetml") || has("ms-excel.") {
        PackageKind::OtherExcel
    } else if has("presentationml") || has("ms-powerpoint.") {
        PackageKind::Slides
    } else {
        PackageKind::OtherOffice
    }
}

/// Calls `visit` for every element of a small XML file, up to the first that is not valid.
pub(super) fn for_each_element(xml: &str, mut visit: impl FnMut(&BytesStart<'_>)) {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => visit(&element),
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The value of an attribute, by its name without a namespace.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().flatten().find(|found| found.key.local_name().as_ref() == name)?;
    found.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
}
