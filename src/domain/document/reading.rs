//! Reads the bytes of a document: what the model receives, and the documents inside it.

use super::embedded::remove_encoded_data;
use super::encoding;
use super::failures::{empty, expands_too_far, litter, too_large, type_unknown, unsupported};
use super::format::{FileFormat, ImageFormat, TextFormat};
use super::kind::{Kind, detect_kind};
use super::litter::is_litter;
use super::package::PackageKind;
use super::readers::mail::{Mail, Part, read_mail};
use super::readers::{archive, epub, office, open_document, outlook, pdf, rtf, sheets, tiff};
use super::visible::is_visible;
use super::{Content, Document, ReadingFacts, declaration};
use crate::domain::failure::Failure;
use crate::domain::limits::{
    CHILDREN_MAX, DOCUMENT_MAX_BYTES, EXTRACTED_TEXT_MAX_BYTES, IMAGE_MAX_BYTES, IMAGE_MAX_PIXELS,
};

/// The content of a document's bytes.
#[derive(Debug)]
pub struct Reading {
    /// The document in the parts in which it is sent: none for a ZIP file, several for a PDF
    /// that is cut at its pages, and one otherwise.
    pub parts: Vec<Document>,
    /// The documents inside it, each to become a separate document.
    pub children: Children,
    /// The facts for the stored job.
    pub facts: ReadingFacts,
}

/// The documents inside a document.
#[derive(Debug, Default)]
pub struct Children {
    parts: Vec<Part>,
    archive: Option<Archive>,
}

/// A ZIP file of documents.
#[derive(Debug)]
struct Archive {
    bytes: Vec<u8>,
    /// The numbers of the documents' entries, and their names.
    entries: Vec<(usize, String)>,
}

