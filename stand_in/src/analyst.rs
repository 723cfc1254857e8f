//! A simple analysis by word counts: it picks the sentences with the most
//! frequent words and the label whose words the document uses. It fills any
//! JSON Schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Words that suggest a label. A label without an entry here is judged by the
/// words of its name.
const CUES: [(&str, &[&str]); 9] = [
    (
        "contract",
        &["agreement", "party", "parties", "services", "supplier", "client", "term", "termination", "liability"],
    ),
    ("lease", &["lease", "landlord", "tenant", "rent", "premises", "deposit", "flat", "letting"]),
    (
        "complaint",
        &["complaint", "complain", "refund", "unacceptable", "disappointed", "damage", "delay", "compensation"],
    ),
    ("policy", &["policy", "employees", "staff", "must", "applies", "procedure", "compliance", "responsible"]),
    ("judgment", &["court", "plaintiff", "defendant", "judgment", "appeal", "claim", "costs", "judge", "held"]),
    ("letter", &["dear", "sincerely", "regards", "faithfully", "letter", "yours", "write"]),
    ("invoice", &["invoice", "vat", "amount", "due", "payable", "total", "quantity", "payment"]),
    ("minutes", &["minutes", "meeting", "agenda", "attendees", "chair", "resolved", "apologies", "action"]),
    ("report", &["report", "findings", "results", "quarter", "survey", "recommend", "measured", "conclusion"]),
];

const STOP_WORDS: [&str; 44] = [
    "the", "and", "of", "to", "in", "a", "is", "that", "for", "it", "as", "with", "on", "by", "be", "this", "are",
    "or", "was", "at", "from", "an", "which", "has", "have", "had", "not", "but", "were", "will", "shall", "may",
    "any", "all", "its", "their", "his", "her", "they", "he", "she", "we", "you", "our",
];

const SUMMARY_SENTENCES: usize = 3;
const KEY_POINTS: usize = 4;
const SENTENCE_CHARS: usize = 320;

/// Fills a JSON Schema with words and numbers of the text.
pub fn analyse(schema: &Value, text: &str) -> Value {
    Analyst::new(text).fill_schema("", schema, 0)
}

struct Analyst {
    sentences: Vec<String>,
    /// Indexes of the sentences, highest score first.
    ranked: Vec<usize>,
    words: BTreeMap<String, usize>,
    opening: BTreeSet<String>,
}

impl Analyst {
    fn new(text: &str) -> Self {
        let sentences = split_sentences(text);
        let mut words: BTreeMap<String, usize> = BTreeMap::new();
        for word in text_words(text) {
            *words.entry(word).or_default() += 1;
        }
        let score = |sentence: &String| {
            let sentence_words: Vec<String> = text_words(sentence).collect();
            let total: usize = sentence_words.iter().filter_map(|word| words.get(word)).sum();
            let facts = sentence.chars().filter(char::is_ascii_digit).count().min(6);
            (total as f64 + facts as f64) / (sentence_words.len().max(8) as f64).sqrt()
        };
        let scores: Vec<f64> = sentences.iter().map(score).collect();
        let mut ranked: Vec<usize> = (0..sentences.len()).collect();
        ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        let opening = text_words(&text.chars().take(300).collect::<String>()).collect();
        Self { sentences, ranked, words, opening }
    }

    /// `count` sentences in the order of the text, without the `from` best ones.
    fn best_sentences(&self, from: usize, count: usize) -> Vec<&str> {
        // A text with fewer sentences repeats its best ones.
        let from = if from < self.ranked.len() { from } else { 0 };
        let mut indexes: Vec<usize> = self.ranked.iter().skip(from).take(count).copied().collect();
        indexes.sort_unstable();
        indexes.into_iter().map(|index| self.sentences[index].as_str()).collect()
    }

