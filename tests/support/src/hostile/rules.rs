//! Rules with random keywords of JSON Schema 2020-12.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Every keyword of JSON Schema 2020-12.
pub const KEYWORDS: [&str; 59] = [
    "$id",
    "$schema",
    "$ref",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$vocabulary",
    "$comment",
    "$defs",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "prefixItems",
    "items",
    "contains",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "definitions",
    "dependencies",
];

/// Keywords that apply one rule.
pub(super) const ONE_RULE: [&str; 12] = [
    "not",
    "if",
    "then",
    "else",
    "items",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "additionalItems",
];
/// Keywords that apply a list of rules.
pub(super) const LIST_OF_RULES: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords that apply named rules.
pub(super) const NAMED_RULES: [&str; 5] =
    ["properties", "patternProperties", "dependentSchemas", "$defs", "dependencies"];

/// Regular expressions: large, deep, slow for a backtracking engine, unsupported, or invalid.
const PATTERNS: [&str; 20] = [
    "^(a+)+$",
    "a{1000}",
    ".{0,50}",
    "\\S{1,20}",
    "(a|aa)*b",
    "(x?){100}x{100}",
    "[\\p{L}\\p{N}\\p{S}]{2}",
    "\\cA\\cB",
    "^[A-Z]{2}[0-9]{2}$",
    "((((((((((a))))))))))",
    "\u{1f600}+",
    "(?i)\\w{50}",
    "(\\p{L}{100}){100}",
    "((a{100}){100}){100}",
    "^(?=a).*$",
    "(a)\\1",
    "(?<!x)y",
    "(",
    "[",
    "(?:){4294967295}",
];

/// The number of patterns that may fit the budget.
const SUPPORTED: usize = 12;

const FORMATS: [&str; 8] =
    ["date-time", "email", "idn-hostname", "regex", "uri-reference", "uuid", "json-pointer", "no-such-format"];

/// A pattern that is mostly of the first [`SUPPORTED`].
pub(super) fn pattern_of(rng: &mut Rng) -> &'static str {
    let most = if rng.u8(..12) == 0 { PATTERNS.len() } else { SUPPORTED };
    PATTERNS[rng.usize(..most)]
}

/// A rule with random keywords and values of the right and of other types. `number` makes
/// sure that each keyword occurs.
pub(super) fn every_keyword(rng: &mut Rng, number: u64) -> Value {
    let mut left = rng.usize(10..400);
    let mut rules = match random_rule(rng, 5, &mut left) {
        Value::Object(rules) => rules,
        _ => Map::new(),
    };
    for offset in 0..4 {
        let keyword = KEYWORDS[(number as usize * 4 + offset) % KEYWORDS.len()];
        rules.insert(keyword.to_owned(), keyword_value(rng, keyword, 2, &mut left));
    }
    rules.insert("type".to_owned(), json!("object"));
    // Targets of the references.
    for (keyword, name, rule) in [
        ("$defs", "last", json!({"properties": {"a": {"type": "string"}}})),
        ("properties", "z", json!({"items": {"anyOf": [{"$ref": "#"}, true]}})),
    ] {
        if let Some(named) = rules.entry(keyword).or_insert(json!({})).as_object_mut() {
            named.insert(name.to_owned(), rule);
        }
    }
    Value::Object(rules)
}

fn random_rule(rng: &mut Rng, depth: usize, left: &mut usize) -> Value {
    if depth == 0 || *left == 0 || rng.u8(..12) == 0 {
        return json!(rng.bool());
    }
    *left -= 1;
    let mut rule = Map::new();
    for _ in 0..rng.usize(1..6) {
        // Keywords that stop the check early are rare.
        let first = if rng.u8(..20) == 0 { 0 } else { 7 };
        let keyword = KEYWORDS[rng.usize(first..KEYWORDS.len())];
        rule.insert(keyword.to_owned(), keyword_value(rng, keyword, depth - 1, left));
    }
    Value::Object(rule)
}

fn keyword_value(rng: &mut Rng, keyword: &str, depth: usize, left: &mut usize) -> Value {
    if rng.u8(..60) == 0 {
        return scalar(rng);
    }
    match keyword {
        "$id" => json!("https://example.com/hostile"),
        "$schema" => json!("https://json-schema.org/draft/2020-12/schema"),
        "$ref" | "$dynamicRef" => {
            json!(["#/$defs/last", "#/$defs/last", "#/$defs/last/properties/a", "#/properties/z", "#"][rng.usize(..5)])
        }
        "$anchor" | "$dynamicAnchor" => json!(format!("node{}", rng.u32(..))),
        "$vocabulary" => json!({"https://json-schema.org/draft/2020-12/vocab/core": true}),
        "type" => json!(["object", "string", "number", "integer", "array", "null", "boolean"][rng.usize(..7)]),
        "pattern" => json!(pattern_of(rng)),
        "format" => json!(FORMATS[rng.usize(..FORMATS.len())]),
        "contentEncoding" => json!("base64"),
        "contentMediaType" => json!("application/json"),
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => json!(rng.bool()),
        "enum" | "examples" => json!((0..rng.usize(1..20)).map(|_| scalar(rng)).collect::<Vec<_>>()),
        "required" => json!(["a", "b"]),
        "dependentRequired" => json!({"a": ["b"], "b": ["a"]}),
        "multipleOf" => [json!(1e-120), json!(0.1), json!(7e-9), json!(3), json!(1e120)][rng.usize(..5)].clone(),
        "maximum" | "exclusiveMaximum" | "minimum" | "exclusiveMinimum" => json!(rng.f64() * 1e9),
        "title" | "description" | "$comment" => json!("x".repeat(rng.usize(..200))),
        "const" | "default" => scalar(rng),
        name if name.starts_with("max") || name.starts_with("min") => json!(rng.u64(..) >> rng.u32(..64)),
        name if LIST_OF_RULES.contains(&name) => {
            Value::Array((0..rng.usize(1..5)).map(|_| random_rule(rng, depth, left)).collect())
        }
        "patternProperties" => {
            let pattern = pattern_of(rng);
            json!({pattern: random_rule(rng, depth, left), "^a": random_rule(rng, depth, left)})
        }
        name if NAMED_RULES.contains(&name) || name == "definitions" => {
            let mut rule = || random_rule(rng, depth, left);
            json!({"a": rule(), "b": rule(), "c": rule()})
        }
        _ => random_rule(rng, depth, left),
    }
}

pub(super) fn scalar(rng: &mut Rng) -> Value {
    match rng.u8(..7) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(rng.i64(..)),
        3 => json!(rng.f64() * 1e100),
        4 => json!([1, "a", {}]),
        5 => json!({"a": {"$ref": "#"}}),
        _ => json!("x".repeat(rng.usize(..50))),
    }
}
