//! The budget of a caller's schema. It is checked before the schema is compiled, in the
//! producer and again in the consumer.
//!
//! A short schema can be expensive: references that double apply 2ⁿ rules, a chain of
//! references fills the stack, and a short regular expression compiles to megabytes. The
//! check counts the rules along the references, each rule once for each level of an answer.

use jsonschema_regex::to_rust_regex;
use regex_automata::nfa::thompson::{self, NFA};
use serde_json::Value;

use super::request::{InvalidAnalysis, invalid};
use super::schema_graph::{Rule, SchemaGraph, escape};
use crate::domain::limits::{
    PATTERN_MAX_BYTES, PATTERNS_COMPILED_MAX_BYTES, PATTERNS_MAX, RESULT_MAX_DEPTH, SCHEMA_CHAIN_MAX, SCHEMA_ENUM_MAX,
    SCHEMA_RULES_PER_VALUE_MAX, SCHEMA_TEXT_MAX_BYTES, SCHEMA_UNEVALUATED_MAX, SCHEMA_VALUES_MAX,
};

/// Dialects whose keywords the check knows.
const DIALECTS: [&str; 4] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
];

/// How often the validator evaluates the rules for a value that has `unevaluated…`: as rules,
/// and to find which fields and items they evaluate.
const UNEVALUATED_PASSES: u64 = 3;

/// Checks a schema against every limit, without compiling it. Returns the most rules that it
/// applies to one value of an answer.
///
/// # Errors
/// [`InvalidAnalysis`], which names the limit and the place in the schema.
pub(super) fn check_budget(schema: &Value) -> Result<u64, InvalidAnalysis> {
    check_values(schema)?;
    let dialect = schema.get("$schema").and_then(Value::as_str).map(|dialect| dialect.trim_end_matches('#'));
    if dialect.is_some_and(|dialect| !DIALECTS.contains(&dialect)) {
        return Err(invalid(
            "schema",
            format!("must have one of these dialects as `$schema`: {}", DIALECTS.join(", ")),
        ));
    }
    let graph = SchemaGraph::read(schema)?;
    check_patterns(&graph.patterns)?;
    check_rules(&graph.rules)
}

/// Checks the number of values, their depth, and the lengths of lists and texts.
fn check_values(schema: &Value) -> Result<(), InvalidAnalysis> {
    let at_most = |limit: usize, unit: &str, place: &str| {
        Err(invalid("schema", format!("must have at most {limit} {unit}; the limit is exceeded at `{place}`")))
    };
    let mut count = 0;
    let mut unread = vec![(String::new(), schema, 0, false)];
    while let Some((place, value, depth, is_data)) = unread.pop() {
        count += 1;
        if count > SCHEMA_VALUES_MAX {
            return at_most(SCHEMA_VALUES_MAX, "JSON values", &place);
        }
        match value {
            Value::String(text) if is_data && text.len() > SCHEMA_TEXT_MAX_BYTES => {
                return at_most(SCHEMA_TEXT_MAX_BYTES, "bytes in a text", &place);
            }
            Value::Array(_) | Value::Object(_) if depth == RESULT_MAX_DEPTH => {
                return at_most(RESULT_MAX_DEPTH, "levels", &place);
            }
            Value::Array(items) => {
                if place.ends_with("/enum") && items.len() > SCHEMA_ENUM_MAX {
                    return at_most(SCHEMA_ENUM_MAX, "values in an `enum`", &place);
                }
                let inner = |(number, item)| (format!("{place}/{number}"), item, depth + 1, is_data);
                unread.extend(items.iter().enumerate().map(inner));
            }
            Value::Object(fields) => {
                if fields.keys().any(|name| name.len() > SCHEMA_TEXT_MAX_BYTES) {
                    return at_most(SCHEMA_TEXT_MAX_BYTES, "bytes in a field name", &place);
                }
                unread.extend(fields.iter().map(|(name, field)| {
                    let is_data = is_data || matches!(name.as_str(), "enum" | "const" | "required");
                    (format!("{place}/{}", escape(name)), field, depth + 1, is_data)
                }));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Compiles each pattern to its automaton, within one budget for all of them.
fn check_patterns(patterns: &[(String, &str)]) -> Result<(), InvalidAnalysis> {
    if let Some((place, _)) = patterns.get(PATTERNS_MAX) {
        return Err(invalid("schema", format!("must have at most {PATTERNS_MAX} patterns; one more is at `{place}`")));
    }
    let mut left = PATTERNS_COMPILED_MAX_BYTES;
    for (place, pattern) in patterns {
        let refused = |problem: &str| Err(invalid("schema", format!("{problem}; the pattern is at `{place}`")));
        if pattern.len() > PATTERN_MAX_BYTES {
            return refused(&format!("must have patterns of at most {PATTERN_MAX_BYTES} bytes"));
        }
        let Ok(translated) = to_rust_regex(pattern) else {
            return refused("must have valid regular expressions");
        };
        let config = thompson::Config::new().nfa_size_limit(Some(left));
        match NFA::compiler().configure(config).build(&translated) {
            Ok(automaton) => left = left.saturating_sub(automaton.memory_usage()),
            Err(error) if error.size_limit().is_some() => {
                return refused(&format!(
                    "must have patterns of at most {PATTERNS_COMPILED_MAX_BYTES} bytes together when they are \
                     compiled (use shorter repetitions, or `maxLength`)"
                ));
            }
            Err(error) => return refused(reason_of(&error)),
        }
    }
    Ok(())
}

fn reason_of(error: &thompson::BuildError) -> &'static str {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if cause.contains("look-around") {
        "must have linear-time patterns: look-ahead and look-behind are not supported"
    } else if cause.contains("backreferences") {
        "must have linear-time patterns: backreferences are not supported"
    } else {
        "must have valid regular expressions"
    }
}

/// The cost of a rule with the rules that it applies.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// The most rules that are applied to one value, here or inside the value.
    rules: u64,
    /// The most rules that are applied inside each other.
    chain: u64,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self { rules: self.rules.saturating_add(other.rules), chain: self.chain.max(other.chain) }
    }

    fn or(self, other: Self) -> Self {
        Self { rules: self.rules.max(other.rules), chain: self.chain.max(other.chain) }
    }
}

