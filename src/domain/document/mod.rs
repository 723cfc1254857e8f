//! A document as the model receives it: text, a file or an image.

pub mod chunks;
mod declaration;
pub mod download;
mod embedded;
mod encoding;
mod failures;
mod format;
pub mod joined_lists;
mod kind;
pub mod litter;
pub mod location;
mod ole;
mod package;
pub mod readable;
mod readers;
pub mod reading;
mod record;
mod seams;
mod table_rows;
mod visible;

pub use self::failures::{text_too_large, too_large, too_slow, unreadable};
pub use self::format::{FileFormat, ImageFormat, TextFormat};
pub use self::record::{DocumentRecord, ReadingFacts, sha256_hex};

use self::failures::{empty, type_unknown};
use crate::domain::failure::Failure;

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
    /// A document of this content. `size_bytes` is the size in bytes as received.
    pub(crate) fn full(content: Content, size_bytes: usize) -> Self {
        Self { content, size_bytes, role: Role::FullDocument }
    }

    /// A text that came as text. It is not looked into: only an empty text fails.
    ///
    /// # Errors
    /// A permanent failure with one of the `document_…` codes.
    pub fn check_text(text: &str) -> Result<(), Failure> {
        match encoding::decode(text.as_bytes(), Some("utf-8")) {
            None => Err(type_unknown()),
            Some(_) if text.chars().all(encoding::is_invisible) => Err(empty()),
            Some(_) => Ok(()),
        }
    }

    /// The same document as a chunk of a larger one. `number` counts from 1 to `count`.
    pub fn into_chunk(self, number: usize, count: usize) -> Self {
        Self { role: Role::Chunk { number, count }, ..self }
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

impl Content {
    /// The name of the format that is sent.
    pub fn format_name(&self) -> String {
        match self {
            Self::Text { format, .. } => format!("{format:?}"),
            Self::File { format, .. } => format!("{format:?}"),
            Self::Image { format, .. } => format!("{format:?}"),
        }
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

#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod tests;
