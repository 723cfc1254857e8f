//! The environment variables. `main` reads them once; an error names the variable and
//! the allowed values.

mod notifier;
mod purger;
mod read;
pub mod variables;

pub use self::notifier::NotifierConfig;
pub use self::purger::PurgerConfig;
pub use self::read::{ConfigError, DEFAULT_RETENTION_DAYS, Lookup, MIN_RETENTION_DAYS};

use std::time::Duration;

use serde_json::Value;

use self::read::{number, optional, required, retention};
use self::variables::*;
use crate::aws::model::ModelSettings;
use crate::aws::{AWS_SERVICES, AwsConfig};
use crate::domain::analysis::answer_form::AnswerMode;
use crate::domain::limits::DOCUMENT_MAX_BYTES;
use crate::domain::quota::gcra::Quota;

/// Default of `MAX_ATTEMPTS`: the charged attempts of a job.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;
/// Default of `MAX_TOKENS`: the maximum of output tokens.
pub const DEFAULT_MAX_TOKENS: i32 = 1_024;
/// Default of `MODEL_TIMEOUT_SECONDS`.
pub const DEFAULT_MODEL_TIMEOUT: Duration = Duration::from_secs(120);
/// Default of `CHUNK_MAX_BYTES`: about 100,000 tokens.
pub const DEFAULT_CHUNK_MAX_BYTES: usize = 400_000;
/// Smallest `CHUNK_MAX_BYTES`.
pub const MIN_CHUNK_MAX_BYTES: usize = 1_000;
/// Default of `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, which Lambda sets.
pub const DEFAULT_MEMORY_MB: u32 = 512;
/// Largest `MODEL_TOKENS_PER_MINUTE` and `MODEL_REQUESTS_PER_MINUTE`.
pub const QUOTA_MAX: u64 = 1_000_000_000_000;
/// The consumer's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerConfig {
    /// `JOBS_TABLE`.
    pub jobs_table: String,
    /// `JOBS_QUEUE_URL`.
    pub jobs_queue_url: String,
    /// `HIGH_PRIORITY_QUEUE_URL`. `None` sends high-priority jobs to `jobs_queue_url`.
    pub high_priority_queue_url: Option<String>,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: String,
    /// `DOCUMENTS_BUCKET`: the bucket for large results and for results of chunks.
    pub documents_bucket: String,
    /// `DEDUPLICATE`: whether an equal document, analysed in the same way, gets the
    /// existing result. A batch may override the setting.
    pub deduplicate: bool,
    /// `CHUNK_MAX_BYTES`: the largest chunk. A longer text is analysed in chunks.
    pub chunk_max_bytes: usize,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in megabytes.
    pub memory_mb: u32,
    /// `MODEL_ID`, `MAX_TOKENS`, `TEMPERATURE`, `MODEL_REQUEST_FIELDS`, `ANSWER_MODE`,
    /// `MODEL_TIMEOUT_SECONDS`.
    pub model: ModelSettings,
    /// `MAX_TOKENS_CEILING`, or `MAX_TOKENS` if it is 0: the largest `max_tokens` of an
    /// analysis.
    pub max_tokens_ceiling: i32,
    /// `MODEL_TOKENS_PER_MINUTE`, `MODEL_REQUESTS_PER_MINUTE` and
    /// `OUTPUT_TOKEN_FACTOR`, with `QUOTAS_TABLE`: the quota of `MODEL_ID`. `None` when
    /// `MODEL_TOKENS_PER_MINUTE` and `MODEL_REQUESTS_PER_MINUTE` are 0.
    pub quota: Option<(Quota, String)>,
    /// `MAX_ATTEMPTS`.
    pub max_attempts: u32,
    /// `MAX_CONCURRENT_RECORDS`: records of one batch that run concurrently. `None`
    /// runs the whole batch.
    pub max_concurrent_records: Option<usize>,
    /// `RETENTION_DAYS`.
    pub retention: Duration,
}

