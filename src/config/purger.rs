//! The environment variables of the purger.

use std::time::Duration;

use super::read::{ConfigError, Lookup, required, retention};
use super::variables::{DEAD_LETTER_QUEUE_URL, DOCUMENTS_BUCKET, JOBS_TABLE, PURGE_QUEUE_URL};

/// The purger's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgerConfig {
    /// `JOBS_TABLE`.
    pub jobs_table: String,
    /// `DOCUMENTS_BUCKET`.
    pub documents_bucket: String,
    /// `PURGE_QUEUE_URL`.
    pub purge_queue_url: String,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: String,
    /// `RETENTION_DAYS`.
    pub retention: Duration,
}

impl PurgerConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            jobs_table: required(lookup, JOBS_TABLE)?,
            documents_bucket: required(lookup, DOCUMENTS_BUCKET)?,
            purge_queue_url: required(lookup, PURGE_QUEUE_URL)?,
            dead_letter_queue_url: required(lookup, DEAD_LETTER_QUEUE_URL)?,
            retention: retention(lookup)?,
        })
    }
}
