//! A document as the model takes it: text, a file, or an image.

pub mod chunks;
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

/// A document that may be sent: of a type that the model takes, not empty, not
/// encrypted, and not too large, except that a text may have to go in parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    content: Content,
    size_bytes: usize,
    role: Role,
}

/// How what is sent stands to what is analysed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the whole.
    Whole,
    /// A chunk of a longer text.
    Chunk {
        /// From 1.
        number: usize,
        /// The count of chunks.
        of: usize,
    },
    /// The results of a longer text's parts, in their order.
    Results,
}

/// What a document is.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, in whatever encoding it came.
    Text {
        /// Its markup.
        format: TextFormat,
        /// All of it, without a byte order mark.
        text: String,
    },
    /// A file that the model's service reads by itself.
    File {
        /// Its type.
        format: FileFormat,
        /// As they came.
        bytes: Vec<u8>,
    },
    /// A picture.
    Image {
        /// Its type.
        format: ImageFormat,
        /// As they came.
        bytes: Vec<u8>,
    },
}

impl Document {
    /// Tells what the bytes are, by themselves first and by their name (a
    /// file's name, or a whole object key) second, and checks them.
    ///
    /// # Errors
    /// A permanent failure with one of the `document_…` codes, which says what
    /// is taken.
    pub fn new(name: Option<&str>, bytes: Vec<u8>) -> Result<Self, Failure> {
        let size_bytes = bytes.len();
        let content = match kind::of(&bytes)? {
            _ if bytes.is_empty() => return Err(empty()),
            Some(Kind::File(format)) => {
                within("a document", size_bytes, DOCUMENT_MAX_BYTES)?;
                Content::File { format, bytes }
            }
            Some(Kind::Image(format)) => {
                within("an image", size_bytes, IMAGE_MAX_BYTES)?;
                Content::Image { format, bytes }
            }
            None => {
                let text = text::decode(bytes).ok_or_else(type_unknown)?;
                if text.chars().all(char::is_whitespace) {
                    return Err(empty());
                }
                Content::Text { format: TextFormat::of(name, &text), text }
            }
        };
        Ok(Self { content, size_bytes, role: Role::Whole })
    }

    /// A part of a longer text, `number` from 1.
    pub fn chunk(format: TextFormat, text: &str, number: usize, of: usize) -> Self {
        let content = Content::Text { format, text: text.to_owned() };
        Self { content, size_bytes: text.len(), role: Role::Chunk { number, of } }
    }

    /// The results of a longer text's parts, as a JSON array.
    pub fn results(json: String) -> Self {
        let size_bytes = json.len();
        Self { content: Content::Text { format: TextFormat::Txt, text: json }, size_bytes, role: Role::Results }
    }

    /// What it is.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Gives the content away.
    pub fn into_content(self) -> Content {
        self.content
    }

    /// How it stands to what is analysed.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its size in bytes as it came, before any decoding.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

/// Without its text: a document is never logged.
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

fn within(what: &str, size_bytes: usize, limit: usize) -> Result<(), Failure> {
    if size_bytes <= limit { Ok(()) } else { Err(too_large(what, size_bytes, limit)) }
}

#[cfg(test)]
mod tests;
