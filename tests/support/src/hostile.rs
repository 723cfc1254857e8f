//! Generated hostile input: schemas with every keyword of JSON Schema 2020-12, metadata, and
//! messages. A seed and a number name a case, so that a failure is repeatable.

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
const ONE_RULE: [&str; 12] = [
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
const LIST_OF_RULES: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords that apply named rules.
const NAMED_RULES: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "dependencies"];

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
fn pattern_of(rng: &mut Rng) -> &'static str {
    let most = if rng.u8(..12) == 0 { PATTERNS.len() } else { SUPPORTED };
    PATTERNS[rng.usize(..most)]
}

/// The number of themes. The theme of a case is its number modulo this.
pub const HOSTILE_THEMES: u64 = 16;

/// Themes whose messages have much data.
pub const HOSTILE_DATA: [u64; 2] = [12, 13];

/// One generated case.
#[derive(Debug, Clone)]
pub struct HostileCase {
    /// What the case attacks.
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

fn object(rules: Map<String, Value>) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
    schema.extend(rules);
    Value::Object(schema)
}

fn reference(number: usize) -> Value {
    json!({"$ref": format!("#/$defs/r{number}")})
}

fn with_defs(count: usize, rule: impl FnMut(usize) -> Value) -> Value {
    let mut defs: Map<String, Value> =
        (0..count).map(rule).enumerate().map(|(n, rule)| (format!("r{n}"), rule)).collect();
    defs.insert(format!("r{count}"), json!({"type": ["object", "string", "number", "array"]}));
    object(Map::from_iter([
        ("$defs".to_owned(), Value::Object(defs)),
        ("properties".to_owned(), json!({"a": {"items": reference(0)}})),
        ("allOf".to_owned(), json!([reference(0)])),
    ]))
}

/// A number about a limit: mostly below it, sometimes far above.
fn near(rng: &mut Rng, limit: usize) -> usize {
    let most = if rng.u8(..4) == 0 { 5 * limit } else { limit };
    rng.usize(most / 2..=most)
}

fn doubling(rng: &mut Rng) -> Value {
    let keyword =
        *rng.choice(&["allOf", "anyOf", "oneOf", "dependentSchemas", "patternProperties", "if"]).unwrap_or(&"allOf");
    let copies = rng.usize(2..5);
    with_defs(near(rng, 12), |number| {
        let next = reference(number + 1);
        match keyword {
            "dependentSchemas" | "patternProperties" => {
                json!({keyword: Map::from_iter((0..copies).map(|n| (format!("a{{{n},}}"), next.clone())))})
            }
            "if" => json!({"if": next, "then": next, "else": next}),
            list => json!({list: vec![next; copies]}),
        }
    })
}

fn chain(rng: &mut Rng) -> Value {
    let keywords: Vec<&str> = (0..3).map(|_| ONE_RULE[rng.usize(..ONE_RULE.len())]).collect();
    with_defs(near(rng, 230), |number| json!({keywords[number % 3]: reference(number + 1)}))
}

fn recursion(rng: &mut Rng) -> Value {
    let root = [json!({"$ref": "#"}), json!({"$dynamicRef": "#node"})][rng.usize(..2)].clone();
    let inner = json!({*rng.choice(&["allOf", "anyOf", "oneOf"]).unwrap_or(&"allOf"): vec![root; rng.usize(1..4)]});
    let mut rules = Map::from_iter([("$dynamicAnchor".to_owned(), json!("node"))]);
    for keyword in ["properties", "patternProperties"] {
        if rng.bool() {
            rules.insert(keyword.to_owned(), json!({"a": inner}));
        }
    }
    for keyword in ["items", "contains", "additionalProperties", "unevaluatedProperties", "propertyNames", "not"] {
        if rng.u8(..4) == 0 {
            rules.insert(keyword.to_owned(), inner.clone());
        }
    }
    object(rules)
}

