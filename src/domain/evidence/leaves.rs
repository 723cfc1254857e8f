//! The values of a result that need evidence.

use serde_json::Value;

use crate::domain::limits::RESULT_MAX_DEPTH;

/// The fields that are the model's own words or its own judgement: no passage contains them.
const OWN_WORDS: [&str; 2] = ["summary", "label"];
/// The field that says nothing about the document.
const WITHOUT_EVIDENCE: &str = "confidence";

/// A value that needs evidence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf<'a> {
    /// A JSON Pointer into the result.
    pub path: String,
    /// A text, a number, or a truth value.
    pub value: &'a Value,
    /// Whether the value is a label or the model's own words, which no passage contains.
    pub is_own_words: bool,
}

/// The texts, numbers and truth values of a result, in its order. `null` says that the document
/// has no such value, and `confidence` is no statement about the document.
pub(super) fn collect_leaves<'a>(result: &'a Value, schema: &Value) -> Vec<Leaf<'a>> {
    let mut leaves = Vec::new();
    collect(result, &mut Vec::new(), schema, &mut leaves);
    leaves
}

fn collect<'a>(value: &'a Value, path: &mut Vec<String>, schema: &Value, leaves: &mut Vec<Leaf<'a>>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| *name != WITHOUT_EVIDENCE) {
                path.push(name.clone());
                collect(field, path, schema, leaves);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                collect(item, path, schema, leaves);
                path.pop();
            }
        }
        Value::Null => {}
        Value::String(text) if text.trim().is_empty() => {}
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            let is_named = path.last().is_some_and(|name| OWN_WORDS.contains(&name.as_str()));
            let pointer = path.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect();
            let is_own_words = is_named || is_label(schema, path);
            leaves.push(Leaf { path: pointer, value, is_own_words });
        }
    }
}

/// Whether the schema lists the texts that a value may have.
fn is_label(root: &Value, path: &[String]) -> bool {
    fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
        for _ in 0..RESULT_MAX_DEPTH {
            let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
            match pointer.and_then(|pointer| root.pointer(pointer)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }
    let mut schema = resolve(root, root);
    for step in path {
        let next = match &schema["properties"][step] {
            Value::Null if step.parse::<usize>().is_ok() => &schema["items"],
            Value::Null => &schema["additionalProperties"],
            field => field,
        };
        schema = resolve(root, next);
    }
    schema["enum"].is_array() || !schema["const"].is_null()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_leaves_and_labels_are_own_words() {
        let schema = json!({
            "type": "object",
            "$defs": {"kind": {"enum": ["a", "b"]}},
            "properties": {"kind": {"$ref": "#/$defs/kind"}, "list": {"items": {"properties": {"c": {"const": 1}}}}},
        });
        let result = json!({
            "summary": "s", "classification": {"label": "x", "confidence": 0.5}, "kind": "a",
            "list": [{"c": 1, "d": true}], "none": null, "empty": " ", "a/b": 7,
        });
        let leaves = collect_leaves(&result, &schema);
        let found: Vec<(&str, bool)> = leaves.iter().map(|leaf| (leaf.path.as_str(), leaf.is_own_words)).collect();
        let mut expected = vec![
            ("/summary", true),
            ("/classification/label", true),
            ("/kind", true),
            ("/list/0/c", true),
            ("/list/0/d", false),
            ("/a~1b", false),
        ];
        expected.sort_unstable();
        let mut found = found;
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn reference_to_itself_ends() {
        let schema = json!({"properties": {"a": {"$ref": "#/properties/a"}}});
        assert_eq!(collect_leaves(&json!({"a": "x"}), &schema).len(), 1);
    }
}
