//! A document as the model receives it: text, a file or an image.

pub mod chunks;
pub mod download;
mod failures;
mod format;
mod kind;
pub mod location;
mod office;
mod record;
mod text;

pub use self::failures::{text_too_large, too_large};
pub use self::format::{FileFormat, ImageFormat, TextFormat};
pub use self::record::{DocumentRecord, sha256_hex};

use self::failures::{empty, type_unknown};
use self::kind::Kind;
use crate::domain::failure::Failure;
use crate::domain::limits::{DOCUMENT_MAX_BYTES, IMAGE_MAX_BYTES};

/// A document that may be sent to a model: of a supported type, not empty, not
/// encrypted, and not too large. A long text may need chunks.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    content: Content,
    size_bytes: usize,
    role: Role,
}

/// The role of a document in the analysis of the job's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The job's document itself.
    FullDocument,
    /// A chunk of the job's document.
    Chunk {
        /// The number of the chunk, from 1.
        number: usize,
        /// The number of all chunks.
        count: usize,
    },
    /// The results of the document's chunks, in the order of the chunks.
    Results,
}

/// The content of a document.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, decoded to UTF-8.
    Text {
        /// The markup of the text.
        format: TextFormat,
        /// The complete text, without a byte order mark.
        text: String,
    },
    /// A file that Bedrock reads.
    File {
        /// The format of the file.
        format: FileFormat,
        /// The bytes as received.
        bytes: Vec<u8>,
    },
    /// An image.
    Image {
        /// The format of the image.
        format: ImageFormat,
        /// The bytes as received.
        bytes: Vec<u8>,
    },
}

impl Document {
    /// Detects the type of a document and checks the document.
    ///
    /// The bytes decide first. `name`, a file name or an object key, decides between
    /// text formats.
    ///
    /// # Errors
    /// A permanent failure with one of the `document_…` codes.
    pub fn new(name: Option<&str>, bytes: Vec<u8>) -> Result<Self, Failure> {
        let size_bytes = bytes.len();
        let content = match kind::detect_kind(&bytes)? {
            _ if bytes.is_empty() => return Err(empty()),
            Some(Kind::File(format)) => {
                check_size("a document", size_bytes, DOCUMENT_MAX_BYTES)?;
                Content::File { format, bytes }
            }
            Some(Kind::Image(format)) => {
                check_size("an image", size_bytes, IMAGE_MAX_BYTES)?;
                Content::Image { format, bytes }
            }
            None => {
                let text = text::decode(bytes).ok_or_else(type_unknown)?;
                if text.chars().all(char::is_whitespace) {
                    return Err(empty());
                }
                Content::Text { format: TextFormat::detect(name, &text), text }
            }
        };
        Ok(Self { content, size_bytes, role: Role::FullDocument })
    }

    /// Makes the document of a chunk. `number` counts from 1 to `count`.
    pub fn chunk(format: TextFormat, text: &str, number: usize, count: usize) -> Self {
        let content = Content::Text { format, text: text.to_owned() };
        Self { content, size_bytes: text.len(), role: Role::Chunk { number, count } }
    }

    /// Makes a document of chunk results. `json` is an array of the results.
    pub fn results(json: String) -> Self {
        let size_bytes = json.len();
        Self { content: Content::Text { format: TextFormat::Txt, text: json }, size_bytes, role: Role::Results }
    }

    /// The content of the document.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns the content without a copy.
    pub fn into_content(self) -> Content {
        self.content
    }

    /// The role of the document.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The size in bytes as received, before decoding.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

/// Prints the format and the size only: a document is never logged.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format: &dyn std::fmt::Debug = match &self.content {
            Content::Text { format, .. } => format,
            Content::File { format, .. } => format,
            Content::Image { format, .. } => format,
        };
        write!(f, "Document({format:?}, {} bytes)", self.size_bytes)
    }
}

fn check_size(what: &str, size_bytes: usize, limit: usize) -> Result<(), Failure> {
    if size_bytes <= limit { Ok(()) } else { Err(too_large(what, size_bytes, limit)) }
}

#[cfg(test)]
mod tests;
