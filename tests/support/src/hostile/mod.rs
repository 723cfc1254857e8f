//! Generated hostile input: schemas with every keyword of JSON Schema 2020-12, metadata, and
//! messages. A seed and a number name a case, so that a failure is repeatable.

mod rules;
mod schemas;

use fastrand::Rng;
use serde_json::{Map, Value, json};

pub use self::rules::KEYWORDS;
use self::rules::{every_keyword, scalar};
use self::schemas::{chain, deep_rules, doubling, lists, many_rules, patterns, recursion, references, unevaluated};

/// The number of themes. The theme of a case is its number modulo this.
pub const HOSTILE_THEMES: u64 = 16;

/// Themes whose messages have much data.
pub const HOSTILE_DATA: [u64; 2] = [12, 13];

/// One generated case.
#[derive(Debug, Clone)]
pub struct HostileCase {
    /// The target of the attack.
    pub theme: &'static str,
    /// The body of a queue message.
    pub message: String,
    /// Answers of a model to the case's schema.
    pub answers: Vec<Value>,
}

/// The case with this number.
pub fn hostile_case(seed: u64, number: u64) -> HostileCase {
    let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let rng = &mut rng;
    let schema = |theme, schema: Value, rng: &mut Rng| HostileCase {
        theme,
        message: json!({"job_id": "hostile", "document": "x", "analysis": {"schema": schema}}).to_string(),
        answers: vec![
            deep_answer(22),
            wide_answer(2_000),
            random_answer(rng, 4),
            json!({"a": "a".repeat(50_000) + "b"}),
        ],
    };
    match number % HOSTILE_THEMES {
        0 => schema("doubling references", doubling(rng), rng),
        1 => schema("chain of references", chain(rng), rng),
        2 => schema("recursion that doubles", recursion(rng), rng),
        3 => schema("regular expressions", patterns(rng), rng),
        4 => schema("nested unevaluated rules", unevaluated(rng), rng),
        5 => schema("long lists and texts", lists(rng), rng),
        6 => schema("many rules", many_rules(rng), rng),
        7 => schema("deep rules", deep_rules(rng), rng),
        8 => schema("references and anchors", references(rng), rng),
        9..=11 => schema("every keyword", every_keyword(rng, number), rng),
        12 => message("metadata", json!({"job_id": "hostile", "document": "x", "metadata": data(rng)}).to_string()),
        13 => {
            let input = json!({"model_id": "m", "model_input": data(rng)});
            message("model input", json!({"job_id": "hostile", "async_invoke": input}).to_string())
        }
        14 => message("shape of a message", shape(rng)),
        _ => message("broken text", broken(rng)),
    }
}

fn message(theme: &'static str, message: String) -> HostileCase {
    HostileCase { theme, message, answers: Vec::new() }
}

fn deep_answer(depth: usize) -> Value {
    (0..depth).fold(
        json!("a"),
        |inner, level| if level % 2 == 0 { json!({"a": inner}) } else { json!({"a": [inner], "b": 1}) },
    )
}

fn wide_answer(count: usize) -> Value {
    let items: Vec<Value> = (0..count).map(|n| json!({"a": n.to_string(), "b": n})).collect();
    json!({"a": items, "b": items.len(), "f0": "x", "items": items})
}

fn random_answer(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..4) {
        _ if depth == 0 => scalar(rng),
        0 => Value::Array((0..rng.usize(..8)).map(|_| random_answer(rng, depth - 1)).collect()),
        1 => scalar(rng),
        _ => {
            let mut answer = || random_answer(rng, depth - 1);
            json!({"a": answer(), "b": answer(), "f1": answer(), "aaaa": answer()})
        }
    }
}

/// Data that is small as text and large in memory.
fn data(rng: &mut Rng) -> Value {
    let count = *rng.choice(&[10, 300, 5_000, 60_000, 130_000]).unwrap_or(&10);
    match rng.u8(..6) {
        0 => json!({"a": vec![json!({"": 0}); count]}),
        1 => json!({"a": vec![json!({"a": 0}); count]}),
        2 => json!({"a": vec![0; count]}),
        3 => json!({"a": (0..rng.usize(1..110)).fold(json!([]), |inner, _| json!([inner]))}),
        4 => Value::Object((0..count).map(|n| (n.to_string(), Value::Null)).collect()),
        _ => json!({"a": vec![json!([[[]]]); count / 2], "b": "\u{1}".repeat(count)}),
    }
}

fn shape(rng: &mut Rng) -> String {
    let count = rng.usize(1..60_000);
    match rng.u8(..7) {
        0 => "[".repeat(count),
        1 => "{\"a\":".repeat(count),
        2 => format!(r#"{{"Records": [{}{{}}]}}"#, "{},".repeat(count)),
        3 => format!(
            r#"{{"Records": [{}]}}"#,
            vec![r#"{"eventName": "ObjectCreated:Put", "s3": {}}"#; count % 3_000].join(",")
        ),
        4 => format!(r#"{{"job_id": "a", "document": "x", {}"x": 1}}"#, r#""x": {"y": [1]}, "#.repeat(count)),
        5 => {
            let tags: Map<String, Value> = (0..count % 5_000).map(|n| (format!("k{n}"), json!("v"))).collect();
            json!({"job_id": "a", "async_invoke": {"model_id": "m", "model_input": 1, "tags": tags}}).to_string()
        }
        _ => {
            let labels: Vec<String> = (0..count % 9_000).map(|n| n.to_string()).collect();
            json!({"job_id": "a", "document": "x", "analysis": {"labels": labels}}).to_string()
        }
    }
}

fn broken(rng: &mut Rng) -> String {
    let rules = every_keyword(rng, 3);
    let mut text =
        json!({"job_id": "a", "document": "x", "metadata": {"a": [1, {"b": "c"}]}, "analysis": {"schema": rules}})
            .to_string();
    for _ in 0..rng.usize(1..6) {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let at = places[rng.usize(..places.len())];
        match rng.u8(..3) {
            0 => text.truncate(at.max(1)),
            1 => text.insert_str(at, ["\"", "\\", "{", "[", "1e999", "\u{0}", ":", "\\ud800"][rng.usize(..8)]),
            _ => drop(text.remove(at)),
        }
        if text.is_empty() {
            text.push('{');
        }
    }
    text
}