/// The producer's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerConfig {
    /// `JOBS_TABLE`.
    pub jobs_table: String,
    /// `JOBS_QUEUE_URL`.
    pub jobs_queue_url: String,
    /// `HIGH_PRIORITY_QUEUE_URL`. `None` sends high-priority jobs to `jobs_queue_url`.
    pub high_priority_queue_url: Option<String>,
    /// `DOCUMENTS_BUCKET`.
    pub documents_bucket: String,
    /// `PURGE_QUEUE_URL`.
    pub purge_queue_url: String,
    /// `CHUNK_MAX_BYTES`: the consumer's value, which decides the largest upload.
    pub chunk_max_bytes: usize,
    /// `RETENTION_DAYS`.
    pub retention: Duration,
    /// `ALLOWED_MODEL_IDS`, separated by commas: the models that an analysis may name.
    pub allowed_model_ids: Vec<String>,
    /// `MAX_TOKENS_CEILING`, or `MAX_TOKENS` if it is 0: the largest `max_tokens` of an
    /// analysis.
    pub max_tokens_ceiling: i32,
    /// `ALLOWED_ASYNC_MODEL_IDS`, separated by commas: the models that `async_invoke`
    /// may name.
    pub allowed_async_model_ids: Vec<String>,
    /// `PRICE_PER_MILLION_INPUT_TOKENS` and `PRICE_PER_MILLION_OUTPUT_TOKENS`, in
    /// US dollars. A batch has a cost when both are set.
    pub prices: Option<Prices>,
}

/// The prices of a model's tokens, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// The price of input tokens.
    pub input: f64,
    /// The price of output tokens.
    pub output: f64,
}

impl ConsumerConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            jobs_table: required(lookup, JOBS_TABLE)?,
            jobs_queue_url: required(lookup, JOBS_QUEUE_URL)?,
            high_priority_queue_url: optional(lookup, HIGH_PRIORITY_QUEUE_URL),
            dead_letter_queue_url: required(lookup, DEAD_LETTER_QUEUE_URL)?,
            documents_bucket: required(lookup, DOCUMENTS_BUCKET)?,
            deduplicate: flag(lookup, DEDUPLICATE)?,
            chunk_max_bytes: chunk_max_bytes(lookup)?,
            memory_mb: number(lookup, AWS_LAMBDA_FUNCTION_MEMORY_SIZE, DEFAULT_MEMORY_MB, 1..=1_000_000)?,
            model: ModelSettings {
                model_id: required(lookup, MODEL_ID)?,
                max_tokens: max_tokens(lookup)?,
                temperature: temperature(lookup)?,
                request_fields: request_fields(lookup)?,
                answer_mode: answer_mode(lookup)?,
                timeout: Duration::from_secs(number(
                    lookup,
                    MODEL_TIMEOUT_SECONDS,
                    DEFAULT_MODEL_TIMEOUT.as_secs(),
                    1..=890,
                )?),
            },
            max_tokens_ceiling: max_tokens_ceiling(lookup)?,
            quota: quota(lookup)?,
            max_attempts: number(lookup, MAX_ATTEMPTS, DEFAULT_MAX_ATTEMPTS, 1..=100)?,
            max_concurrent_records: match number(lookup, MAX_CONCURRENT_RECORDS, 0, 0..=10_000)? {
                0 => None,
                bound => Some(bound),
            },
            retention: retention(lookup)?,
        })
    }
}

impl ProducerConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            jobs_table: required(lookup, JOBS_TABLE)?,
            jobs_queue_url: required(lookup, JOBS_QUEUE_URL)?,
            high_priority_queue_url: optional(lookup, HIGH_PRIORITY_QUEUE_URL),
            documents_bucket: required(lookup, DOCUMENTS_BUCKET)?,
            purge_queue_url: required(lookup, PURGE_QUEUE_URL)?,
            chunk_max_bytes: chunk_max_bytes(lookup)?,
            retention: retention(lookup)?,
            max_tokens_ceiling: max_tokens_ceiling(lookup)?,
            allowed_model_ids: list(lookup, ALLOWED_MODEL_IDS),
            allowed_async_model_ids: list(lookup, ALLOWED_ASYNC_MODEL_IDS),
            prices: prices(lookup)?,
        })
    }
}

