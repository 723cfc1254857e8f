//! The passages of a document that its result quotes word for word.

use serde_json::Value;

/// Shorter texts are found by coincidence.
const QUOTE_MIN_CHARS: usize = 12;
/// Texts of a result that are searched.
const QUOTES_MAX: usize = 200;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The text.
    pub text: &'a str,
    /// Whether the result quotes it.
    pub is_evidence: bool,
}

/// The characters of the verified passages of a job; `None` if it has no evidence.
pub(super) fn verified_passages(evidence: &Value) -> Option<Vec<(usize, usize)>> {
    let leaves = evidence["leaves"].as_array()?.iter().filter(|leaf| leaf["verified"] == true);
    let place = |leaf: &Value, name: &str| usize::try_from(leaf[name].as_u64()?).ok();
    Some(leaves.filter_map(|leaf| Some((place(leaf, "start")?, place(leaf, "end")?))).collect())
}

/// Splits a text at passages, which are ranges of characters.
pub(super) fn mark_passages<'a>(text: &'a str, passages: &[(usize, usize)]) -> Vec<Piece<'a>> {
    let bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect();
    let ranges = passages.iter().filter_map(|(start, end)| Some((*bytes.get(*start)?, *bytes.get(*end)?)));
    split(text, ranges.collect())
}

/// Splits a text into quoted and other pieces. White space may differ between quotation and
/// text.
pub(super) fn mark<'a>(text: &'a str, result: &Value) -> Vec<Piece<'a>> {
    let (folded, places) = fold(text);
    let mut quotes = Vec::new();
    collect(result, &mut quotes);
    let ranges = quotes
        .iter()
        .filter_map(|quote| folded.find(quote.as_str()).map(|at| (places[at], places[at + quote.len()])))
        .collect();
    split(text, ranges)
}

/// Splits a text at ranges of bytes, which may overlap.
fn split(text: &str, mut ranges: Vec<(usize, usize)>) -> Vec<Piece<'_>> {
    ranges.sort_unstable();
    let (mut pieces, mut at) = (Vec::new(), 0);
    for (start, end) in ranges {
        let start = start.max(at);
        if start >= end {
            continue;
        }
        pieces.push(Piece { text: &text[at..start], is_evidence: false });
        pieces.push(Piece { text: &text[start..end], is_evidence: true });
        at = end;
    }
    pieces.push(Piece { text: &text[at..], is_evidence: false });
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}

/// The text with one space for each run of white space, and the place in `text` of each byte
/// and of the end.
fn fold(text: &str) -> (String, Vec<usize>) {
    let (mut folded, mut places) = (String::new(), Vec::new());
    for (place, c) in text.char_indices() {
        if !c.is_whitespace() {
            folded.push(c);
            places.extend((0..c.len_utf8()).map(|byte| place + byte));
        } else if !folded.ends_with(' ') {
            folded.push(' ');
            places.push(place);
        }
    }
    places.push(text.len());
    (folded, places)
}

/// The texts of a result and, of each, its sentences.
fn collect(value: &Value, quotes: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let sentences =
                folded.split_inclusive(['.', '…', '!', '?', ';']).map(|part| part.trim().trim_end_matches('…'));
            let found = std::iter::once(folded.as_str()).chain(sentences).map(str::trim);
            for quote in found.filter(|quote| quote.chars().count() >= QUOTE_MIN_CHARS) {
                if quotes.len() < QUOTES_MAX {
                    quotes.push(quote.to_owned());
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, quotes)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, quotes)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marked(text: &str, result: &Value) -> Vec<String> {
        let pieces = mark(text, result);
        assert_eq!(pieces.iter().map(|piece| piece.text).collect::<String>(), text);
        pieces.iter().filter(|piece| piece.is_evidence).map(|piece| piece.text.to_owned()).collect()
    }

    #[test]
    fn quoted_passages_are_marked() {
        let text = "Lease of flat 7.\nThe rent is 900\n crowns a month. Grüße aus Thornmere.";
        let result = json!({
            "summary": "The rent is 900 crowns a month. It is invented.",
            "key_points": ["Grüße aus Thornmere.", "flat"], "confidence": 0.5,
        });
        assert_eq!(marked(text, &result), ["The rent is 900\n crowns a month.", "Grüße aus Thornmere."]);
    }

    #[test]
    fn verified_passages_are_marked_by_their_characters() {
        let evidence = json!({"leaves": [
            {"verified": true, "start": 6, "end": 9}, {"verified": false, "start": 0, "end": 3},
            {"verified": true}, {"verified": true, "start": 8, "end": 99},
        ]});
        let passages = verified_passages(&evidence).unwrap();
        let pieces = mark_passages("Größe 900 Euro", &passages);
        let marked: Vec<&str> = pieces.iter().filter(|piece| piece.is_evidence).map(|piece| piece.text).collect();
        assert_eq!(marked, ["900"]);
        assert_eq!(verified_passages(&Value::Null), None);
    }

    #[test]
    fn overlapping_and_absent_quotations_lose_no_text() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        let found = marked(text, &json!(["abcdefghijklmn", "ijklmnopqrstuvw", "not in the text"]));
        assert_eq!(found.concat(), "abcdefghijklmnopqrstuvw");
        assert!(marked("", &json!("anything that is long")).is_empty());
        assert!(marked(text, &Value::Null).is_empty());
    }
}
