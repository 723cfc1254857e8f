use serde_json::{Value, json};

use super::request::InvalidAnalysis;
use super::schema::Validator;
use super::schema_budget::check_budget;
use crate::domain::limits::*;

fn refused(schema: &Value) -> String {
    let InvalidAnalysis { field, problem } = check_budget(schema).expect_err("over the budget");
    assert_eq!(field, "schema");
    problem
}

fn object(rules: Value) -> Value {
    let mut schema = json!({"type": "object"});
    schema.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    schema
}

/// `$defs` in which each rule refers to the next one twice.
fn doubling(count: usize, keyword: &str) -> Value {
    let mut defs = serde_json::Map::new();
    for number in 0..count {
        let next = json!({"$ref": format!("#/$defs/r{}", number + 1)});
        defs.insert(format!("r{number}"), json!({keyword: [next, next]}));
    }
    defs.insert(format!("r{count}"), json!(true));
    object(json!({"$defs": defs, "$ref": "#/$defs/r0"}))
}

#[test]
fn doubling_references_are_counted_without_unrolling() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        check_budget(&doubling(8, keyword)).unwrap();
        let problem = refused(&doubling(60, keyword));
        assert!(problem.contains("at most 5000 rules") && problem.contains("`/$defs/r"), "{problem}");
    }
}

#[test]
fn long_chain_of_references_is_refused() {
    let mut defs = serde_json::Map::new();
    for number in 0..600 {
        defs.insert(format!("r{number}"), json!({"not": {"$ref": format!("#/$defs/r{}", number + 1)}}));
    }
    defs.insert("r600".to_owned(), json!(true));
    let problem = refused(&object(json!({"$defs": defs, "$ref": "#/$defs/r0"})));
    assert!(problem.starts_with("must apply inside each other at most 500 rules"), "{problem}");
}

#[test]
fn longest_allowed_chain_fits_the_stack() {
    let mut defs = serde_json::Map::new();
    let count = SCHEMA_CHAIN_MAX / 2 - 2;
    for number in 0..count {
        defs.insert(format!("r{number}"), json!({"not": {"$ref": format!("#/$defs/r{}", number + 1)}}));
    }
    defs.insert(format!("r{count}"), json!(true));
    let schema = object(json!({"$defs": defs, "$ref": "#/$defs/r0"}));
    let used = std::thread::Builder::new().stack_size(HEAVY_WORK_STACK_BYTES / 4).spawn(move || {
        let validator = Validator::new(&schema).unwrap();
        let _ = validator.check(&json!({}));
    });
    used.unwrap().join().unwrap();
}

#[test]
fn recursion_is_counted_to_the_depth_of_an_answer() {
    let tree = object(json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}));
    assert!(check_budget(&tree).unwrap() < 100);
    let list = object(json!({"properties": {"parts": {"type": "array", "items": {"$ref": "#"}}}}));
    assert!(check_budget(&list).unwrap() < 100);
    let both = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
    let problem = refused(&object(json!({"properties": {"part": both}})));
    assert!(problem.contains("apply to one value"), "{problem}");
}

#[test]
fn endless_rule_is_refused_with_its_place() {
    let endless = object(json!({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}));
    assert!(refused(&endless).contains("without end; the rule is at `/properties/a"), "{}", refused(&endless));
    assert!(refused(&object(json!({"allOf": [{"$ref": "#"}]}))).contains("without end"));
    assert!(refused(&object(json!({"$dynamicAnchor": "a", "not": {"$dynamicRef": "#a"}}))).contains("without end"));
}

