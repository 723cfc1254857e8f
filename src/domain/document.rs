//! A document as the model takes it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::failure::{Failure, codes};
use super::limits::DOCUMENT_MAX_BYTES;

/// A format that Converse's document block takes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DocumentFormat {
    Txt,
    Md,
    Html,
    Csv,
    Pdf,
    Doc,
    Docx,
    Xls,
    Xlsx,
}

impl DocumentFormat {
    /// By the ending of a name; `None` when it has none that is known.
    pub fn from_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        Some(match ending.to_ascii_lowercase().as_str() {
            "txt" | "text" => Self::Txt,
            "md" | "markdown" => Self::Md,
            "html" | "htm" => Self::Html,
            "csv" => Self::Csv,
            "pdf" => Self::Pdf,
            "doc" => Self::Doc,
            "docx" => Self::Docx,
            "xls" => Self::Xls,
            "xlsx" => Self::Xlsx,
            _ => return None,
        })
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Txt | Self::Md | Self::Html | Self::Csv)
    }
}

/// A document that may be sent: not empty, not too large, and readable as far
/// as can be told without opening it.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    format: DocumentFormat,
    bytes: Vec<u8>,
}

impl Document {
    /// Checks a document; `name` gives the format, text when it tells none.
    ///
    /// # Errors
    /// A permanent failure with one of the `document_…` codes.
    pub fn new(name: Option<&str>, bytes: Vec<u8>) -> Result<Self, Failure> {
        if bytes.len() > DOCUMENT_MAX_BYTES {
            return Err(too_large(bytes.len()));
        }
        let format = name.and_then(DocumentFormat::from_name).unwrap_or(DocumentFormat::Txt);
        let is_blank = if format.is_text() {
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                Failure::new(
                    codes::DOCUMENT_UNREADABLE,
                    "the document is not UTF-8 text, and its name does not say what else it is",
                )
            })?;
            text.chars().all(char::is_whitespace)
        } else {
            bytes.is_empty()
        };
        if is_blank {
            return Err(Failure::new(codes::DOCUMENT_EMPTY, "the document has nothing in it to analyse"));
        }
        Ok(Self { format, bytes })
    }

    /// What it is.
    pub fn format(&self) -> DocumentFormat {
        self.format
    }

    /// Its size in bytes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Without its text: a document is never logged.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({:?}, {} bytes)", self.format, self.bytes.len())
    }
}

/// The failure of a document over the limit, whose size in bytes is known
/// before it is read.
pub fn too_large(size_bytes: usize) -> Failure {
    Failure::new(
        codes::DOCUMENT_TOO_LARGE,
        format!("the document has {size_bytes} bytes; one request to the model takes {DOCUMENT_MAX_BYTES}"),
    )
}

/// The SHA-256 of some bytes, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What the row keeps about a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// The bucket; `None` when the document came in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The object's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// In bytes; `None` until it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// In hexadecimal; `None` until it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: Option<&str>, bytes: Vec<u8>) -> String {
        Document::new(name, bytes).expect_err("refused").code
    }

    #[test]
    fn a_document_is_at_most_what_one_request_takes() {
        assert!(Document::new(None, vec![b'a'; DOCUMENT_MAX_BYTES]).is_ok());
        assert_eq!(code(None, vec![b'a'; DOCUMENT_MAX_BYTES + 1]), codes::DOCUMENT_TOO_LARGE);
    }

    #[test]
    fn nothing_is_paid_for_an_empty_or_unreadable_document() {
        assert_eq!(code(None, vec![]), codes::DOCUMENT_EMPTY);
        assert_eq!(code(None, b" \n\t".to_vec()), codes::DOCUMENT_EMPTY);
        assert_eq!(code(Some("a.pdf"), vec![]), codes::DOCUMENT_EMPTY);
        assert_eq!(code(Some("a.txt"), vec![0xff, 0xfe]), codes::DOCUMENT_UNREADABLE);
    }

    #[test]
    fn the_format_follows_from_the_name() {
        let format = |name| Document::new(Some(name), b"%PDF".to_vec()).unwrap().format();
        assert_eq!(format("x/y.PDF"), DocumentFormat::Pdf);
        assert_eq!(format("x.y/z"), DocumentFormat::Txt);
        assert_eq!(format("report.docx"), DocumentFormat::Docx);
    }

    #[test]
    fn a_document_does_not_print_its_text() {
        let document = Document::new(None, b"SECRET".to_vec()).unwrap();
        assert_eq!(format!("{document:?}"), "Document(Txt, 6 bytes)");
    }
}
