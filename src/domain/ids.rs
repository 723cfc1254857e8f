//! The identifiers: parsed once, valid ever after.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::limits::ID_MAX_BYTES;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing, or only what cannot be seen.
    #[error("is empty; use 1 to {ID_MAX_BYTES} of the characters A-Z a-z 0-9 . _ : -")]
    Empty,
    /// Longer than [`ID_MAX_BYTES`].
    #[error("has {0} bytes; {ID_MAX_BYTES} is the limit")]
    TooLong(usize),
    /// A character outside the alphabet.
    #[error("has the character {0:?}; use only A-Z a-z 0-9 . _ : -")]
    Character(char),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_MAX_BYTES {
        return Err(IdError::TooLong(text.len()));
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
            /// The text of the identifier: 1 to 128 bytes of `A-Za-z0-9._:-`.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text)?;
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
    /// Names one job for ever.
    JobId
}

identifier! {
    /// Names jobs that belong together.
    BatchId
}

/// A random id made for one claim, by which a worker knows its own write again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    /// Takes a random, unrepeated text, such as a UUID.
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
    fn an_id_says_what_was_wrong_with_what_was_given() {
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
