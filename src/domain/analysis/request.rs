//! An analysis as a caller sends it, and the limits of its settings.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::failure::{Failure, codes};
use crate::domain::json::fits_the_table;
use crate::domain::limits::{MODEL_ID_MAX_BYTES, OUTPUT_TOKENS_MAX};

/// An analysis as a caller sends it. A field that is `None` has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnalysisRequest {
    /// Instructions in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The labels of the classification, in the default schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// A JSON Schema for the answer, in place of the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The maximum of output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<i32>,
    /// The temperature, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The model or inference profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The first and the last page of a PDF to analyse, from 1. Other documents have no pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_range: Option<[u32; 2]>,
    /// Whether the model names a passage of the document for each value, which Docket checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<bool>,
}

/// A problem with a field of an [`AnalysisRequest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`analysis.{field}`: {problem}")]
pub struct InvalidAnalysis {
    /// The field within `analysis`.
    pub field: &'static str,
    /// The problem with the field, as a sentence without its subject.
    pub problem: String,
}

impl From<InvalidAnalysis> for Failure {
    fn from(invalid: InvalidAnalysis) -> Self {
        Failure::new(codes::ANALYSIS_INVALID, invalid.to_string())
    }
}

/// Checks an analysis' settings of the model.
pub(super) fn check_settings(request: &AnalysisRequest) -> Result<(), InvalidAnalysis> {
    if request.max_tokens.is_some_and(|tokens| !(1..=OUTPUT_TOKENS_MAX).contains(&tokens)) {
        return Err(invalid("max_tokens", format!("must be between 1 and {OUTPUT_TOKENS_MAX}")));
    }
    // DynamoDB cannot store a number very near 0.
    let fits = |temperature| (0.0..=1.0).contains(&temperature) && fits_the_table(&json!(temperature), 0);
    if request.temperature.is_some_and(|temperature| !fits(temperature)) {
        return Err(invalid("temperature", "must be between 0 and 1"));
    }
    if request.model_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MODEL_ID_MAX_BYTES) {
        return Err(invalid("model_id", format!("must have 1 to {MODEL_ID_MAX_BYTES} bytes")));
    }
    if request.page_range.is_some_and(|[first, last]| first == 0 || last < first) {
        return Err(invalid("page_range", "must be the first and the last page, such as [3, 10]"));
    }
    Ok(())
}

pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> InvalidAnalysis {
    InvalidAnalysis { field, problem: problem.into() }
}

/// Checks that an analysis asks for no more output tokens than the stack allows. Bedrock
/// deducts the tokens of every call from the quota when the call begins, so one caller's
/// large answers would delay the jobs of all others.
///
/// # Errors
/// [`InvalidAnalysis`], which names the field and the ceiling.
pub fn check_ceiling(request: &AnalysisRequest, ceiling: i32) -> Result<(), InvalidAnalysis> {
    match request.max_tokens {
        Some(tokens) if tokens > ceiling => {
            let allowed = format!("must be at most {ceiling}, the stack's MaxTokensCeiling; it is {tokens}");
            Err(invalid("max_tokens", allowed))
        }
        _ => Ok(()),
    }
}
