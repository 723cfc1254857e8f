//! An analysis as a caller submits it, and the limits of its settings.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::failure::{Failure, codes};
use crate::domain::json::fits_the_table;
use crate::domain::limits::{MODEL_ID_MAX_BYTES, OUTPUT_TOKENS_MAX};

/// An analysis as a caller asks for it. What is `None` is as in the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnalysisRequest {
    /// What to look at, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The labels to choose from, in the default schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// A JSON Schema for the answer, in place of the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Most tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<i32>,
    /// Between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The model or inference profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
}

/// What is wrong with an [`AnalysisRequest`], and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`analysis.{field}`: {problem}")]
pub struct InvalidAnalysis {
    /// The field within `analysis`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl From<InvalidAnalysis> for Failure {
    fn from(invalid: InvalidAnalysis) -> Self {
        Failure::new(codes::ANALYSIS_INVALID, invalid.to_string())
    }
}

/// Checks what an analysis says of its model.
pub(super) fn check_settings(request: &AnalysisRequest) -> Result<(), InvalidAnalysis> {
    if request.max_tokens.is_some_and(|tokens| !(1..=OUTPUT_TOKENS_MAX).contains(&tokens)) {
        return Err(invalid("max_tokens", format!("must be from 1 to {OUTPUT_TOKENS_MAX}")));
    }
    // The row keeps it: a number near 0 that the table cannot hold is refused.
    let fits = |temperature| (0.0..=1.0).contains(&temperature) && fits_the_table(&json!(temperature), 0);
    if request.temperature.is_some_and(|temperature| !fits(temperature)) {
        return Err(invalid("temperature", "must be from 0 to 1"));
    }
    if request.model_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MODEL_ID_MAX_BYTES) {
        return Err(invalid("model_id", format!("must have 1 to {MODEL_ID_MAX_BYTES} bytes")));
    }
    Ok(())
}

pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> InvalidAnalysis {
    InvalidAnalysis { field, problem: problem.into() }
}
