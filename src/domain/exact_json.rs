//! Finds the numbers of a JSON text that a value in memory would round.
//!
//! A parser keeps a number as a 64-bit integer or as a 64-bit float, and rounds the
//! others silently. Docket refuses such a number with its path. The numbers that remain
//! have at most 20 digits, and DynamoDB stores 38.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>

use serde_json::Number;

/// The problem with a number that [`find_inexact_numbers`] returns, as a sentence without
/// its subject.
pub const INEXACT: &str = "has a number that 64 bits cannot hold exactly; write the number as a string";

/// A place in a JSON text: names of fields and indexes of items, from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    /// The names and indexes.
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// The path as in the errors of [`crate::domain::json`]: `metadata.sums[0]`.
    pub fn to_field(&self) -> String {
        let mut field = String::new();
        for step in &self.0 {
            let is_index = step.bytes().all(|byte| byte.is_ascii_digit()) && !field.is_empty() && !step.is_empty();
            match is_index {
                true => field += &format!("[{step}]"),
                false if field.is_empty() => field += step,
                false => field += &format!(".{step}"),
            }
        }
        field
    }
}

/// An object or an array around the current place.
enum Container {
    Object { key: String, expects_key: bool },
    Array { index: usize },
}

/// The places of the numbers that a parser would round. The scan takes one pass. The text
/// should be valid JSON; of other texts, the result has no meaning.
pub fn find_inexact_numbers(text: &str) -> Vec<JsonPath> {
    let bytes = text.as_bytes();
    let mut containers: Vec<Container> = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                if let Some(Container::Object { key, expects_key: true }) = containers.last_mut() {
                    *key = text.get(start..at).and_then(|name| serde_json::from_str(name).ok()).unwrap_or_default();
                }
            }
            b'{' => containers.push(Container::Object { key: String::new(), expects_key: true }),
            b'[' => containers.push(Container::Array { index: 0 }),
            b'}' | b']' => drop(containers.pop()),
            b':' | b',' => match containers.last_mut() {
                Some(Container::Object { expects_key, .. }) => *expects_key = *byte == b',',
                Some(Container::Array { index }) => *index += 1,
                None => {}
            },
            b'-' | b'0'..=b'9' => {
                while bytes.get(at).is_some_and(|next| next.is_ascii_digit() || b"+-.eE".contains(next)) {
                    at += 1;
                }
                if exact_number(&text[start..at]).is_none() {
                    found.push(path_of(&containers));
                }
            }
            _ => {}
        }
    }
    found
}

/// The first byte after a string, whose content begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => at += 1,
            _ => {}
        }
    }
    at.min(bytes.len())
}

fn path_of(containers: &[Container]) -> JsonPath {
    let step = |container: &Container| match container {
        Container::Object { key, .. } => key.clone(),
        Container::Array { index } => index.to_string(),
    };
    JsonPath(containers.iter().map(step).collect())
}

/// The number that a text writes in JSON's form, if no digit is lost. A text without a
/// fraction and an exponent is an integer, and must fit into 64 bits.
pub fn exact_number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    let expected = digits(text)?;
    let is_integer = !text.contains(['.', 'e', 'E']) && !expected.1.is_empty();
    let is_kept = digits(&number.to_string())? == expected && !(is_integer && number.is_f64());
    is_kept.then_some(number)
}

/// A JSON number as sign, significant digits, and power of ten: equal for `900`,
/// `900.00` and `9e2`.
fn digits(number: &str) -> Option<(bool, String, i64)> {
    let (sign, rest) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let trailing = all.len() - all.trim_end_matches('0').len();
    let power = exponent.trim_start_matches('+').parse::<i64>().ok()?;
    let power = power.checked_add(i64::try_from(trailing).ok()? - i64::try_from(fraction.len()).ok()?)?;
    Some((sign, significant.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        find_inexact_numbers(text).iter().map(JsonPath::to_field).collect()
    }

    #[test]
    fn number_that_a_parser_rounds_is_found_with_its_path() {
        let text = r#"{"a": [1, {"b": 18446744073709551616}], "c\"d": "9e999 \" {", "e": {"f": 1e400, "g": -9223372036854775809},
            "h": 0.1234567890123456789, "3": [[], [0.30000000000000004, 1e-400]]}"#;
        assert_eq!(fields(text), ["a[1].b", "e.f", "e.g", "h", "3[1][1]"]);
    }

    #[test]
    fn number_that_is_kept_exactly_is_not_found() {
        let text = r#"[0, -0, -0.0, 0e999, 18446744073709551615, -9223372036854775808, 900.00, 9e2, 1e125, 0.1, 5e-324,
            "18446744073709551616", 1.7976931348623157e308, 4.35, 123456789.123456]"#;
        assert_eq!(fields(text), [""; 0]);
    }

    #[test]
    fn broken_text_is_scanned_to_its_end() {
        for text in ["", "\"", "\"\\", "{\"a\": 1e400", "]}]", "-", "1e", "{\"\\ud800\": 1", "1e99999999999999999999"] {
            let _ = find_inexact_numbers(text);
        }
    }

    #[test]
    fn number_beyond_64_bits_is_not_exact() {
        assert_eq!(exact_number("9400100000000000000003"), None);
        assert_eq!(exact_number("100000000000000000000"), None, "an integer stays an integer");
        assert_eq!(exact_number("1e400"), None);
        assert_eq!(exact_number("18446744073709551615"), Some(u64::MAX.into()));
        assert_eq!(exact_number("900.00"), Number::from_f64(900.0));
        assert_eq!(exact_number("+1"), None);
        assert_eq!(exact_number("01"), None);
    }
}
