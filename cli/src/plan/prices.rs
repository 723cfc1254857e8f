//! The one table of prices, with the date and the page of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What comes with this crate.
const OWN: &str = include_str!("prices.json");

/// List prices of one region. The table is a JSON file of this form, which
/// `--prices` replaces.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// When they were looked up.
    pub date: String,
    /// Whose prices they are.
    pub region: String,
    /// Dollars for a GB of memory for a second.
    pub function_gb_second: Price,
    /// Dollars for an invocation.
    pub function_request: Price,
    /// Dollars for a request to the queue of up to 64 KB.
    pub queue_request: Price,
    /// Dollars for a write of up to 1 KB.
    pub table_write: Price,
    /// Dollars for a consistent read of up to 4 KB.
    pub table_read: Price,
    /// Dollars for an object stored.
    pub bucket_put: Price,
    /// Dollars for an object read.
    pub bucket_get: Price,
    /// Dollars for a request to the API.
    pub api_request: Price,
    /// Batch inference's price as a part of the ordinary one.
    pub batch_inference_part: Price,
    /// The models, by the id that is called or by the foundation model's.
    pub models: BTreeMap<String, ModelPrice>,
}

/// One price.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// In dollars, of one.
    pub usd: f64,
    /// The page that says what it is today.
    pub page: String,
    /// Where the figure was read.
    pub seen: String,
    /// Whether nothing confirms it.
    #[serde(default)]
    pub assumed: bool,
}

/// A model's prices.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Dollars for 1,000 input tokens.
    pub input_per_1000: f64,
    /// Dollars for 1,000 output tokens.
    pub output_per_1000: f64,
    /// How many tokens of the quota an output token counts.
    pub output_token_factor: f64,
    /// The page that says what the prices are today.
    pub page: String,
    /// Where the figures were read.
    pub seen: String,
    /// What nothing confirms; empty if nothing is assumed.
    #[serde(default)]
    pub assumed: String,
}

impl Prices {
    /// The table that comes with this crate.
    pub fn own() -> Self {
        serde_json::from_str(OWN).expect("a test reads it")
    }

    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A model's prices, by the id that is called; an inference profile without
    /// prices of its own has those of its foundation model.
    pub fn model(&self, model_id: &str) -> Option<&ModelPrice> {
        let foundation = || model_id.split_once('.').and_then(|(_, foundation)| self.models.get(foundation));
        self.models.get(model_id).or_else(foundation)
    }

    /// The service prices that nothing confirms, by name.
    pub fn assumed(&self) -> Vec<&'static str> {
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
