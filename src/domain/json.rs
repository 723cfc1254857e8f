//! Reads JSON from outside, and checks whether DynamoDB can store it. An error names
//! the field and never contains the field's value.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::de::StrRead;

use crate::domain::exact_json::{INEXACT, find_inexact_numbers};
use crate::domain::limits::RESULT_MAX_NUMBER;

/// Why a text is not the expected JSON. The error names the field and the expected
/// type, and never contains the field's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not valid JSON.
    #[error("the text is not valid JSON: line {line}, column {column}")]
    Syntax {
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// The JSON has another shape than expected.
    #[error("`{field}`: {problem}")]
    Shape {
        /// The path of the field, such as `document_s3.key`; `.` for the whole text.
        field: String,
        /// The problem with the field, as a sentence without its subject.
        problem: String,
    },
}

impl JsonError {
    /// An error about one field.
    pub fn shape(field: &str, problem: impl Into<String>) -> Self {
        Self::Shape { field: field.to_owned(), problem: problem.into() }
    }
}

/// Reads JSON into `T`. Unknown fields are ignored.
///
/// # Errors
/// [`JsonError`] with the position or the field of the first error.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    deserialize_tracked(text, |json| T::deserialize(json))
}

/// Reads JSON into `T`. An unknown field is an error, and so is a number that would be
/// rounded.
///
/// # Errors
/// [`JsonError`] with the position or the field of the first error.
pub fn read_strictly<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    let value = read_envelope(text)?;
    check_numbers(text, |_| true)?;
    Ok(value)
}

/// Checks that no number of a JSON text would be rounded, in the top-level fields that
/// `is_checked` selects by name.
///
/// # Errors
/// [`JsonError`] with the path of the first such number.
pub fn check_numbers(text: &str, is_checked: impl Fn(&str) -> bool) -> Result<(), JsonError> {
    let found = find_inexact_numbers(text);
    let first = found.iter().find(|path| is_checked(path.steps().first().map_or("", String::as_str)));
    first.map_or(Ok(()), |path| Err(JsonError::shape(&path.to_field(), INEXACT)))
}

/// Reads JSON whose parts are read strictly later. An unknown field is an error.
///
/// # Errors
/// [`JsonError`] with the position or the field of the first error.
pub fn read_envelope<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    let mut unknown = None;
    let value = deserialize_tracked(text, |json| {
        serde_ignored::deserialize(json, |path| {
            // serde_ignored writes each `Option` in the path as `?`.
            unknown.get_or_insert_with(|| path.to_string().replace(".?", ""));
        })
    })?;
    match unknown {
        Some(field) => Err(JsonError::Shape { field, problem: "is not a known field".to_owned() }),
        None => Ok(value),
    }
}

type Tracked<'a, 'b, 'j> = serde_path_to_error::Deserializer<'b, 'b, &'j mut serde_json::Deserializer<StrRead<'a>>>;

/// Runs `deserialize` over a text, and adds the path of the invalid field to an error.
fn deserialize_tracked<'a, T>(
    text: &'a str,
    deserialize: impl FnOnce(Tracked<'a, '_, '_>) -> serde_json::Result<T>,
) -> Result<T, JsonError> {
    // serde also reads a struct from an array of its fields; no caller means that.
    if text.trim_start().starts_with('[') {
        return Err(JsonError::shape(".", "expected an object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let value = deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let value = value.map_err(|error| {
        if error.is_data() {
            JsonError::Shape { field: track.path().to_string(), problem: describe(&error) }
        } else {
            rounded_number(text, &error).unwrap_or_else(|| syntax_error(&error))
        }
    })?;
    json.end().map_err(|error| syntax_error(&error))?;
    Ok(value)
}

/// Reads a field that is an object or null. serde alone would also read a struct from
/// an array.
///
/// # Errors
/// serde's error for every other type.
pub fn object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<T>, D::Error> {
    json.deserialize_any(ObjectOrNull(PhantomData))
}

/// Reads a field that has its default value if it is null.
///
/// # Errors
/// The error of `T`.
pub fn default_if_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(json: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or_default())
}

/// Reads a required field of any JSON type but null.
///
/// # Errors
/// An error for null, which is the same as a missing field.
pub fn not_null<'de, D: Deserializer<'de>>(json: D) -> Result<Value, D::Error> {
    match Value::deserialize(json)? {
        Value::Null => Err(D::Error::custom("must not be null")),
        value => Ok(value),
    }
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

/// The error about a number such as 1e400, which serde_json reports as a syntax error.
fn rounded_number(text: &str, error: &serde_json::Error) -> Option<JsonError> {
    let is_out_of_range = error.to_string().starts_with("number out of range");
    is_out_of_range.then(|| check_numbers(text, |_| true).err()).flatten()
}

fn syntax_error(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column() }
}

/// serde's message without the value that serde quotes: `missing field …`,
/// `expected …`, or the message of one of Docket's types.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let value_quoting_prefixes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    match text.split_once(", expected ") {
        Some((start, _)) if value_quoting_prefixes.iter().any(|prefix| start.starts_with(prefix)) => {
            let (_, expected) = text.rsplit_once(", expected ").unwrap_or(("", "another value"));
            // A caller does not know the names of Rust structs.
            let expected = if expected.starts_with("struct ") { "an object" } else { expected };
            format!("expected {expected}")
        }
        _ => text.to_owned(),
    }
}

/// Whether a value nests at most `depth_left` levels deep.
pub fn is_within_depth(value: &Value, depth_left: usize) -> bool {
    match value {
        Value::Array(items) => depth_left > 0 && items.iter().all(|item| is_within_depth(item, depth_left - 1)),
        Value::Object(fields) => depth_left > 0 && fields.values().all(|field| is_within_depth(field, depth_left - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Whether DynamoDB can store a value that nests at most `depth_left` levels deep.
///
/// DynamoDB allows no empty attribute name, and limits the magnitude of a number.
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

/// The bytes that a value uses in a DynamoDB item, as an upper estimate.
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
    fn unknown_field_is_named_with_its_path() {
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
    fn array_is_rejected_as_object_at_any_depth() {
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
        assert_eq!(refused(r#"{"inner": {"n": 1, "m": 2}}"#), "`inner.m`: is not a known field");
        assert_eq!(refused(r#"{"inner": {"n": "SECRET"}}"#), "`inner.n`: expected u32");
        assert_eq!(refused("7"), "`.`: expected an object");
        assert_eq!(read(r#"{"inner": {"n": 1}}"#), Ok(Some(1)));
        assert_eq!((read(r#"{"inner": null}"#), read("{}")), (Ok(None), Ok(None)));
    }

    #[test]
    fn number_that_would_be_rounded_is_rejected_with_its_path() {
        let field = |text| match read_strictly::<Value>(text) {
            Err(JsonError::Shape { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(r#"{"metadata": {"sums": [1, 1e400]}}"#), "metadata.sums[1]");
        assert_eq!(field(r#"{"metadata": {"iban": 123456789012345678901234}}"#), "metadata.iban");
        assert_eq!(read_strictly::<Value>(r#"{"n": 18446744073709551615}"#).unwrap()["n"], u64::MAX);
        assert!(matches!(read_strictly::<Value>(r#"{"n": 1e400"#), Err(JsonError::Shape { .. })));
        assert!(matches!(read_strictly::<Value>(r#"{"n": 1"#), Err(JsonError::Syntax { .. })));
    }

    #[test]
    fn table_bytes_of_numbers_exceed_their_json() {
        let many = Value::Array(vec![Value::from(1); 1_000]);
        assert!(table_bytes(&many) > many.to_string().len());
    }
}
