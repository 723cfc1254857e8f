//! Finds the JSON object in the text of an answer.

use serde_json::value::RawValue;

use crate::domain::limits::JSON_STARTS_MAX;

/// The only JSON object of a text. Text and code fences around it are ignored. `None` if
/// the text has none, or several.
pub(super) fn find_json_object(text: &str) -> Option<&str> {
    let mut found = None;
    let mut at = 0;
    for _ in 0..JSON_STARTS_MAX {
        let Some(start) = text[at..].find('{').map(|offset| at + offset) else { return found };
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<&RawValue>();
        at = match values.next() {
            Some(Ok(object)) => {
                if found.replace(object.get()).is_some() {
                    return None;
                }
                start + object.get().len()
            }
            _ => start + 1,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_object_of_a_text_is_found() {
        for text in [
            r#"{"a": {"b": "}"}}"#,
            "```json\n{\"a\": {\"b\": \"}\"}}\n```",
            r#"Here it is: {"a": {"b": "}"}} I hope that it helps {smile}."#,
        ] {
            assert_eq!(
                find_json_object(text).map(|json| json.replace(' ', "")),
                Some(r#"{"a":{"b":"}"}}"#.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn text_without_one_object_has_no_answer() {
        for text in ["", "no", "[1]", "{\"a\": 1", "{\"a\": 1} {\"a\": 1}", "{a: 1}"] {
            assert_eq!(find_json_object(text), None, "{text}");
        }
    }

    #[test]
    fn text_of_many_open_objects_ends_the_search() {
        assert_eq!(find_json_object(&"{\"a\":".repeat(50_000)), None);
        assert_eq!(find_json_object(&"{".repeat(50_000)), None);
    }
}