fn patterns(rng: &mut Rng) -> Value {
    let mut pattern = |number: usize| {
        let one = pattern_of(rng);
        let repeated = one.repeat(rng.usize(1..3));
        if rng.bool() { format!("{repeated}{number}") } else { repeated }
    };
    let fields: Map<String, Value> =
        (0..40).map(|number| (format!("a{number}"), json!({"type": "string", "pattern": pattern(number)}))).collect();
    let names: Map<String, Value> = (0..3).map(|number| (pattern(number), json!({"type": "string"}))).collect();
    let mut rules = Map::new();
    let count = near(rng, 8).min(40);
    rules.insert("properties".to_owned(), Value::Object(fields.into_iter().take(count).collect()));
    if rng.bool() {
        rules.insert("patternProperties".to_owned(), Value::Object(names));
    }
    object(rules)
}

fn unevaluated(rng: &mut Rng) -> Value {
    let applicator = *rng.choice(&["allOf", "anyOf", "oneOf"]).unwrap_or(&"allOf");
    let copies = rng.usize(1..3);
    with_defs(near(rng, 5), |number| {
        json!({
            applicator: vec![reference(number + 1); copies],
            "properties": {format!("p{number}"): true},
            "unevaluatedProperties": reference(number + 1),
            "unevaluatedItems": false,
        })
    })
}

fn lists(rng: &mut Rng) -> Value {
    let texts =
        |count: usize, bytes: usize| Vec::from_iter((0..count).map(|n| json!(format!("{n}{}", "x".repeat(bytes)))));
    object(Map::from_iter([
        ("required".to_owned(), json!(texts(near(rng, 900), 0))),
        ("dependentRequired".to_owned(), json!({"a": texts(rng.usize(..500), 1)})),
        (
            "properties".to_owned(),
            json!({
                "a": {"enum": texts(near(rng, 900), 3)},
                "b": {"enum": (0..rng.usize(..800)).map(|n| json!([n, {"a": n}])).collect::<Vec<_>>()},
                "c": {"const": texts(1, near(rng, 900))},
                "x".repeat(near(rng, 900)): {"default": texts(3, 100)},
                "items": {"type": "array", "uniqueItems": true, "items": {"enum": texts(50, 1)}},
            }),
        ),
    ]))
}

fn many_rules(rng: &mut Rng) -> Value {
    let count = near(rng, 1_900);
    let rule =
        [json!({}), json!({"type": "string"}), json!(true), json!({"anyOf": [true, false]})][rng.usize(..4)].clone();
    let rules = (0..count).map(|n| (format!("f{n}"), rule.clone())).collect();
    object(Map::from_iter([(NAMED_RULES[rng.usize(..3)].to_owned(), Value::Object(rules))]))
}

fn deep_rules(rng: &mut Rng) -> Value {
    let depth = near(rng, 10);
    let inner = (0..depth).fold(json!({"type": "string"}), |inner, _| match rng.u8(..3) {
        0 => json!({ONE_RULE[rng.usize(..ONE_RULE.len())]: inner}),
        1 => json!({LIST_OF_RULES[rng.usize(..4)]: [inner.clone(), {"type": "object"}]}),
        _ => json!({NAMED_RULES[rng.usize(..3)]: {"a": inner}}),
    });
    object(Map::from_iter([("properties".to_owned(), json!({"a": inner}))]))
}

fn references(rng: &mut Rng) -> Value {
    let targets = [
        "#",
        "#/properties/a",
        "#/$defs/missing",
        "#node",
        "#/$defs/r%31",
        "other.json",
        "https://example.com/s#/a",
        "urn:x",
        "file:///etc/hostname",
        "https://json-schema.org/draft/2020-12/schema",
        "#/enum/0",
        "../up",
        "#/properties/a/not",
    ];
    let mut target = || targets[rng.usize(..targets.len())];
    object(Map::from_iter([
        ("$defs".to_owned(), json!({"r1": {"$anchor": "node"}, "r2": {"$dynamicRef": target()}})),
        ("properties".to_owned(), json!({"a": {"$ref": target()}, "b": {"not": {"$ref": target()}}})),
        ("enum".to_owned(), json!([{"$ref": target()}])),
    ]))
}

/// A rule with random keywords and values of the right and of other types. `number` makes
/// sure that each keyword occurs.
fn every_keyword(rng: &mut Rng, number: u64) -> Value {
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

fn scalar(rng: &mut Rng) -> Value {
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
