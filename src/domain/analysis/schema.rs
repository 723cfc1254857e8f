//! The schema of an answer: the default one, or a caller's own.

use boon::{CompileError, Compiler, SchemaIndex, Schemas, UrlLoader, ValidationError};
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

/// The name under which the validator knows the schema.
const NAME: &str = "urn:docket:answer";

/// A schema, ready to check answers.
pub(super) struct Validator {
    schemas: Schemas,
    root: SchemaIndex,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Validator")
    }
}

/// Where an answer does not fit: the place in the answer, and in the schema.
pub(super) struct Unfit {
    pub at: String,
    pub rule: String,
}

impl Validator {
    /// Patterns run in linear time: a schema may come from outside.
    pub fn new(schema: &Value) -> Result<Self, InvalidAnalysis> {
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(NothingOutside));
        let mut schemas = Schemas::new();
        compiler.add_resource(NAME, schema.clone()).map_err(unusable)?;
        let root = compiler.compile(NAME, &mut schemas).map_err(unusable)?;
        Ok(Self { schemas, root })
    }

    pub fn check(&self, answer: &Value) -> Result<(), Unfit> {
        self.schemas.validate(answer, self.root).map_err(|error| {
            let error = first(&error);
            let rule = error.schema_url.split_once('#').map_or("", |(_, rule)| rule);
            Unfit { at: error.instance_location.to_string(), rule: rule.to_owned() }
        })
    }
}

fn unusable(error: CompileError) -> InvalidAnalysis {
    let at = match &error {
        CompileError::ValidationError { src, .. } => format!(", at `{}`", first(src).instance_location),
        _ => String::new(),
    };
    invalid("schema", format!("is not a JSON Schema that can be used{at}"))
}

/// The first that is wrong, innermost.
fn first<'e, 's, 'v>(mut error: &'e ValidationError<'s, 'v>) -> &'e ValidationError<'s, 'v> {
    while let Some(cause) = error.causes.first() {
        error = cause;
    }
    error
}

/// References outside the schema are refused.
struct NothingOutside;

impl UrlLoader for NothingOutside {
    fn load(&self, _: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err("a reference outside the schema".into())
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
        assert!(Validator::new(&endless).is_ok_and(|validator| validator.check(&json!({})).is_err()));
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
