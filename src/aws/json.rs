//! Converts JSON between serde's type and the SDK's.

use aws_smithy_types::{Document, Number};
use serde_json::Value;

pub(super) fn to_document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(b) => Document::Bool(*b),
        Value::Number(n) => Document::Number(match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Number::PosInt(n),
            (None, Some(n)) => Number::NegInt(n),
            (None, None) => Number::Float(n.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::String(s) => Document::String(s.clone()),
        Value::Array(items) => Document::Array(items.iter().map(to_document).collect()),
        Value::Object(fields) => {
            Document::Object(fields.iter().map(|(name, field)| (name.clone(), to_document(field))).collect())
        }
    }
}

/// Converts to serde's type. The SDK reads at most 256 levels, which limits the recursion.
/// A number that JSON cannot express, such as infinity, becomes null.
pub(super) fn from_document(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(b) => Value::Bool(*b),
        Document::Number(Number::PosInt(n)) => Value::from(*n),
        Document::Number(Number::NegInt(n)) => Value::from(*n),
        Document::Number(Number::Float(n)) => Value::from(*n),
        Document::String(s) => Value::String(s.clone()),
        Document::Array(items) => Value::Array(items.iter().map(from_document).collect()),
        Document::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), from_document(field))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_value_through_the_sdk_type() {
        let value = serde_json::json!({"a": [1, -2, 0.5, null, true, "x"], "b": {"c": {}}});
        assert_eq!(from_document(&to_document(&value)), value);
        assert_eq!(from_document(&Document::Number(Number::Float(f64::INFINITY))), Value::Null);
    }
}
