//! How a model is asked, where an analysis says it itself, and the fingerprint
//! by which the same question about the same document is known again.

use serde_json::{Value, json};

use super::{Analysis, AnalysisRequest, InvalidAnalysis, invalid};
use crate::domain::document::sha256_hex;
use crate::domain::json::fits_the_table;
use crate::domain::limits::{MODEL_ID_MAX_BYTES, OUTPUT_TOKENS_MAX};

/// Checks what an analysis says of its model.
pub(super) fn check(request: &AnalysisRequest) -> Result<(), InvalidAnalysis> {
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

impl Analysis {
    /// What a document's result is found again by: the same for the same bytes
    /// (`sha256`, in hexadecimal), asked the same way; `told` is what the model
    /// is told beside that.
    pub fn fingerprint(&self, sha256: &str, told: &Value) -> String {
        let asked = (sha256, told, &self.system, &self.task, &self.schema);
        sha256_hex(&serde_json::to_vec(&asked).expect("our own types serialize"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysis(request: AnalysisRequest) -> Analysis {
        Analysis::new(&request).unwrap()
    }

    #[test]
    fn the_same_question_about_the_same_bytes_has_the_same_fingerprint() {
        let one = Analysis::standard().fingerprint("s", &json!("m"));
        assert_eq!(one, analysis(AnalysisRequest::default()).fingerprint("s", &json!("m")));
        let about = AnalysisRequest { instructions: Some("the rent".into()), ..Default::default() };
        for other in [
            Analysis::standard().fingerprint("t", &json!("m")),
            Analysis::standard().fingerprint("s", &json!("n")),
            analysis(about).fingerprint("s", &json!("m")),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_a_model_cannot_be_told_is_refused_by_its_field() {
        let refused = |request: AnalysisRequest| Analysis::new(&request).expect_err("refused").field;
        for max_tokens in [0, -1, OUTPUT_TOKENS_MAX + 1] {
            assert_eq!(refused(AnalysisRequest { max_tokens: Some(max_tokens), ..Default::default() }), "max_tokens");
        }
        for temperature in [-0.1, 1.1, 1e-200, f64::NAN] {
            let request = AnalysisRequest { temperature: Some(temperature), ..Default::default() };
            assert_eq!(refused(request), "temperature");
        }
        assert_eq!(refused(AnalysisRequest { model_id: Some(String::new()), ..Default::default() }), "model_id");
    }
}