impl Children {
    /// The number of the documents.
    pub fn len(&self) -> usize {
        self.parts.len() + self.archive.as_ref().map_or(0, |archive| archive.entries.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name and the bytes of a document, by its number from 0; `None` after the last.
    ///
    /// # Errors
    /// The failure of a ZIP file that cannot be expanded.
    pub fn read(&self, number: usize) -> Result<Option<(String, Vec<u8>)>, Failure> {
        match &self.archive {
            Some(Archive { bytes, entries }) => match entries.get(number) {
                Some((entry, name)) => Ok(Some((name.clone(), archive::read(bytes, *entry)?))),
                None => Ok(None),
            },
            None => Ok(self.parts.get(number).map(|part| (archive::safe_path(&part.name), part.bytes.clone()))),
        }
    }
}

/// Reads a document. The bytes decide its kind; `name`, a file name or an object key, decides
/// between formats of text alone.
///
/// # Errors
/// A permanent failure with one of the `document_…` codes.
pub fn read(name: Option<&str>, bytes: Vec<u8>) -> Result<Reading, Failure> {
    read_pages(name, bytes, None)
}

/// Reads a document as [`read`] does; of a PDF, only the pages from the first to the last of
/// `page_range`.
///
/// # Errors
/// A permanent failure with one of the `document_…` codes.
pub fn read_pages(name: Option<&str>, bytes: Vec<u8>, page_range: Option<[u32; 2]>) -> Result<Reading, Failure> {
    if name.is_some_and(is_litter) {
        return Err(litter());
    }
    if bytes.is_empty() {
        return Err(empty());
    }
    let size = bytes.len();
    let extracted = |text: String, format| Ok(reading(vec![text_document(format, text, size)?]));
    let txt = TextFormat::Txt;
    match detect_kind(&bytes)? {
        Kind::Text => read_text(name, &bytes),
        Kind::Pdf(at) => read_pdf(bytes, at, page_range),
        Kind::Image(format) => read_image(format, bytes),
        Kind::Tiff => read_tiff(&bytes),
        Kind::Rtf => extracted(rtf::rtf_text(&bytes)?, txt),
        Kind::Mail => with_attachments(read_mail(&bytes)?, size),
        Kind::OutlookMessage => with_attachments(outlook::read_message(&bytes)?, size),
        Kind::File(format) => read_file(format, bytes),
        Kind::Package(kind) => match kind {
            // A large file has large pictures; its text is shorter.
            PackageKind::Docx if size > DOCUMENT_MAX_BYTES => extracted(office::word_text(&bytes)?, txt),
            PackageKind::Xlsx if size > DOCUMENT_MAX_BYTES => {
                extracted(sheets::workbook_text(&bytes, false)?, TextFormat::Csv)
            }
            PackageKind::Docx => read_file(FileFormat::Docx, bytes),
            PackageKind::Xlsx => read_file(FileFormat::Xlsx, bytes),
            PackageKind::OtherWord => extracted(office::word_text(&bytes)?, txt),
            PackageKind::OtherExcel => extracted(sheets::workbook_text(&bytes, false)?, TextFormat::Csv),
            PackageKind::BinaryExcel => extracted(sheets::workbook_text(&bytes, true)?, TextFormat::Csv),
            PackageKind::Slides => extracted(office::slides_text(&bytes)?, txt),
            PackageKind::OpenText | PackageKind::OpenSlides => {
                extracted(open_document::open_document_text(&bytes)?, txt)
            }
            PackageKind::OpenSheet => extracted(open_document::open_sheets_text(&bytes)?, TextFormat::Csv),
            PackageKind::Epub => extracted(epub::epub_text(&bytes)?, txt),
            PackageKind::OtherOffice => Err(type_unknown()),
            PackageKind::IWork => Err(unsupported("a document of Pages, Numbers or Keynote", "export it as PDF")),
            PackageKind::Folder => read_archive(bytes),
        },
    }
}

impl Document {
    /// Reads a document that must be one: no ZIP file. A PDF that is cut at its pages is its
    /// first part.
    ///
    /// # Errors
    /// A permanent failure with one of the `document_…` codes.
    pub fn new(name: Option<&str>, bytes: Vec<u8>) -> Result<Self, Failure> {
        let parts = read(name, bytes)?.parts;
        parts.into_iter().next().ok_or_else(|| unsupported("a ZIP file in place of a document", "send its documents"))
    }
}

fn reading(parts: Vec<Document>) -> Reading {
    Reading { parts, children: Children::default(), facts: ReadingFacts::default() }
}

/// The document of an extracted text.
fn text_document(format: TextFormat, text: String, size_bytes: usize) -> Result<Document, Failure> {
    let text = remove_encoded_data(text);
    if !is_visible(format, &text) {
        return Err(empty());
    }
    Ok(Document::full(Content::Text { format, text }, size_bytes))
}

fn read_text(name: Option<&str>, bytes: &[u8]) -> Result<Reading, Failure> {
    let decoded = encoding::decode(bytes, None).ok_or_else(type_unknown)?;
    if decoded.text.len() > EXTRACTED_TEXT_MAX_BYTES {
        return Err(expands_too_far("bytes of text", EXTRACTED_TEXT_MAX_BYTES));
    }
    let mut text = decoded.text;
    declaration::declare_utf_8(&mut text);
    let format = TextFormat::detect(name, &text);
    let facts = ReadingFacts {
        encoding: Some(decoded.encoding.to_owned()),
        encoding_guessed: decoded.is_guess,
        replaced_characters: Some(decoded.replaced as u64).filter(|count| *count > 0),
        ..ReadingFacts::default()
    };
    Ok(Reading { facts, ..reading(vec![text_document(format, text, bytes.len())?]) })
}

fn read_pdf(mut bytes: Vec<u8>, header_at: usize, page_range: Option<[u32; 2]>) -> Result<Reading, Failure> {
    let size = bytes.len();
    bytes.drain(..header_at);
    let found = pdf::read_pdf(bytes, page_range)?;
    let file = |bytes| Content::File { format: FileFormat::Pdf, bytes };
    let facts = ReadingFacts { pages: found.pages, ..ReadingFacts::default() };
    Ok(Reading { facts, ..reading(in_parts(found.pieces.into_iter().map(file).collect(), size)) })
}

fn read_tiff(bytes: &[u8]) -> Result<Reading, Failure> {
    let pages = tiff::pages(bytes)?;
    let facts = ReadingFacts { pages: u32::try_from(pages.len()).ok(), ..ReadingFacts::default() };
    let image = |bytes| Content::Image { format: ImageFormat::Png, bytes };
    Ok(Reading { facts, ..reading(in_parts(pages.into_iter().map(image).collect(), bytes.len())) })
}

/// The parts of a document of `size` bytes. Only a single part is the full document.
fn in_parts(contents: Vec<Content>, size: usize) -> Vec<Document> {
    let count = contents.len();
    let part = |(number, content): (usize, Content)| match count {
        1 => Document::full(content, size),
        _ => Document::full(content, size).into_chunk(number, count),
    };
    (1..).zip(contents).map(part).collect()
}

fn read_image(format: ImageFormat, bytes: Vec<u8>) -> Result<Reading, Failure> {
    let size = bytes.len();
    check_size("an image", size, IMAGE_MAX_BYTES)?;
    if let Ok(found) = imagesize::blob_size(&bytes)
        && found.width.max(found.height) > IMAGE_MAX_PIXELS as usize
    {
        return Err(expands_too_far("pixels in each direction", IMAGE_MAX_PIXELS as usize));
    }
    Ok(reading(vec![Document::full(Content::Image { format, bytes }, size)]))
}

fn read_file(format: FileFormat, bytes: Vec<u8>) -> Result<Reading, Failure> {
    let size = bytes.len();
    check_size("a document", size, DOCUMENT_MAX_BYTES)?;
    Ok(reading(vec![Document::full(Content::File { format, bytes }, size)]))
}

fn with_attachments(mail: Mail, size: usize) -> Result<Reading, Failure> {
    let attachments: Vec<Part> = mail.attachments.into_iter().filter(|part| !is_litter(&part.name)).collect();
    if attachments.len() > CHILDREN_MAX {
        return Err(expands_too_far("attachments", CHILDREN_MAX));
    }
    let mut found = reading(vec![text_document(TextFormat::Txt, mail.text, size)?]);
    found.children.parts = attachments;
    Ok(found)
}

fn read_archive(bytes: Vec<u8>) -> Result<Reading, Failure> {
    let entries = archive::list(&bytes)?;
    if entries.is_empty() {
        return Err(empty());
    }
    archive::check(&bytes)?;
    let mut found = reading(Vec::new());
    found.children.archive = Some(Archive { bytes, entries });
    Ok(found)
}

fn check_size(what: &str, size_bytes: usize, limit: usize) -> Result<(), Failure> {
    if size_bytes <= limit { Ok(()) } else { Err(too_large(what, size_bytes, limit)) }
}
