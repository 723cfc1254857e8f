//! Lossless repair of an answer that does not fit its schema.
//!
//! Models sometimes send the right value in the wrong JSON form. A repair changes the
//! form and never the value: 90 does not become 0.9. The caller validates the result.

use serde_json::{Map, Value};

use crate::domain::exact_json::{exact_number, find_inexact_numbers};

/// Most schema references and branches on the way to one value.
const SCHEMA_DEPTH_MAX: usize = 64;

/// Repairs the JSON form of an answer:
///
/// - an answer inside `properties`, or inside a copy of the schema's own top level;
/// - a string with the JSON of the required object or array;
/// - a string with the digits of the required number;
/// - an enum value that differs only in case or in outer white space.
pub(super) fn repair(schema: &Value, answer: Value) -> Value {
    convert(schema, schema, unwrap_properties(schema, answer), 0)
}

/// `{"properties": {…}}` and `{"type": "object", "properties": {…}}` → `{…}`.
fn unwrap_properties(schema: &Value, answer: Value) -> Value {
    let Value::Object(mut fields) = answer else { return answer };
    let is_field = schema.pointer("/properties/properties").is_some();
    let is_wrapper = fields.keys().all(|name| name == "properties" || name == "type");
    match fields.get_mut("properties") {
        Some(inner @ Value::Object(_)) if is_wrapper && !is_field => inner.take(),
        _ => Value::Object(fields),
    }
}

fn convert(root: &Value, schema: &Value, value: Value, depth: usize) -> Value {
    if depth > SCHEMA_DEPTH_MAX {
        return value;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|reference| local(root, reference)) {
        return convert(root, target, value, depth + 1);
    }
    if let Some(branches) = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array()) {
        return convert_by_branch(root, branches, value, depth);
    }
    match value {
        Value::String(text) => convert_text(root, schema, text, depth),
        Value::Object(fields) => Value::Object(convert_fields(root, schema, fields, depth)),
        Value::Array(items) => match schema.get("items") {
            Some(items_schema) => {
                Value::Array(items.into_iter().map(|item| convert(root, items_schema, item, depth + 1)).collect())
            }
            None => Value::Array(items),
        },
        other => other,
    }
}

/// `#/$defs/name` → the schema at this place.
fn local<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// A value is converted only if exactly one branch changes it: two are a guess.
fn convert_by_branch(root: &Value, branches: &[Value], value: Value, depth: usize) -> Value {
    let mut changed = branches.iter().map(|branch| convert(root, branch, value.clone(), depth + 1));
    let mut changed = changed.by_ref().filter(|converted| *converted != value);
    match (changed.next(), changed.next()) {
        (Some(only), None) if !branches.iter().any(|branch| accepts(branch, "string")) || !value.is_string() => only,
        _ => value,
    }
}

fn convert_fields(root: &Value, schema: &Value, fields: Map<String, Value>, depth: usize) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    let convert_field = |(name, value): (String, Value)| {
        let own = properties.and_then(|properties| properties.get(&name)).or(others);
        let value = match own {
            Some(own) => convert(root, own, value, depth + 1),
            None => value,
        };
        (name, value)
    };
    fields.into_iter().map(convert_field).collect()
}

fn convert_text(root: &Value, schema: &Value, text: String, depth: usize) -> Value {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        return Value::String(matching_label(allowed, &text).unwrap_or(text));
    }
    if accepts(schema, "string") {
        return Value::String(text);
    }
    let wants = |name: &str| is_type(schema, name);
    let parsed = match text.trim_start().as_bytes().first() {
        Some(b'{') if wants("object") => exact_value(&text).filter(Value::is_object),
        Some(b'[') if wants("array") => exact_value(&text).filter(Value::is_array),
        _ if wants("number") || wants("integer") => exact_number(text.trim()).map(Value::Number),
        _ => None,
    };
    match parsed {
        Some(number @ Value::Number(_)) => number,
        Some(parsed) => convert(root, schema, parsed, depth + 1),
        None => Value::String(text),
    }
}

/// The JSON of a text, if no number of it is rounded.
fn exact_value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|_| find_inexact_numbers(text).is_empty())
}

