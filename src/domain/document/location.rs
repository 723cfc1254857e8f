//! The location of a document in S3.

use serde::{Deserialize, Serialize};

/// An S3 object and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, not URL-encoded.
    pub key: String,
    /// The version; `None` selects the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The SHA-256 that the object's bytes must have, in hexadecimal; `None` allows any
    /// bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
