//! The limits of reading a document: they bound the time and the memory of a hostile file.

use std::time::Duration;

/// Largest object that the consumer reads as a document, in bytes (50 MB): a PDF that is cut
/// at its pages, a ZIP file, or a file whose text is extracted.
pub const FILE_MAX_BYTES: usize = 50_000_000;

/// Longest duration of reading one document, in the consumer. It does not include the wait
/// for a thread.
pub const READING_TIME: Duration = Duration::from_secs(10);

/// Most documents that one environment of the consumer reads at the same time. Each may use
/// the memory of its expanded content.
pub const CONCURRENT_READINGS: usize = 1;

/// Most entries of a ZIP file or of a package in the ZIP format.
pub const PACKAGE_ENTRIES_MAX: usize = 10_000;

/// Most bytes to which a package in the ZIP format, or a ZIP file, expands.
pub const PACKAGE_EXPANDED_MAX_BYTES: usize = 64_000_000;

/// Longest text that is extracted from a file, in bytes of UTF-8.
pub const EXTRACTED_TEXT_MAX_BYTES: usize = 16_000_000;

/// Most levels of elements in XML, or of groups in RTF.
pub const MARKUP_DEPTH_MAX: usize = 500;

/// Most columns of a sheet: those of Excel.
pub const SHEET_COLUMNS_MAX: usize = 16_384;

/// Most times that a cell or a row of an OpenDocument sheet is repeated in the text.
pub const SHEET_REPEATS_MAX: usize = 1_000;

/// Most records of an old workbook that are searched for its encryption.
pub const OLE_RECORDS_MAX: usize = 1_000;

/// Most addresses of one header of a mail in the text.
pub const MAIL_ADDRESSES_MAX: usize = 200;

/// Most pixels of an image in each direction (Converse's limit).
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html>
pub const IMAGE_MAX_PIXELS: u32 = 8_000;

/// Most bytes of one expanded page of a TIFF.
pub const TIFF_PAGE_MAX_BYTES: usize = 64_000_000;

/// Memory of the consumer for the expanded content of the document that it reads, in MB. Half
/// of a small function's memory for documents is the most.
pub const READING_MEMORY_MB: u32 = 80;

/// Most pages of a PDF in one call.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html>
pub const PDF_PAGES_PER_CALL: usize = 100;

/// Most bytes to which one stream of a PDF expands while it is loaded.
pub const PDF_STREAM_MAX_BYTES: usize = 16_000_000;

/// Most objects in the object streams of a PDF that Docket loads.
pub const PDF_OBJECTS_MAX: usize = 300_000;

/// Most levels of the page tree, or of an object, of a PDF.
pub const PDF_TREE_DEPTH_MAX: usize = 64;

/// Most documents in a ZIP file, and most attachments of a mail that become jobs.
pub const CHILDREN_MAX: usize = 1_000;

/// Most levels of ZIP files and mails inside each other.
pub const CHILD_DEPTH_MAX: usize = 3;

/// Longest name of a document in a ZIP file or a mail, in bytes; the end of a longer one is
/// kept.
pub const CHILD_NAME_MAX_BYTES: usize = 400;

/// Most documents inside a document whose jobs the consumer creates at the same time.
pub const CONCURRENT_CHILDREN: usize = 4;

/// Most bytes to which a ZIP file of documents expands, as a multiple of its size and above
/// [`ARCHIVE_FREE_BYTES`].
pub const ARCHIVE_RATIO_MAX: usize = 100;

/// Bytes to which every ZIP file of documents may expand.
pub const ARCHIVE_FREE_BYTES: usize = 1_000_000;

/// Most levels of objects in a chunk result in which lists are joined by code.
pub const JOINED_LEVELS_MAX: usize = 4;

/// Items of each list that the model sees when it joins chunk results. Code joins the lists.
pub const LIST_SAMPLE_ITEMS: usize = 5;
