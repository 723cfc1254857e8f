//! Schemas that attack one budget each.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::rules::{LIST_OF_RULES, NAMED_RULES, ONE_RULE, pattern_of};

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

pub(super) fn doubling(rng: &mut Rng) -> Value {
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

pub(super) fn chain(rng: &mut Rng) -> Value {
    let keywords: Vec<&str> = (0..3).map(|_| ONE_RULE[rng.usize(..ONE_RULE.len())]).collect();
    with_defs(near(rng, 230), |number| json!({keywords[number % 3]: reference(number + 1)}))
}

pub(super) fn recursion(rng: &mut Rng) -> Value {
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

pub(super) fn patterns(rng: &mut Rng) -> Value {
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

pub(super) fn unevaluated(rng: &mut Rng) -> Value {
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

pub(super) fn lists(rng: &mut Rng) -> Value {
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

pub(super) fn many_rules(rng: &mut Rng) -> Value {
    let count = near(rng, 1_900);
    let rule =
        [json!({}), json!({"type": "string"}), json!(true), json!({"anyOf": [true, false]})][rng.usize(..4)].clone();
    let rules = (0..count).map(|n| (format!("f{n}"), rule.clone())).collect();
    object(Map::from_iter([(NAMED_RULES[rng.usize(..3)].to_owned(), Value::Object(rules))]))
}

pub(super) fn deep_rules(rng: &mut Rng) -> Value {
    let depth = near(rng, 10);
    let inner = (0..depth).fold(json!({"type": "string"}), |inner, _| match rng.u8(..3) {
        0 => json!({ONE_RULE[rng.usize(..ONE_RULE.len())]: inner}),
        1 => json!({LIST_OF_RULES[rng.usize(..4)]: [inner.clone(), {"type": "object"}]}),
        _ => json!({NAMED_RULES[rng.usize(..3)]: {"a": inner}}),
    });
    object(Map::from_iter([("properties".to_owned(), json!({"a": inner}))]))
}

pub(super) fn references(rng: &mut Rng) -> Value {
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
