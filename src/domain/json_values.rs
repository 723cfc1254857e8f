//! Counts the values of a JSON text before any of them is built.
//!
//! An object such as `{"":0}` has 7 bytes as text and takes about 700 bytes of memory. The
//! size of a text therefore does not bound the memory of its values.

/// The text has more values than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the JSON must have at most {limit} values")]
pub struct TooManyValues {
    /// The most values.
    pub limit: usize,
}

/// Counts the objects, arrays, texts, numbers and literals of a JSON text, in one pass and
/// without memory. Field names do not count. A parser of a malformed text builds at most the
/// counted values before it finds the error.
///
/// # Errors
/// [`TooManyValues`] as soon as the limit is exceeded.
pub fn count_values(text: &str, limit: usize) -> Result<usize, TooManyValues> {
    let bytes = text.as_bytes();
    let (mut at, mut count) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                at = end_of_text(bytes, at);
                // A text before a colon is the name of a field.
                if next_visible(bytes, at) != Some(b':') {
                    count += 1;
                }
            }
            b'{' | b'[' => count += 1,
            b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                count += 1;
                at += bytes[at..].iter().take_while(|byte| !b"\"{}[],: \t\n\r".contains(byte)).count();
            }
        }
        if count > limit {
            return Err(TooManyValues { limit });
        }
    }
    Ok(count)
}

/// The place after the closing quote of a text that begins before `at`.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn next_visible(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at..)?.iter().copied().find(|byte| !b" \t\n\r".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn values_are_counted_without_field_names() {
        for (text, count) in [
            ("", 0),
            ("null", 1),
            ("-1.5e3", 1),
            (r#""a\"b\\""#, 1),
            ("[]", 1),
            (r#"{"a": 1, "b" : [true, "x", {}]}"#, 6),
            (r#"{"{[,:": "\\"}"#, 2),
            (r#"[{"":0},{"":0}]"#, 5),
        ] {
            assert_eq!(count_values(text, 100), Ok(count), "{text}");
        }
        assert_eq!(count_values("[0,0]", 2), Err(TooManyValues { limit: 2 }));
    }

    #[test]
    fn count_equals_that_of_the_built_value() {
        fn built(value: &Value) -> usize {
            1 + match value {
                Value::Array(items) => items.iter().map(built).sum(),
                Value::Object(fields) => fields.values().map(built).sum(),
                _ => 0,
            }
        }
        let value = json!({"a\"\\": ["x\\", 1, -2.5e-7, null, true, {"": {"\u{1f600}": []}}], "b": "{\"c\": [1, 2]}"});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            assert_eq!(count_values(&text, 100), Ok(built(&value)), "{text}");
        }
    }

    #[test]
    fn malformed_text_ends_the_count() {
        for text in ["\"", "\"\\", "{\"a", "[[[[", "::::", "fa\u{e9}", "\\"] {
            assert!(count_values(text, 100).is_ok(), "{text}");
        }
    }
}