    /// The label whose words the document uses most, and its share of all labels' weights.
    fn choose_label<'a>(&self, labels: &[&'a str]) -> (&'a str, f64) {
        let weight = |label: &str| {
            let own = text_words(label).collect::<Vec<_>>();
            let cues = CUES.iter().find(|(name, _)| *name == label.to_lowercase()).map_or(&[][..], |(_, cues)| cues);
            let seen = |word: &str| {
                let count = self.words.get(word).copied().unwrap_or(0) as f64;
                count.sqrt() + if self.opening.contains(word) { 2.0 } else { 0.0 }
            };
            own.iter().map(|word| 2.0 * seen(word)).sum::<f64>() + cues.iter().map(|word| seen(word)).sum::<f64>()
        };
        let weights: Vec<f64> = labels.iter().map(|label| weight(label)).collect();
        let total: f64 = weights.iter().sum();
        let best = (0..labels.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]).then(b.cmp(a)));
        match best {
            Some(best) if weights[best] > 0.0 => (labels[best], (weights[best] / total * 100.0).round() / 100.0),
            _ => (labels.iter().find(|label| **label == "other").or(labels.first()).copied().unwrap_or("other"), 0.1),
        }
    }

    fn fill_schema(&self, name: &str, schema: &Value, depth: usize) -> Value {
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            let labels: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
            return if labels.is_empty() { choices[0].clone() } else { json!(self.choose_label(&labels).0) };
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        match schema.get("type").and_then(Value::as_str).unwrap_or("string") {
            "object" => self.fill_object(schema, depth),
            "array" => {
                let items = schema.get("items").cloned().unwrap_or(json!({"type": "string"}));
                if items.get("type").and_then(Value::as_str) == Some("string") && items.get("enum").is_none() {
                    json!(self.best_sentences(SUMMARY_SENTENCES, KEY_POINTS))
                } else {
                    json!([self.fill_schema(name, &items, depth + 1)])
                }
            }
            "number" | "integer" => self.find_number(name, schema),
            "boolean" => json!(text_words(name).any(|word| self.words.contains_key(&word))),
            "null" => Value::Null,
            _ => json!(self.find_text(name)),
        }
    }

    fn fill_object(&self, schema: &Value, depth: usize) -> Value {
        let mut filled = Map::new();
        if let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| depth < 8) {
            for (name, property) in properties {
                filled.insert(name.clone(), self.fill_schema(name, property, depth + 1));
            }
            // A `confidence` next to a `label` is the confidence in that label.
            let labels = properties.get("label").and_then(|label| label.get("enum")).and_then(Value::as_array);
            if let (Some(labels), true) = (labels, properties.contains_key("confidence")) {
                let labels: Vec<&str> = labels.iter().filter_map(Value::as_str).collect();
                filled.insert("confidence".into(), json!(self.choose_label(&labels).1));
            }
        }
        Value::Object(filled)
    }

    /// The first number of the first sentence with a word of the name, within the schema's bounds.
    fn find_number(&self, name: &str, schema: &Value) -> Value {
        let found = self.find_sentence(name).and_then(first_number).unwrap_or(0.0);
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let bounded = found.max(bound("minimum").unwrap_or(f64::MIN)).min(bound("maximum").unwrap_or(f64::MAX));
        if schema.get("type").and_then(Value::as_str) == Some("integer") {
            json!(bounded as i64)
        } else {
            json!(bounded)
        }
    }

    fn find_text(&self, name: &str) -> String {
        if name == "summary" {
            let summary = self.best_sentences(0, SUMMARY_SENTENCES).join(" ");
            return if summary.is_empty() { "(no sentence)".to_owned() } else { summary };
        }
        let fallback = || self.best_sentences(0, 1).first().copied().unwrap_or("(no sentence)");
        self.find_sentence(name).unwrap_or_else(fallback).to_owned()
    }

    /// The first sentence with a word of the name.
    fn find_sentence(&self, name: &str) -> Option<&str> {
        let wanted: BTreeSet<String> = text_words(&name.replace('_', " ")).collect();
        let has_word = |sentence: &&String| text_words(sentence).any(|word| wanted.contains(&word));
        self.sentences.iter().find(has_word).map(String::as_str)
    }
}

fn text_words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 2)
        .map(str::to_lowercase)
        .filter(|word| !STOP_WORDS.contains(&word.as_str()))
}

/// Splits a text at `.`, `?` or `!` before a space, and at the end of a
/// paragraph. Sentences of four words or fewer, such as headings, are left out.
pub fn split_sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut rest = line.as_str();
        while !rest.is_empty() {
            let end = rest.match_indices(['.', '?', '!']).map(|(at, _)| at + 1).find(|end| {
                let word = rest[..*end].rsplit(' ').next().unwrap_or_default();
                rest[*end..].starts_with(' ') && word.chars().count() > 3
            });
            let (sentence, after) = rest.split_at(end.unwrap_or(rest.len()));
            if sentence.split(' ').count() > 4 {
                found.push(sentence.trim().chars().take(SENTENCE_CHARS).collect());
            }
            rest = after.trim_start();
        }
    }
    if found.is_empty() {
        found
            .extend(Some(text.trim().chars().take(SENTENCE_CHARS).collect::<String>()).filter(|text| !text.is_empty()));
    }
    found
}

/// The first number of a sentence.
pub fn first_number(sentence: &str) -> Option<f64> {
    let digits = sentence.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    digits
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .find_map(|word| word.trim_end_matches(['.', ',']).replace(',', "").parse().ok())
}
