//! The price table, with its date and the source of every price.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The built-in table.
const BUILT_IN: &str = include_str!("prices.json");

/// List prices of one region. `--prices` reads a JSON file of this form.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The date of the prices, such as `2026-11-22`.
    pub date: String,
    /// The AWS region of the prices.
    pub region: String,
    /// Dollars per GB-second of a function.
    pub function_gb_second: Price,
    /// Dollars per invocation of a function.
    pub function_request: Price,
    /// Dollars per SQS request of up to 64 KB.
    pub queue_request: Price,
    /// Dollars per DynamoDB write of up to 1 KB.
    pub table_write: Price,
    /// Dollars per consistent DynamoDB read of up to 4 KB.
    pub table_read: Price,
    /// Dollars per S3 put.
    pub bucket_put: Price,
    /// Dollars per S3 get.
    pub bucket_get: Price,
    /// Dollars per request to the API.
    pub api_request: Price,
    /// The price of batch inference as a fraction of the on-demand price.
    pub batch_inference_part: Price,
    /// The models, by the id of the model or of the inference profile.
    pub models: BTreeMap<String, ModelPrice>,
}

/// One price.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Dollars per unit.
    pub usd: f64,
    /// The AWS page with the current price.
    pub page: String,
    /// The source of the number, with its date.
    pub seen: String,
    /// Whether the number is an assumption without a source.
    #[serde(default)]
    pub assumed: bool,
}

/// A model's prices.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Dollars per 1,000 input tokens.
    pub input_per_1000: f64,
    /// Dollars per 1,000 output tokens.
    pub output_per_1000: f64,
    /// Quota tokens that one output token counts.
    pub output_token_factor: f64,
    /// The AWS page with the current prices.
    pub page: String,
    /// The source of the numbers, with its date.
    pub seen: String,
    /// The assumptions in these numbers; empty if there are none.
    #[serde(default)]
    pub assumed: String,
}

impl Prices {
    /// The built-in table.
    pub fn built_in() -> Self {
        serde_json::from_str(BUILT_IN).expect("a test parses the built-in table")
    }

    /// Parses a table.
    ///
    /// # Errors
    /// The first problem of the JSON, with its line and column.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The prices of a model or an inference profile. A profile without its own prices
    /// has those of its foundation model.
    pub fn model(&self, model_id: &str) -> Option<&ModelPrice> {
        let foundation = || model_id.split_once('.').and_then(|(_, foundation)| self.models.get(foundation));
        self.models.get(model_id).or_else(foundation)
    }

    /// The names of the service prices that are assumptions.
    pub fn assumed_names(&self) -> Vec<&'static str> {
        let all = [
            ("function_gb_second", &self.function_gb_second),
            ("function_request", &self.function_request),
            ("queue_request", &self.queue_request),
            ("table_write", &self.table_write),
            ("table_read", &self.table_read),
            ("bucket_put", &self.bucket_put),
            ("bucket_get", &self.bucket_get),
            ("api_request", &self.api_request),
            ("batch_inference_part", &self.batch_inference_part),
        ];
        all.into_iter().filter(|(_, price)| price.assumed).map(|(name, _)| name).collect()
    }
}
