//! The schema of an answer: the default one, or a caller's own.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

use super::{InvalidAnalysis, invalid};
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

/// Patterns run in linear time: a schema may come from outside. References
/// outside the schema cannot be resolved and are refused.
pub(super) fn validator(schema: &Value) -> Result<Validator, InvalidAnalysis> {
    jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map_err(|error| {
        invalid("schema", format!("is not a JSON Schema that can be used, at `{}`", error.schema_path()))
    })
}
