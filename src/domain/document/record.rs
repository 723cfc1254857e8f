//! The facts about a document that the jobs table stores.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::location::S3Location;

/// The facts about a document on the stored job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// Where the object is stored; `None` when the document came in the message.
    /// Its own `sha256` stays `None`: the hash of the bytes is `sha256` below.
    #[serde(flatten)]
    location: Option<S3Location>,
    /// Size in bytes as received; `None` until the consumer has read the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// SHA-256 of the bytes as received, in hexadecimal; `None` until the consumer
    /// has read the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The facts that reading the document showed; empty until then.
    #[serde(flatten)]
    pub facts: ReadingFacts,
}

/// The facts that reading a document shows, except its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingFacts {
    /// The encoding of a text, by its name in the [Encoding Standard](https://encoding.spec.whatwg.org/).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Whether the encoding was guessed, because nothing names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encoding_guessed: bool,
    /// The places at which invalid bytes of a text became U+FFFD; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_characters: Option<u64>,
    /// The pages of a PDF or a TIFF, if they could be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// The jobs of the documents that a ZIP file or a mail holds; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<u32>,
}

impl DocumentRecord {
    /// The record of an object that has not been read yet.
    pub fn unread(location: &S3Location) -> Self {
        Self { location: Some(S3Location { sha256: None, ..location.clone() }), ..Self::default() }
    }

    /// The record of an object that was just stored, by its location and hash.
    pub fn stored(location: &S3Location, size_bytes: usize) -> Self {
        Self { size_bytes: Some(size_bytes as u64), sha256: location.sha256.clone(), ..Self::unread(location) }
    }

    /// Adds what reading the document's bytes shows.
    pub fn with_bytes(self, bytes: &[u8]) -> Self {
        Self { size_bytes: Some(bytes.len() as u64), sha256: Some(sha256_hex(bytes)), ..self }
    }

    /// Where the object is stored, with the hash that its bytes must have.
    pub fn location(&self) -> Option<S3Location> {
        self.location.as_ref().map(|location| S3Location { sha256: self.sha256.clone(), ..location.clone() })
    }

    /// The object's key; `None` when the document came in the message.
    pub fn key(&self) -> Option<&str> {
        self.location.as_ref().map(|location| location.key.as_str())
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
