//! The environment variables of the notifier.

use super::read::{ConfigError, Lookup, required};
use super::variables::{EVENT_BUS_NAME, JOBS_TABLE};

/// The notifier's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifierConfig {
    /// `JOBS_TABLE`.
    pub jobs_table: String,
    /// `EVENT_BUS_NAME`.
    pub event_bus_name: String,
}

impl NotifierConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let jobs_table = required(lookup, JOBS_TABLE)?;
        Ok(Self { jobs_table, event_bus_name: required(lookup, EVENT_BUS_NAME)? })
    }
}
