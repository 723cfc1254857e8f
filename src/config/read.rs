//! Reads single environment variables.

use std::time::Duration;

use super::variables::RETENTION_DAYS;

/// Default of `RETENTION_DAYS`: how long a stored job is kept after its last change.
pub const DEFAULT_RETENTION_DAYS: u32 = 90;
/// Smallest `RETENTION_DAYS`. The queue and the dead-letter queue keep a message for 14
/// days each, and a message that arrives that late must find its job finished.
pub const MIN_RETENTION_DAYS: u32 = 29;

/// A missing or invalid environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name} {problem}")]
pub struct ConfigError {
    /// The variable.
    pub name: &'static str,
    /// The fault and the allowed values; the variable's name is not repeated.
    pub problem: String,
}

/// Looks up a variable; `std::env::var(name).ok()` in a binary.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An empty variable counts as not set.
pub(super) fn optional(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

pub(super) fn required(lookup: Lookup<'_>, name: &'static str) -> Result<String, ConfigError> {
    optional(lookup, name).ok_or_else(|| ConfigError { name, problem: "is not set".to_owned() })
}

pub(super) fn number<N>(
    lookup: Lookup<'_>,
    name: &'static str,
    default: N,
    range: std::ops::RangeInclusive<N>,
) -> Result<N, ConfigError>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let Some(text) = optional(lookup, name) else { return Ok(default) };
    text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| ConfigError {
        name,
        problem: format!("is {text:?}; it must be a number from {} to {}", range.start(), range.end()),
    })
}

pub(super) fn retention(lookup: Lookup<'_>) -> Result<Duration, ConfigError> {
    let days = number(lookup, RETENTION_DAYS, DEFAULT_RETENTION_DAYS, MIN_RETENTION_DAYS..=3_650)?;
    Ok(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
}
