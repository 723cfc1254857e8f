//! The schema of an answer: the default one, or a caller's own.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use serde_json::{Value, json};

use super::request::{InvalidAnalysis, invalid};
use crate::domain::json::fits_the_table;
use crate::domain::limits::{LABEL_MAX_BYTES, LABELS_MAX, RESULT_MAX_DEPTH};

/// Only `type`, `properties` and `required` stand at the top: Amazon Nova takes
/// no more there.
///
/// <https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html>
pub(super) fn default_schema<L: AsRef<str>>(labels: &[L]) -> Value {
    let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
    json!({
        "type": "object",
        "properties": {
            "summary": {"type": "string", "minLength": 1, "description": "Two to four sentences."},
            "classification": {
                "type": "object",
                "properties": {
                    "label": {"type": "string", "enum": labels},
                    "confidence": {"type": "number", "minimum": 0, "maximum": 1}
                },
                "required": ["label", "confidence"]
            },
            "key_points": {"type": "array", "items": {"type": "string"}}
        },
        "required": ["summary", "classification", "key_points"]
    })
}

pub(super) fn checked_labels(labels: &[String]) -> Result<&[String], InvalidAnalysis> {
    if labels.len() < 2 || labels.len() > LABELS_MAX {
        return Err(invalid("labels", format!("has {} labels; give 2 to {LABELS_MAX}", labels.len())));
    }
    if labels.iter().any(|label| label.trim().is_empty() || label.len() > LABEL_MAX_BYTES) {
        return Err(invalid("labels", format!("each label has 1 to {LABEL_MAX_BYTES} bytes")));
    }
    let distinct: std::collections::BTreeSet<&String> = labels.iter().collect();
    if distinct.len() != labels.len() {
        return Err(invalid("labels", "a label stands there twice"));
    }
    Ok(labels)
}

/// The row keeps it, so the table must be able to.
pub(super) fn own_schema(schema: &Value) -> Result<Value, InvalidAnalysis> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(invalid("schema", "must be a JSON Schema with \"type\": \"object\" at the top"));
    }
    if !fits_the_table(schema, RESULT_MAX_DEPTH) {
        return Err(invalid(
            "schema",
            format!("nests deeper than {RESULT_MAX_DEPTH} or has a number or a name that the table cannot hold"),
        ));
    }
    Ok(schema.clone())
}

/// A compiled schema that validates answers.
#[derive(Debug)]
pub(super) struct Validator(jsonschema::Validator);

/// The first part of an answer that does not fit the schema.
pub(super) struct Unfit {
    /// JSON Pointer into the answer.
    pub at: String,
    /// JSON Pointer into the schema.
    pub rule: String,
}

impl Validator {
    /// Compiles a schema of draft 2020-12, unless its `$schema` names another draft.
    ///
    /// Callers send schemas, so a pattern must match in linear time and a reference
    /// may only point into the schema itself.
    ///
    /// # Errors
    /// [`InvalidAnalysis`] names the place in the schema that cannot be used.
    pub fn new(schema: &Value) -> Result<Self, InvalidAnalysis> {
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex()).offline();
        options.build(schema).map(Self).map_err(|error| unusable(&error))
    }

    pub fn check(&self, answer: &Value) -> Result<(), Unfit> {
        self.0.validate(answer).map_err(|error| {
            let error = innermost(&error);
            Unfit { at: error.instance_path().to_string(), rule: error.schema_path().to_string() }
        })
    }
}

fn unusable(error: &ValidationError<'_>) -> InvalidAnalysis {
    let place = error.instance_path().to_string();
    let at = if place.is_empty() { String::new() } else { format!(", at `{place}`") };
    invalid("schema", format!("is not a JSON Schema that can be used{at}"))
}

/// The first error of the first branch of `anyOf` and `oneOf`: a caller can act on
/// it, and not on "no branch fits".
fn innermost<'e, 'v>(error: &'e ValidationError<'v>) -> &'e ValidationError<'v> {
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().next().map_or(error, innermost)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_reaches_for_nothing_outside_itself() {
        for place in ["file:///etc/hostname", "https://example.com/schema.json", "other.json", "urn:other"] {
            let schema = json!({"type": "object", "properties": {"a": {"$ref": place}}});
            assert!(Validator::new(&schema).is_err(), "{place}");
        }
        let own =
            json!({"type": "object", "$defs": {"n": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/n"}}});
        let validator = Validator::new(&own).unwrap();
        assert!(validator.check(&json!({"a": 1})).is_ok() && validator.check(&json!({"a": "1"})).is_err());
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        let endless = json!({"type": "object", "allOf": [{"$ref": "#"}]});
        // JSON Schema leaves the answer open; the validation must end.
        let _ = Validator::new(&endless).unwrap().check(&json!({}));
        let tree = json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false});
        let validator = Validator::new(&tree).unwrap();
        assert!(validator.check(&json!({"child": {"child": {}}})).is_ok());
        assert!(validator.check(&json!({"child": {"other": 1}})).is_err());
    }

    #[test]
    fn a_pattern_that_would_run_without_end_is_matched_at_once_or_refused() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}});
        let validator = Validator::new(&schema).unwrap();
        assert!(validator.check(&json!({"a": format!("{}b", "a".repeat(50_000))})).is_err());
        let backward = json!({"type": "object", "properties": {"a": {"pattern": "(a)\\1"}}});
        assert!(Validator::new(&backward).is_err());
    }
}
