//! JSON from outside: read so that an error names the field and repeats nothing
//! of what stood there, and held to what the table can keep.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::de::StrRead;

use crate::domain::limits::RESULT_MAX_NUMBER;

/// Why a text is not the JSON that was wanted. It names the field and what was
/// expected there; it never repeats what stood there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("it is not JSON: line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON of another shape.
    #[error("`{field}`: {problem}")]
    Shape {
        /// The path of the field, such as `document_s3.key`; `.` is the whole.
        field: String,
        /// What was wrong there.
        problem: String,
    },
}

impl JsonError {
    /// A field, and what is wrong with it.
    pub fn shape(field: &str, problem: impl Into<String>) -> Self {
        Self::Shape { field: field.to_owned(), problem: problem.into() }
    }
}

/// Reads JSON into `T`, and says which field was wrong. Unknown fields are
/// ignored.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    tracked(text, |json| T::deserialize(json))
}

/// Reads JSON into `T`; an unknown field is an error.
pub fn read_strictly<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    let mut unknown = None;
    let value = tracked(text, |json| {
        serde_ignored::deserialize(json, |path| {
            // An `Option` on the way shows as `?`.
            unknown.get_or_insert_with(|| path.to_string().replace(".?", ""));
        })
    })?;
    match unknown {
        Some(field) => Err(JsonError::Shape { field, problem: "is not a field that is known here".to_owned() }),
        None => Ok(value),
    }
}

type Tracked<'a, 'b, 'j> = serde_path_to_error::Deserializer<'b, 'b, &'j mut serde_json::Deserializer<StrRead<'a>>>;

/// What `deserialize` makes of a text, with the path of what it would not take.
fn tracked<'a, T>(
    text: &'a str,
    deserialize: impl FnOnce(Tracked<'a, '_, '_>) -> serde_json::Result<T>,
) -> Result<T, JsonError> {
    // serde takes an array for a struct's fields in their order; nobody means that.
    if text.trim_start().starts_with('[') {
        return Err(JsonError::shape(".", "expected an object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let value = deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let value = value.map_err(|error| {
        if error.is_data() {
            JsonError::Shape { field: track.path().to_string(), problem: problem(&error) }
        } else {
            syntax(&error)
        }
    })?;
    json.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

/// Reads a field that is an object or null. By itself serde takes an array for
/// a struct, too.
///
/// # Errors
/// What serde says of anything else.
pub fn object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<T>, D::Error> {
    json.deserialize_any(ObjectOrNull(PhantomData))
}

struct ObjectOrNull<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOrNull<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column() }
}

/// serde's message without the value that it quotes: `missing field …`,
/// `expected …`, or the message of one of our own types.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let quotes_the_value = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    match text.split_once(", expected ") {
        Some((start, _)) if quotes_the_value.iter().any(|prefix| start.starts_with(prefix)) => {
            let (_, expected) = text.rsplit_once(", expected ").unwrap_or(("", "another value"));
            // A struct's name says nothing outside.
            let expected = if expected.starts_with("struct ") { "an object" } else { expected };
            format!("expected {expected}")
        }
        _ => text.to_owned(),
    }
}

/// Whether the table can hold a value, so many levels deep.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
pub fn fits_the_table(value: &Value, depth_left: usize) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|n| {
            let magnitude = n.abs();
            magnitude == 0.0 || (RESULT_MAX_NUMBER.recip()..=RESULT_MAX_NUMBER).contains(&magnitude)
        }),
        Value::Array(items) => depth_left > 0 && items.iter().all(|item| fits_the_table(item, depth_left - 1)),
        Value::Object(fields) => {
            let fits = |(name, field): (&String, &Value)| !name.is_empty() && fits_the_table(field, depth_left - 1);
            depth_left > 0 && fields.iter().all(fits)
        }
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// What a value takes in the table, in bytes, reckoned generously.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub fn table_bytes(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => 2 + number.to_string().len(),
        Value::String(text) => text.len(),
        Value::Array(items) => 3 + items.iter().map(table_bytes).sum::<usize>(),
        Value::Object(fields) => 3 + fields.iter().map(|(name, field)| name.len() + table_bytes(field)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        n: u32,
    }

    #[test]
    fn an_unknown_field_is_named_wherever_it_stands() {
        read::<Outer>(r#"{"inner": {"n": 1, "m": 2}, "x": 3}"#).unwrap();
        let field = |text| match read_strictly::<Outer>(text) {
            Err(JsonError::Shape { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(r#"{"inner": {"n": 1}, "x": 3}"#), "x");
        assert_eq!(field(r#"{"inner": {"n": 1, "m": 2}}"#), "inner.m");
        assert_eq!(field(r#"{"inner": {"n": "one"}}"#), "inner.n");
        read_strictly::<Outer>(r#"{"inner": {"n": 1}}"#).unwrap();
    }

    #[test]
    fn an_array_is_no_object_at_any_depth() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        struct Strict {
            #[serde(default, deserialize_with = "object_or_null")]
            inner: Option<Inner>,
        }
        let read = |text| read_strictly::<Strict>(text).map(|strict| strict.inner.map(|inner| inner.n));
        let refused = |text| read(text).expect_err(text).to_string();
        assert_eq!(refused(r#"{"inner": [1]}"#), "`inner`: expected an object or null");
        assert_eq!(refused(r#"{"inner": 7}"#), "`inner`: expected an object or null");
        assert_eq!(refused(r#"{"inner": {"n": 1, "m": 2}}"#), "`inner.m`: is not a field that is known here");
        assert_eq!(refused(r#"{"inner": {"n": "SECRET"}}"#), "`inner.n`: expected u32");
        assert_eq!(refused("7"), "`.`: expected an object");
        assert_eq!(read(r#"{"inner": {"n": 1}}"#), Ok(Some(1)));
        assert_eq!((read(r#"{"inner": null}"#), read("{}")), (Ok(None), Ok(None)));
    }

    #[test]
    fn numbers_weigh_more_in_the_table_than_in_json() {
        let many = Value::Array(vec![Value::from(1); 1_000]);
        assert!(table_bytes(&many) > many.to_string().len());
    }
}