/// Counts the rules level by level: an answer has at most [`RESULT_MAX_DEPTH`] levels, so a
/// recursive schema has a finite count.
fn check_rules(rules: &[Rule]) -> Result<u64, InvalidAnalysis> {
    let order = order_of_rules(rules)?;
    let mut costs = level(rules, &order, None);
    let unevaluated = rules.iter().zip(&costs).filter(|(rule, _)| rule.is_unevaluated);
    if unevaluated.fold(0, |sum: u64, (_, cost)| sum.saturating_add(cost.rules)) > SCHEMA_UNEVALUATED_MAX {
        let place = rules.iter().find(|rule| rule.is_unevaluated).map_or("", |rule| rule.place.as_str());
        let problem = format!(
            "must have at most {SCHEMA_UNEVALUATED_MAX} rules that `unevaluatedProperties` and `unevaluatedItems` \
             follow; the first is at `{place}`"
        );
        return Err(invalid("schema", problem));
    }
    for _ in 0..RESULT_MAX_DEPTH {
        costs = level(rules, &order, Some(&costs));
    }
    let refused = |limit: u64, problem: &str, exceeds: &dyn Fn(&Cost) -> bool| {
        let place = place_of_excess(rules, &costs, exceeds);
        Err(invalid("schema", format!("must {problem} at most {limit} rules; the limit is exceeded at `{place}`")))
    };
    if costs[0].rules > SCHEMA_RULES_PER_VALUE_MAX {
        let problem = "apply to one value, along its references,";
        return refused(SCHEMA_RULES_PER_VALUE_MAX, problem, &|cost| cost.rules > SCHEMA_RULES_PER_VALUE_MAX);
    }
    if costs[0].chain > SCHEMA_CHAIN_MAX {
        return refused(SCHEMA_CHAIN_MAX, "apply inside each other", &|cost| cost.chain > SCHEMA_CHAIN_MAX);
    }
    Ok(costs[0].rules)
}

/// The cost of each rule for a value with one level more than that of `inner`.
fn level(rules: &[Rule], order: &[usize], inner: Option<&[Cost]>) -> Vec<Cost> {
    let mut costs = vec![Cost::default(); rules.len()];
    for &index in order {
        let rule = &rules[index];
        let same = rule.same_value.iter().map(|other| costs[*other]).fold(Cost::default(), Cost::and);
        let passes = if rule.is_unevaluated { UNEVALUATED_PASSES } else { 1 };
        let inside = inner.map_or_else(Cost::default, |inner| cost_inside(rule, inner));
        let sum = Cost { rules: same.rules.saturating_mul(passes), chain: same.chain }.and(inside);
        costs[index] = Cost { rules: sum.rules.saturating_add(rule.work), chain: sum.chain.saturating_add(1) };
    }
    costs
}

/// The cost of the rules for one value inside: a field of an object, or an item of an array.
fn cost_inside(rule: &Rule, inner: &[Cost]) -> Cost {
    let cost = |index: &usize| inner[*index];
    let all = |indexes: &[usize]| indexes.iter().map(cost).fold(Cost::default(), Cost::and);
    let one = |indexes: &[usize]| indexes.iter().map(cost).fold(Cost::default(), Cost::or);
    let field = one(&rule.named_fields).and(all(&rule.matching_fields));
    field.or(one(&rule.placed_items)).and(all(&rule.every_value))
}

/// The rules in an order in which each rule follows the rules that it applies to the same
/// value.
fn order_of_rules(rules: &[Rule]) -> Result<Vec<usize>, InvalidAnalysis> {
    let mut users = vec![0_usize; rules.len()];
    rules.iter().flat_map(|rule| &rule.same_value).for_each(|used| users[*used] += 1);
    let mut order: Vec<usize> = (0..rules.len()).filter(|index| users[*index] == 0).collect();
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        for &used in &rules[index].same_value {
            users[used] -= 1;
            if users[used] == 0 {
                order.push(used);
            }
        }
    }
    if let Some(circle) = users.iter().position(|count| *count > 0) {
        let place = &rules[circle].place;
        let problem = format!("must not apply a rule to the same value again without end; the rule is at `{place}`");
        return Err(invalid("schema", problem));
    }
    order.reverse();
    Ok(order)
}

/// The innermost rule on a way from the top that exceeds a limit.
fn place_of_excess<'r>(rules: &'r [Rule], costs: &[Cost], exceeds: &dyn Fn(&Cost) -> bool) -> &'r str {
    let mut seen = vec![false; rules.len()];
    let mut index = 0;
    loop {
        seen[index] = true;
        let rule = &rules[index];
        let parts =
            [&rule.same_value, &rule.named_fields, &rule.matching_fields, &rule.placed_items, &rule.every_value];
        match parts.into_iter().flatten().find(|part| !seen[**part] && exceeds(&costs[**part])) {
            Some(part) => index = *part,
            None => return &rule.place,
        }
    }
}