#[test]
fn reference_must_lead_to_a_place_in_the_schema() {
    let with = |reference: &str| {
        object(json!({"$id": "https://example.com/s", "$defs": {"a b": {"$anchor": "here"}},
                      "properties": {"x": {"$ref": reference}}}))
    };
    for own in ["#", "#/$defs/a%20b", "#here", "https://example.com/s#here", "https://example.com/s"] {
        check_budget(&with(own)).unwrap();
    }
    for other in
        ["https://example.com/t", "t.json", "file:///etc/hostname", "https://json-schema.org/draft/2020-12/schema"]
    {
        assert!(refused(&with(other)).ends_with("one is at `/properties/x/$ref`"), "{other}");
    }
    for missing in ["#/$defs/c", "#nowhere", "#/properties/y"] {
        assert!(refused(&with(missing)).ends_with("the reference at `/properties/x/$ref`"), "{missing}");
    }
    let inner = object(json!({"properties": {"x": {"$id": "https://example.com/other", "$ref": "#/$defs/a"}}}));
    assert!(refused(&inner).contains("`$id` at the top level alone"));
}

#[test]
fn large_list_text_or_number_of_values_is_refused() {
    let words: Vec<String> = (0..=SCHEMA_ENUM_MAX).map(|number| number.to_string()).collect();
    let list = object(json!({"properties": {"a/b": {"enum": words}}}));
    assert!(refused(&list).ends_with("at `/properties/a~1b/enum`"), "{}", refused(&list));
    let text = "x".repeat(SCHEMA_TEXT_MAX_BYTES + 1);
    assert!(refused(&object(json!({"properties": {"a": {"const": [text]}}}))).ends_with("`/properties/a/const/0`"));
    assert!(refused(&object(json!({"properties": {text: true}}))).contains("in a field name"));
    check_budget(&object(json!({"description": "x".repeat(2 * SCHEMA_TEXT_MAX_BYTES)}))).unwrap();
    let values = vec![json!(0); SCHEMA_VALUES_MAX];
    assert!(refused(&object(json!({"default": values}))).contains("10000 JSON values"));
    let rules: serde_json::Map<String, Value> = (0..=SCHEMA_RULES_MAX).map(|n| (n.to_string(), json!(true))).collect();
    assert!(refused(&object(json!({"properties": rules}))).contains("2000 rules"));
    let deep = (0..=RESULT_MAX_DEPTH).fold(json!({}), |inner, _| json!({"not": inner}));
    assert!(refused(&object(json!({"not": deep}))).contains("24 levels"));
}

#[test]
fn pattern_over_the_budget_is_refused_with_its_reason() {
    let with = |pattern: &str| object(json!({"properties": {"a": {"type": "string", "pattern": pattern}}}));
    for pattern in
        ["^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$", "^\\d{4}-\\d{2}-\\d{2}$", "^\\p{L}+$", "^.{1,100}$", "^\\S+@\\S+$"]
    {
        check_budget(&with(pattern)).expect(pattern);
        Validator::new(&with(pattern)).expect(pattern);
    }
    for (pattern, reason) in [
        ("^(?=a)b", "look-ahead and look-behind"),
        ("(?<!a)b", "look-ahead and look-behind"),
        ("(a)\\1", "backreferences"),
        ("(", "valid regular expressions"),
        ("(\\p{L}{100}){100}", "when they are compiled"),
        ("((a{100}){100}){100}", "when they are compiled"),
        (&"x".repeat(PATTERN_MAX_BYTES + 1), "at most 512 bytes"),
    ] {
        let problem = refused(&with(pattern));
        assert!(problem.contains(reason) && problem.ends_with("at `/properties/a/pattern`"), "{problem}");
    }
    let names: serde_json::Map<String, Value> = (0..=PATTERNS_MAX).map(|n| (format!("^{n}$"), json!(true))).collect();
    assert!(refused(&object(json!({"patternProperties": names}))).contains("at most 50 patterns"));
}

#[test]
fn nested_unevaluated_rules_are_refused() {
    let nested = |count: usize| {
        let mut defs = serde_json::Map::new();
        for number in 0..count {
            let next = json!({"$ref": format!("#/$defs/r{}", number + 1)});
            defs.insert(format!("r{number}"), json!({"allOf": [next], "unevaluatedProperties": false}));
        }
        defs.insert(format!("r{count}"), json!({"properties": {"a": true}}));
        object(json!({"$defs": defs, "$ref": "#/$defs/r0"}))
    };
    check_budget(&nested(3)).unwrap();
    assert!(refused(&nested(20)).contains("`unevaluatedProperties`"));
}
