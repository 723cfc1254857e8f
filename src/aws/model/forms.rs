//! The forms of the answer that an execution environment has learned for each model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::analysis::Analysis;
use crate::domain::analysis::answer_form::{AnswerForm, AnswerMode};

/// Chooses the form of a call. Clones share what they have learned.
#[derive(Debug, Clone, Default)]
pub(super) struct Forms {
    mode: AnswerMode,
    /// By model id: how many forms the model has refused.
    refused: Arc<Mutex<HashMap<String, usize>>>,
}

impl Forms {
    pub fn new(mode: AnswerMode) -> Self {
        Self { mode, refused: Arc::default() }
    }

    /// The first form that the model has not refused and that can express the schema.
    pub fn first(&self, model_id: &str, analysis: &Analysis) -> Option<AnswerForm> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(model_id).copied();
        self.from(refused.unwrap_or_default(), model_id, analysis)
    }

    /// The form that follows a refused one.
    pub fn after(&self, form: AnswerForm, model_id: &str, analysis: &Analysis) -> Option<AnswerForm> {
        let place = self.mode.forms(model_id).iter().position(|known| *known == form)?;
        self.from(place + 1, model_id, analysis)
    }

    /// Remembers that the model refuses a form, unless it is the last one.
    pub fn remember_refusal(&self, form: AnswerForm, model_id: &str) {
        let forms = self.mode.forms(model_id);
        if let Some(place) = forms.iter().position(|known| *known == form).filter(|place| place + 1 < forms.len()) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            let count = refused.entry(model_id.to_owned()).or_default();
            *count = (place + 1).max(*count);
        }
    }

    fn from(&self, place: usize, model_id: &str, analysis: &Analysis) -> Option<AnswerForm> {
        let can_express = |form: &AnswerForm| *form != AnswerForm::JsonSchema || analysis.strict_schema().is_some();
        self.mode.forms(model_id).iter().skip(place).copied().find(can_express)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::AnalysisRequest;
    use serde_json::json;

    #[test]
    fn refused_form_is_skipped_by_later_calls() {
        let (forms, model) = (Forms::new(AnswerMode::Auto), "us.anthropic.claude-sonnet-4-5-20250929-v1:0");
        let analysis = Analysis::standard();
        assert_eq!(forms.first(model, analysis), Some(AnswerForm::Tool));
        forms.clone().remember_refusal(AnswerForm::Tool, model);
        assert_eq!(forms.first(model, analysis), Some(AnswerForm::AutoTool));
        assert_eq!(forms.after(AnswerForm::AutoTool, model, analysis), Some(AnswerForm::JsonSchema));
        let open = AnalysisRequest { schema: Some(json!({"type": "object"})), ..Default::default() };
        let open = Analysis::new(&open).unwrap();
        assert_eq!(forms.after(AnswerForm::AutoTool, model, &open), Some(AnswerForm::Text));
        assert_eq!(forms.after(AnswerForm::Text, model, analysis), None);
        forms.remember_refusal(AnswerForm::Text, model);
        assert_eq!(forms.first(model, analysis), Some(AnswerForm::AutoTool));
        assert_eq!(forms.first("other.model", analysis), Some(AnswerForm::Tool));
    }

    #[test]
    fn fixed_mode_has_no_other_form() {
        for (mode, form) in [(AnswerMode::Tool, AnswerForm::Tool), (AnswerMode::Text, AnswerForm::Text)] {
            let forms = Forms::new(mode);
            assert_eq!(forms.first("meta.llama3", Analysis::standard()), Some(form));
            assert_eq!(forms.after(form, "meta.llama3", Analysis::standard()), None);
        }
    }
}
