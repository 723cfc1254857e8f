//! The schema of a request with structured outputs, which accept a part of JSON Schema.
//!
//! The answer is checked by the original schema, so a rule may be left out here: the
//! model then may break the rule, and the check finds it.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// Keywords that are sent as they are. Others, such as limits of numbers and lengths, are
/// left out.
const COPIED: [&str; 6] = ["type", "required", "enum", "const", "description", "title"];
/// Formats that structured outputs accept.
const FORMATS: [&str; 9] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// Converts a schema for structured outputs. `None` if they cannot express it: it is
/// recursive, or an object in it has fields of any name.
pub(super) fn strict_schema(schema: &Value) -> Option<Value> {
    Converter { root: schema, open: Vec::new(), done: HashSet::new() }.convert(schema)
}

struct Converter<'s> {
    root: &'s Value,
    /// The references that are being followed.
    open: Vec<&'s str>,
    /// The references that have been followed to their ends.
    done: HashSet<&'s str>,
}

impl<'s> Converter<'s> {
    fn convert(&mut self, schema: &'s Value) -> Option<Value> {
        let Value::Object(fields) = schema else { return None };
        let mut strict = Map::new();
        for key in COPIED {
            if let Some(value) = fields.get(key) {
                strict.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(format) = fields.get("format").filter(|format| FORMATS.iter().any(|known| *format == known)) {
            strict.insert("format".to_owned(), format.clone());
        }
        if let Some(reference) = fields.get("$ref") {
            self.follow(reference.as_str()?)?;
            strict.insert("$ref".to_owned(), reference.clone());
        }
        for key in ["$defs", "definitions", "properties"] {
            if let Some(Value::Object(named)) = fields.get(key) {
                let converted: Option<Map<_, _>> =
                    named.iter().map(|(name, one)| Some((name.clone(), self.convert(one)?))).collect();
                strict.insert(key.to_owned(), Value::Object(converted?));
            }
        }
        for (key, sent_as) in [("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")] {
            if let Some(Value::Array(branches)) = fields.get(key) {
                let branches: Option<Vec<Value>> = branches.iter().map(|branch| self.convert(branch)).collect();
                strict.insert(sent_as.to_owned(), Value::Array(branches?));
            }
        }
        if let Some(items) = fields.get("items") {
            strict.insert("items".to_owned(), self.convert(items)?);
        }
        if let Some(least @ (0 | 1)) = fields.get("minItems").and_then(Value::as_u64) {
            strict.insert("minItems".to_owned(), json!(least));
        }
        if describes_object(fields) {
            // Without `properties`, or with a schema for others, fields may have any name.
            let has_others = fields.get("additionalProperties").is_some_and(Value::is_object);
            if has_others || !fields.contains_key("properties") || fields.contains_key("patternProperties") {
                return None;
            }
            strict.insert("additionalProperties".to_owned(), json!(false));
        }
        Some(Value::Object(strict))
    }

    /// Checks that a reference points into the definitions, and not back to itself.
    fn follow(&mut self, reference: &'s str) -> Option<()> {
        if self.done.contains(reference) {
            return Some(());
        }
        if self.open.contains(&reference)
            || !(reference.starts_with("#/$defs/") || reference.starts_with("#/definitions/"))
        {
            return None;
        }
        let target = self.root.pointer(&reference[1..])?;
        self.open.push(reference);
        self.convert(target)?;
        self.open.pop();
        self.done.insert(reference);
        Some(())
    }
}

fn describes_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == "object",
        Some(Value::Array(several)) => several.iter().any(|one| one == "object"),
        _ => schema.contains_key("properties"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::schema::default_schema;

    #[test]
    fn every_object_of_a_strict_schema_is_closed() {
        let strict = strict_schema(&default_schema(&["a", "b"])).unwrap();
        assert_eq!(strict["additionalProperties"], false);
        assert_eq!(strict["properties"]["classification"]["additionalProperties"], false);
        assert_eq!(strict["properties"]["classification"]["properties"]["confidence"], json!({"type": "number"}));
        assert_eq!(strict["properties"]["classification"]["properties"]["label"]["enum"], json!(["a", "b"]));
        assert_eq!(strict["required"], json!(["summary", "classification", "key_points"]));
    }

    #[test]
    fn schema_with_references_and_branches_is_converted() {
        let money = json!({"type": "number", "minimum": 0});
        let schema = json!({
            "type": "object",
            "$defs": {"money": money, "sum": {"$ref": "#/$defs/money"}},
            "properties": {
                "a": {"oneOf": [{"$ref": "#/$defs/sum"}, {"type": "null"}]},
                "b": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/sum"}},
                "c": {"type": "string", "format": "date", "pattern": "x"},
            },
        });
        let strict = strict_schema(&schema).unwrap();
        assert_eq!(strict["$defs"]["money"], json!({"type": "number"}));
        assert_eq!(strict["properties"]["a"], json!({"anyOf": [{"$ref": "#/$defs/sum"}, {"type": "null"}]}));
        assert_eq!(strict["properties"]["b"], json!({"type": "array", "items": {"$ref": "#/$defs/sum"}}));
        assert_eq!(strict["properties"]["c"], json!({"type": "string", "format": "date"}));
    }

    #[test]
    fn recursive_or_open_schema_has_no_strict_form() {
        let of = |property: Value| json!({"type": "object", "properties": {"a": property}, "$defs": {"b": {"$ref": "#/$defs/b"}}});
        for property in [
            json!({"$ref": "#"}),
            json!({"$ref": "#/$defs/b"}),
            json!({"$ref": "#/properties/a"}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}),
            json!(true),
        ] {
            assert_eq!(strict_schema(&of(property.clone())), None, "{property}");
        }
        assert_eq!(strict_schema(&json!({"type": "object"})), None);
    }
}
