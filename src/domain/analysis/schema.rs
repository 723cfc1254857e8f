//! The schema of an answer: the default schema, or a caller's schema.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, ValidationError};
use serde_json::{Value, json};

use super::request::{InvalidAnalysis, invalid};
use super::schema_budget::check_budget;
use crate::domain::json::fits_the_table;
use crate::domain::limits::{
    LABEL_MAX_BYTES, LABELS_MAX, PATTERN_CACHE_MAX_BYTES, PATTERNS_COMPILED_MAX_BYTES, REPAIR_RULES_MAX,
    RESULT_MAX_DEPTH, VALIDATION_DETAIL_MAX, VALIDATION_RULES_MAX,
};

/// The schema of the default analysis.
///
/// The top level has only `type`, `properties` and `required`, because Amazon Nova
/// accepts no other keywords there.
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

/// Checks the labels of a caller.
pub(super) fn check_labels(labels: &[String]) -> Result<&[String], InvalidAnalysis> {
    if labels.len() < 2 || labels.len() > LABELS_MAX {
        return Err(invalid("labels", format!("must have 2 to {LABELS_MAX} labels; it has {}", labels.len())));
    }
    if labels.iter().any(|label| label.trim().is_empty() || label.len() > LABEL_MAX_BYTES) {
        return Err(invalid(
            "labels",
            format!("must have labels of 1 to {LABEL_MAX_BYTES} bytes, not only of white space"),
        ));
    }
    let distinct: std::collections::BTreeSet<&String> = labels.iter().collect();
    if distinct.len() != labels.len() {
        return Err(invalid("labels", "must not have the same label twice"));
    }
    Ok(labels)
}

/// Checks that a caller's schema describes an object and that DynamoDB can store it.
pub(super) fn check_schema(schema: &Value) -> Result<Value, InvalidAnalysis> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(invalid("schema", "must be a JSON Schema with \"type\": \"object\" at the top level"));
    }
    if !fits_the_table(schema, RESULT_MAX_DEPTH) {
        return Err(invalid(
            "schema",
            format!(
                "must have at most {RESULT_MAX_DEPTH} levels, no empty field name, and no number that DynamoDB cannot store"
            ),
        ));
    }
    Ok(schema.clone())
}

/// A compiled schema that validates answers.
#[derive(Debug)]
pub(super) struct Validator {
    compiled: jsonschema::Validator,
    /// The most rules that the schema applies to one value.
    pub rules_per_value: u64,
}

/// The first part of an answer that does not fit the schema.
pub(super) struct Mismatch {
    /// JSON Pointer into the answer.
    pub at: String,
    /// The rule that is broken, in the schema's own words; nothing of the answer.
    pub problem: String,
}

impl Validator {
    /// Compiles a schema of draft 2020-12, unless its `$schema` names another draft.
    ///
    /// Callers send schemas. The budget is therefore checked first, a pattern must match in
    /// linear time, and a reference may only point into the schema itself. `format` is no
    /// rule in any draft.
    ///
    /// # Errors
    /// [`InvalidAnalysis`] names the place in the schema that cannot be used.
    pub fn new(schema: &Value) -> Result<Self, InvalidAnalysis> {
        let rules_per_value = check_budget(schema)?;
        let patterns =
            PatternOptions::regex().size_limit(PATTERNS_COMPILED_MAX_BYTES).dfa_size_limit(PATTERN_CACHE_MAX_BYTES);
        let options = jsonschema::options().with_pattern_options(patterns).should_validate_formats(false).offline();
        let compiled = options.build(schema).map_err(|error| invalid_schema(&error))?;
        Ok(Self { compiled, rules_per_value })
    }

    /// Whether the validation of an answer stays within [`VALIDATION_RULES_MAX`].
    pub fn is_within_budget(&self, answer: &Value) -> bool {
        self.rules_for(answer) <= VALIDATION_RULES_MAX
    }

    /// Whether the repair of an answer stays short. A repair follows the same references and
    /// branches, to a greater depth.
    pub fn can_repair(&self, answer: &Value) -> bool {
        self.rules_per_value <= REPAIR_RULES_MAX && self.rules_for(answer) <= VALIDATION_DETAIL_MAX
    }

    fn rules_for(&self, answer: &Value) -> u64 {
        self.rules_per_value.saturating_mul(count_values(answer))
    }

    /// Validates an answer. The error is the first mismatch.
    pub fn check(&self, answer: &Value) -> Result<(), Mismatch> {
        if self.rules_for(answer) > VALIDATION_DETAIL_MAX {
            let problem = || Mismatch { at: String::new(), problem: "a rule is broken".to_owned() };
            return if self.compiled.is_valid(answer) { Ok(()) } else { Err(problem()) };
        }
        self.compiled.validate(answer).map_err(|error| {
            let error = innermost_error(&error);
            Mismatch { at: error.instance_path().to_string(), problem: problem_of(error) }
        })
    }
}

fn count_values(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(count_values).sum(),
        Value::Object(fields) => fields.values().map(count_values).sum(),
        _ => 0,
    }
}

fn invalid_schema(error: &ValidationError<'_>) -> InvalidAnalysis {
    let place = error.instance_path().to_string();
    let at = if place.is_empty() { String::new() } else { format!("; the error is at `{place}`") };
    invalid("schema", format!("must be a valid JSON Schema with linear-time patterns and no external references{at}"))
}

/// Names the broken rule by the schema alone: the error's own text quotes the answer.
fn problem_of(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Required { property } => format!("the field {property} is missing"),
        ValidationErrorKind::Type { kind } => format!("the type must be {}", type_names(kind)),
        ValidationErrorKind::Enum { .. } => "the value must be one of the schema's values".to_owned(),
        ValidationErrorKind::Minimum { limit } => format!("the number must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("the number must be at most {limit}"),
        ValidationErrorKind::AdditionalProperties { .. } => "the schema does not allow a further field".to_owned(),
        _ => format!("rule `{}`", error.schema_path()),
    }
}

fn type_names(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(name) => name.to_string(),
        TypeKind::Multiple(names) => names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

/// The first error in the first branch of `anyOf` and `oneOf`. It helps a caller more
/// than the error that no branch fits.
fn innermost_error<'e, 'v>(error: &'e ValidationError<'v>) -> &'e ValidationError<'v> {
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().next().map_or(error, innermost_error)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_with_external_reference_is_rejected() {
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
    fn recursive_schema_validation_terminates() {
        let endless = json!({"type": "object", "allOf": [{"$ref": "#"}]});
        assert!(Validator::new(&endless).is_err());
        let tree = json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false});
        let validator = Validator::new(&tree).unwrap();
        assert!(validator.check(&json!({"child": {"child": {}}})).is_ok());
        assert!(validator.check(&json!({"child": {"other": 1}})).is_err());
    }

    #[test]
    fn slow_pattern_is_matched_in_linear_time_or_rejected() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}});
        let validator = Validator::new(&schema).unwrap();
        assert!(validator.check(&json!({"a": format!("{}b", "a".repeat(50_000))})).is_err());
        let backward = json!({"type": "object", "properties": {"a": {"pattern": "(a)\\1"}}});
        assert!(Validator::new(&backward).is_err());
    }
}
