//! The passages for the values of an answer: sentences of the document or, after a fault, wrong
//! ones.

use serde_json::{Value, json};

use crate::analyst::{first_number, split_sentences};
use crate::behaviour::FaultKind;

/// The field of the passages.
pub const FIELD: &str = "docket_evidence";
/// A passage that no document has.
const MADE_UP: &str = "As the parties agreed in the annex of the second amendment, this was settled for good.";

/// Whether a schema asks for passages.
pub fn is_asked(schema: &Value) -> bool {
    schema["properties"].get(FIELD).is_some()
}

/// Adds a passage of the text for each value of an answer. `text` is that of the document, or the
/// chunk results that are joined.
pub fn add_quotes(answer: &mut Value, schema: &Value, text: &str, fault: Option<FaultKind>) {
    let own_quotes = read_results(text);
    let sentences = if own_quotes.is_empty() { split_sentences(text) } else { own_quotes };
    if let Some(fields) = answer.as_object_mut() {
        fields.remove(FIELD);
    }
    if fault == Some(FaultKind::MadeUpValues) {
        change_values(answer, schema);
    }
    let mut quotes = Vec::new();
    collect(answer, "", &sentences, &mut quotes);
    for (index, quote) in quotes.iter_mut().enumerate() {
        match fault {
            Some(FaultKind::MadeUpQuotes) => quote["q"] = json!(MADE_UP),
            Some(FaultKind::ChangedQuotes) => {
                let changed = change(quote["q"].as_str().unwrap_or_default(), index);
                quote["q"] = json!(changed);
            }
            _ => {}
        }
    }
    if fault != Some(FaultKind::NoQuotes) {
        answer[FIELD] = json!(quotes);
    }
}

/// The passages of chunk results; empty if the text is no list of results.
fn read_results(text: &str) -> Vec<String> {
    let results: Vec<Value> = serde_json::from_str(text.trim()).unwrap_or_default();
    let entries = results.iter().flat_map(|result| result[FIELD].as_array().into_iter().flatten());
    entries.filter_map(|entry| entry["q"].as_str()).map(str::to_owned).collect()
}

fn collect(value: &Value, path: &str, sentences: &[String], quotes: &mut Vec<Value>) {
    let found = match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| *name != "confidence") {
                collect(field, &format!("{path}/{name}"), sentences, quotes);
            }
            return;
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}/{index}"), sentences, quotes);
            }
            return;
        }
        Value::Null => return,
        Value::String(text) => sentences.iter().find(|sentence| sentence.contains(text.as_str())),
        Value::Number(number) => sentences.iter().find(|sentence| first_number(sentence) == number.as_f64()),
        Value::Bool(_) => None,
    };
    let Some(quote) = found.or(sentences.first()) else { return };
    quotes.push(json!({"p": path, "q": quote}));
}

/// Changes one word of a passage: the first digit, or else a word in the middle.
fn change(quote: &str, index: usize) -> String {
    if let Some(at) = quote.find(|c: char| c.is_ascii_digit()).filter(|_| index.is_multiple_of(2)) {
        let digit = if quote[at..].starts_with('7') { "3" } else { "7" };
        return format!("{}{digit}{}", &quote[..at], &quote[at + 1..]);
    }
    let words: Vec<&str> = quote.split(' ').collect();
    let middle = words.len() / 2;
    [&words[..middle], &["never"], &words[middle..]].concat().join(" ")
}

/// Changes every number and every text that is no label or summary.
fn change_values(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let kept = ["label", "summary", "confidence"];
            for (name, field) in fields.iter_mut().filter(|(name, _)| !kept.contains(&name.as_str())) {
                change_values(field, &schema["properties"][name]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| change_values(item, &schema["items"])),
        _ if schema["enum"].is_array() || !schema["const"].is_null() => {}
        Value::Number(number) => *value = json!(number.as_f64().unwrap_or_default() + 1.0),
        Value::String(text) => *text = format!("{text} (invented)"),
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The rent of the flat is 900 euros a month. The tenant keeps the flat in good order.";

    fn quotes(fault: Option<FaultKind>) -> (Value, Vec<Value>) {
        let mut answer = json!({"rent": 900, "label": "lease", "point": "The tenant keeps the flat in good order."});
        add_quotes(&mut answer, &json!({}), TEXT, fault);
        let quotes = answer[FIELD].as_array().cloned().unwrap_or_default();
        (answer, quotes)
    }

    #[test]
    fn quotes_are_sentences_of_the_text_unless_a_fault_changes_them() {
        let (_, genuine) = quotes(None);
        assert_eq!(genuine.len(), 3);
        assert!(genuine.iter().all(|quote| TEXT.contains(quote["q"].as_str().unwrap())), "{genuine:?}");
        for fault in [FaultKind::MadeUpQuotes, FaultKind::ChangedQuotes] {
            let (_, wrong) = quotes(Some(fault));
            assert!(wrong.iter().all(|quote| !TEXT.contains(quote["q"].as_str().unwrap())), "{fault:?}: {wrong:?}");
        }
        assert!(quotes(Some(FaultKind::NoQuotes)).1.is_empty());
        let (answer, genuine) = quotes(Some(FaultKind::MadeUpValues));
        assert_eq!((answer["rent"].as_f64(), &answer["label"]), (Some(901.0), &json!("lease")));
        assert!(genuine.iter().all(|quote| TEXT.contains(quote["q"].as_str().unwrap())), "{genuine:?}");
    }

    #[test]
    fn joined_results_keep_their_quotes() {
        let results =
            json!([{"rent": 900, FIELD: [{"p": "/rent", "q": "The rent of the flat is 900 euros"}]}]).to_string();
        let mut answer = json!({"rent": 900});
        add_quotes(&mut answer, &json!({}), &results, None);
        assert_eq!(answer[FIELD], json!([{"p": "/rent", "q": "The rent of the flat is 900 euros"}]));
    }
}
