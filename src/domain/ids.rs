//! The identifiers of jobs, batches and claims. Parsing checks an identifier once,
//! so every value of these types is valid.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::limits::ID_MAX_BYTES;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text is empty.
    #[error("is empty; use 1 to {ID_MAX_BYTES} of the characters A-Z a-z 0-9 . _ : -")]
    Empty,
    /// The text is longer than [`ID_MAX_BYTES`]; its length in bytes.
    #[error("must have 1 to {ID_MAX_BYTES} bytes; it has {0}")]
    TooLong(usize),
    /// The text is `.` or `..`, which URLs and paths read as a folder.
    #[error("must not be `.` or `..`, which URLs read as folders; use another id")]
    Folder,
    /// The first character that is not allowed.
    #[error("has the character {0:?}; use only A-Z a-z 0-9 . _ : -")]
    Character(char),
}

fn check_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_MAX_BYTES {
        return Err(IdError::TooLong(text.len()));
    }
    if text == "." || text == ".." {
        return Err(IdError::Folder);
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || ".-_:".contains(*c))) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the identifier: 1 to 128 bytes of `A-Za-z0-9._:-`, but neither `.`
            /// nor `..`.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check_id(&text)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// The identifier of one job.
    JobId
}

identifier! {
    /// The identifier of a batch: jobs that belong together.
    BatchId
}

/// A random id for one claim. A worker recognises its own write by this id, for
/// example after the response to the write was lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    /// Makes an owner from a unique random text, such as a UUID.
    pub fn new(random: impl Into<String>) -> Self {
        Self(random.into())
    }

    /// The text of the owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_id_error_names_the_problem() {
        let parse = |text: &str| text.parse::<JobId>();
        assert_eq!(parse(""), Err(IdError::Empty));
        assert_eq!(parse("a b"), Err(IdError::Character(' ')));
        assert_eq!(parse("a\0"), Err(IdError::Character('\0')));
        assert_eq!(parse("é"), Err(IdError::Character('é')));
        assert_eq!(parse(&"x".repeat(129)), Err(IdError::TooLong(129)));
        assert_eq!(parse(&"x".repeat(128)).unwrap().as_str().len(), 128);
        assert_eq!(parse("lease-2026.07:v2_A").unwrap().to_string(), "lease-2026.07:v2_A");
    }
}