impl AwsConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            region: required(lookup, AWS_REGION)?,
            endpoint_url: optional(lookup, AWS_ENDPOINT_URL),
            endpoint_urls: AWS_SERVICES
                .into_iter()
                .filter_map(|service| Some((service, optional(lookup, &format!("AWS_ENDPOINT_URL_{service}"))?)))
                .collect(),
            use_fips: flag(lookup, AWS_USE_FIPS_ENDPOINT)?,
            use_dual_stack: flag(lookup, AWS_USE_DUALSTACK_ENDPOINT)?,
        })
    }
}

fn quota(lookup: Lookup<'_>) -> Result<Option<(Quota, String)>, ConfigError> {
    let quota = Quota {
        tokens_per_minute: number(lookup, MODEL_TOKENS_PER_MINUTE, 0, 0..=QUOTA_MAX)?,
        requests_per_minute: number(lookup, MODEL_REQUESTS_PER_MINUTE, 0, 0..=QUOTA_MAX)?,
        output_token_factor: number(lookup, OUTPUT_TOKEN_FACTOR, 1, 1..=100)?,
    };
    if quota.tokens_per_minute == 0 && quota.requests_per_minute == 0 {
        return Ok(None);
    }
    Ok(Some((quota, required(lookup, QUOTAS_TABLE)?)))
}

fn max_tokens(lookup: Lookup<'_>) -> Result<i32, ConfigError> {
    number(lookup, MAX_TOKENS, DEFAULT_MAX_TOKENS, 1..=1_000_000)
}

fn max_tokens_ceiling(lookup: Lookup<'_>) -> Result<i32, ConfigError> {
    match number(lookup, MAX_TOKENS_CEILING, 0, 0..=1_000_000)? {
        0 => max_tokens(lookup),
        ceiling => Ok(ceiling),
    }
}

fn chunk_max_bytes(lookup: Lookup<'_>) -> Result<usize, ConfigError> {
    number(lookup, CHUNK_MAX_BYTES, DEFAULT_CHUNK_MAX_BYTES, MIN_CHUNK_MAX_BYTES..=DOCUMENT_MAX_BYTES)
}

fn flag(lookup: Lookup<'_>, name: &'static str) -> Result<bool, ConfigError> {
    match optional(lookup, name).map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ConfigError { name, problem: format!("is {other:?}; it must be true or false") }),
    }
}

fn list(lookup: Lookup<'_>, name: &str) -> Vec<String> {
    let text = optional(lookup, name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn prices(lookup: Lookup<'_>) -> Result<Option<Prices>, ConfigError> {
    let price = |name| match number(lookup, name, f64::NAN, 0.0..=1_000_000.0) {
        Ok(price) if price.is_nan() => Ok(None),
        other => other.map(Some),
    };
    let (input, output) = (price(PRICE_PER_MILLION_INPUT_TOKENS)?, price(PRICE_PER_MILLION_OUTPUT_TOKENS)?);
    Ok(input.zip(output).map(|(input, output)| Prices { input, output }))
}

fn temperature(lookup: Lookup<'_>) -> Result<Option<f32>, ConfigError> {
    if optional(lookup, TEMPERATURE).is_none_or(|text| text == "none") {
        return Ok(None);
    }
    number(lookup, TEMPERATURE, 0.0, 0.0..=1.0).map(Some)
}

fn request_fields(lookup: Lookup<'_>) -> Result<Option<Value>, ConfigError> {
    let name = MODEL_REQUEST_FIELDS;
    let Some(text) = optional(lookup, name) else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(fields @ Value::Object(_)) => Ok(Some(fields)),
        _ => Err(ConfigError { name, problem: "must be a JSON object, such as {\"thinking\": …}".to_owned() }),
    }
}

fn answer_mode(lookup: Lookup<'_>) -> Result<AnswerMode, ConfigError> {
    let name = ANSWER_MODE;
    let Some(text) = optional(lookup, name) else { return Ok(AnswerMode::Auto) };
    text.parse().map_err(|()| ConfigError {
        name,
        problem: format!("is {text:?}; it must be auto, tool, any_tool, json_schema or text"),
    })
}

#[cfg(test)]
mod tests;
