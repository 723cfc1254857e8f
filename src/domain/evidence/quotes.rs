//! The passages that a model names, in its answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::limits::{EVIDENCE_LEAVES_MAX, EVIDENCE_QUOTE_MAX_BYTES};

/// The field of the answer that has the passages. The result is stored without it.
pub const EVIDENCE_FIELD: &str = "docket_evidence";

/// A passage that the model names for a value. The names are short, because the model writes
/// them for every value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The place of the value: a JSON Pointer into the result.
    #[serde(rename = "p")]
    pub path: String,
    /// The passage, as the model wrote it.
    #[serde(rename = "q")]
    pub text: String,
}

/// The schema that the model fills: the result's, with a field for the passages.
pub fn evidence_schema(schema: &Value) -> Value {
    let mut asked = schema.clone();
    let entry = json!({
        "type": "object",
        "properties": {
            "p": {"type": "string", "description": "JSON Pointer of the value, such as /parties/0/name"},
            "q": {"type": "string", "description": "The shortest passage of the document, word for word, that contains the value"},
        },
        "required": ["p", "q"],
        "additionalProperties": false,
    });
    if let Some(fields) = asked.as_object_mut() {
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        properties[EVIDENCE_FIELD] = json!({"type": "array", "items": entry});
        let required = fields.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.push(json!(EVIDENCE_FIELD));
        }
    }
    asked
}

/// Takes the passages out of an answer. Anything else than a list of passages counts as
/// none; the values are then without evidence.
pub fn take_quotes(answer: &mut Value) -> Vec<Quote> {
    let mut taken = answer.as_object_mut().and_then(|fields| fields.remove(EVIDENCE_FIELD));
    if taken.is_none() {
        // Models wrap answers so; the repair unwraps them.
        let wrapped = answer.get_mut("properties").and_then(Value::as_object_mut);
        taken = wrapped.and_then(|fields| fields.remove(EVIDENCE_FIELD));
    }
    if let Some(text) = taken.as_ref().and_then(Value::as_str) {
        taken = serde_json::from_str(text).ok();
    }
    let entries = taken.as_ref().and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(read_quote).take(2 * EVIDENCE_LEAVES_MAX).collect()
}

fn read_quote(entry: &Value) -> Option<Quote> {
    let entry: &Map<String, Value> = entry.as_object()?;
    let (path, text) = (entry.get("p")?.as_str()?, entry.get("q")?.as_str()?);
    // A passage is quoted whole or not at all.
    (text.len() <= EVIDENCE_QUOTE_MAX_BYTES).then(|| Quote { path: pointer_of(path), text: text.to_owned() })
}

/// The JSON Pointer for a path in another notation, such as `$.parties[0].name`.
fn pointer_of(path: &str) -> String {
    let path = path.trim().trim_start_matches(['$', '#']);
    if path.starts_with('/') || path.is_empty() {
        return path.to_owned();
    }
    let steps = path.split(['.', '[', ']', '/']).filter(|step| !step.is_empty());
    steps.map(|step| format!("/{}", step.trim_matches(['"', '\'']))).collect()
}

/// The quotes of a value: its own, or else those of the nearest value that contains it.
pub(super) fn find_quotes<'a>(quotes: &'a [Quote], path: &str) -> impl Iterator<Item = &'a Quote> {
    let owner = |path: &str| quotes.iter().any(|quote| quote.path == path);
    let mut place = path.to_owned();
    while !owner(&place) {
        match place.rfind('/') {
            Some(at) if at > 0 => place.truncate(at),
            _ => break,
        }
    }
    quotes.iter().filter(move |quote| quote.path == place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_in_every_form_that_models_write() {
        let entries = json!([{"p": "$.parties[0].name", "q": "Ada"}, {"p": "/rent", "q": "900"}, {"p": 1}, "x",
            {"p": "/a", "q": "a".repeat(EVIDENCE_QUOTE_MAX_BYTES + 1)}]);
        let expected = [("/parties/0/name", "Ada"), ("/rent", "900")];
        for (mut answer, rest) in [
            (json!({"rent": 900, EVIDENCE_FIELD: entries}), json!({"rent": 900})),
            (json!({"rent": 900, EVIDENCE_FIELD: entries.to_string()}), json!({"rent": 900})),
            (
                json!({"type": "object", "properties": {EVIDENCE_FIELD: entries}}),
                json!({"type": "object", "properties": {}}),
            ),
        ] {
            let quotes = take_quotes(&mut answer);
            let found: Vec<_> = quotes.iter().map(|quote| (quote.path.as_str(), quote.text.as_str())).collect();
            assert_eq!((found.as_slice(), &answer), (&expected[..], &rest));
        }
        for mut none in [json!({"a": 1}), json!([1]), json!({EVIDENCE_FIELD: "no JSON"}), json!({EVIDENCE_FIELD: null})]
        {
            assert!(take_quotes(&mut none).is_empty());
        }
    }

    #[test]
    fn value_without_a_quote_has_that_of_its_container() {
        let quote = |path: &str| Quote { path: path.into(), text: path.into() };
        let quotes = [quote("/parties/0"), quote("/parties/0/name"), quote("/rent")];
        let of = |path: &str| find_quotes(&quotes, path).map(|quote| quote.path.clone()).collect::<Vec<_>>();
        assert_eq!(of("/parties/0/name"), ["/parties/0/name"]);
        assert_eq!(of("/parties/0/role"), ["/parties/0"]);
        assert_eq!(of("/parties/1/role"), Vec::<String>::new());
        assert_eq!(of("/rent"), ["/rent"]);
    }

    #[test]
    fn schema_of_the_question_has_the_field() {
        let asked = evidence_schema(&json!({"type": "object", "properties": {"a": {"type": "string"}}}));
        assert_eq!(asked["properties"]["a"], json!({"type": "string"}));
        assert_eq!(asked["required"], json!([EVIDENCE_FIELD]));
        assert_eq!(asked["properties"][EVIDENCE_FIELD]["type"], "array");
    }
}