/// The only allowed text that differs from `text` in case or outer white space alone.
fn matching_label(allowed: &[Value], text: &str) -> Option<String> {
    let folded = text.trim().to_lowercase();
    let mut matching = allowed.iter().filter_map(Value::as_str).filter(|label| label.trim().to_lowercase() == folded);
    match (matching.next(), matching.next()) {
        (Some(only), None) => Some(only.to_owned()),
        _ => None,
    }
}

/// Whether the schema allows this type; a schema without `type` allows every type.
fn accepts(schema: &Value, name: &str) -> bool {
    schema.get("type").is_none() || is_type(schema, name)
}

fn is_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::{Analysis, AnalysisRequest};
    use serde_json::json;

    fn good() -> Value {
        json!({"summary": "A lease.", "classification": {"label": "lease", "confidence": 0.9}, "key_points": ["rent"]})
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut answer = good();
        *answer.pointer_mut(pointer).expect("a place in the answer") = value;
        answer
    }

    #[test]
    fn right_value_in_wrong_form_is_repaired() {
        let analysis = Analysis::standard();
        for answer in [
            with("/key_points", json!("[\"rent\"]")),
            with("/classification", json!("{\"label\": \"lease\", \"confidence\": 0.9}")),
            with("/classification", json!("{\"label\": \" LEASE\", \"confidence\": \"0.90\"}")),
            with("/classification/confidence", json!("0.9")),
            with("/classification/confidence", json!(" 9e-1 ")),
            with("/classification/label", json!("Lease")),
            json!({"properties": good()}),
            json!({"type": "object", "properties": good()}),
        ] {
            assert_eq!(analysis.accept(answer.clone()), Ok((good(), true)), "{answer}");
        }
        assert_eq!(analysis.accept(good()), Ok((good(), false)), "a fitting answer is not marked");
    }

    #[test]
    fn value_is_never_guessed() {
        let analysis = Analysis::standard();
        for answer in [
            with("/classification/confidence", json!(90)),
            with("/classification/confidence", json!("90 %")),
            with("/classification/confidence", json!("0,9")),
            with("/classification/confidence", json!("0.9000000000000000000001")),
            with("/classification/label", json!("a lease")),
            with("/key_points", json!("rent")),
            with("/key_points", json!("[\"rent\"")),
            json!({"properties": good(), "more": 1}),
            json!({"properties": "x"}),
        ] {
            assert!(analysis.accept(answer.clone()).is_err(), "{answer}");
        }
    }

    #[test]
    fn ambiguous_label_is_not_repaired() {
        let labels = Some(vec!["Lease".to_owned(), "lease".to_owned()]);
        let analysis = Analysis::new(&AnalysisRequest { labels, ..Default::default() }).unwrap();
        assert!(analysis.accept(with("/classification/label", json!("LEASE"))).is_err());
    }

    #[test]
    fn repair_follows_references_and_optional_types() {
        let schema = json!({
            "type": "object",
            "$defs": {"money": {"type": "number"}},
            "properties": {
                "rent": {"$ref": "#/$defs/money"},
                "deposit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "name": {"anyOf": [{"type": "string"}, {"type": "number"}]},
                "area": {"type": ["number", "null"]},
            },
        });
        let analysis = Analysis::new(&AnalysisRequest { schema: Some(schema), ..Default::default() }).unwrap();
        let answer = json!({"rent": "900.50", "deposit": "1800", "name": "12", "area": "61.5"});
        let fitting = json!({"rent": 900.5, "deposit": 1800, "name": "12", "area": 61.5});
        assert_eq!(analysis.accept(answer), Ok((fitting, true)));
        let endless = json!({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}});
        assert_eq!(repair(&endless, json!({"a": "1"})), json!({"a": "1"}));
    }

    #[test]
    fn string_with_an_inexact_number_is_not_repaired() {
        let analysis = Analysis::standard();
        let classification = "{\"label\": \"lease\", \"confidence\": 0.12345678901234567890123}";
        assert!(analysis.accept(with("/classification", json!(classification))).is_err());
    }
}
