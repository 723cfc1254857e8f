//! The rules of a schema as a graph: which rules each rule applies, to the same value or to
//! the values inside it. A reference is an edge and is never unrolled.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::request::{InvalidAnalysis, invalid};
use crate::domain::limits::SCHEMA_RULES_MAX;

/// One rule: an object or a boolean that is a schema.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// JSON Pointer into the schema.
    pub place: String,
    /// Rules for the same value.
    pub same_value: Vec<usize>,
    /// Rules for fields of an object, of which one at most applies to a field.
    pub named_fields: Vec<usize>,
    /// Rules for fields of an object, of which several may apply to a field.
    pub matching_fields: Vec<usize>,
    /// Rules for items of an array, of which one at most applies to an item.
    pub placed_items: Vec<usize>,
    /// Rules that may apply to every value inside the value.
    pub every_value: Vec<usize>,
    /// Whether the rule has `unevaluatedProperties` or `unevaluatedItems`: the validator then
    /// evaluates the rules for the same value again.
    pub is_unevaluated: bool,
    /// The work of the rule alone, as a number of simple rules.
    pub work: u64,
}

/// The rules of a schema. Rule 0 is the schema itself.
#[derive(Debug)]
pub(super) struct SchemaGraph<'s> {
    pub rules: Vec<Rule>,
    /// Each regular expression with its place.
    pub patterns: Vec<(String, &'s str)>,
}

impl<'s> SchemaGraph<'s> {
    /// Reads the rules of a schema. Work and memory grow with the size of the schema.
    ///
    /// # Errors
    /// [`InvalidAnalysis`], which names the place: too many rules, or a reference that does
    /// not lead to a place in the schema.
    pub fn read(schema: &'s Value) -> Result<Self, InvalidAnalysis> {
        let mut reader = Reader {
            schema,
            id: schema.get("$id").and_then(Value::as_str).map(|id| id.trim_end_matches('#')),
            anchors: find_anchors(schema)?,
            indexes: HashMap::new(),
            unread: Vec::new(),
            graph: Self { rules: Vec::new(), patterns: Vec::new() },
        };
        reader.rule(schema, String::new());
        while let Some((index, value)) = reader.unread.pop() {
            if reader.graph.rules.len() > SCHEMA_RULES_MAX {
                return Err(invalid("schema", format!("must have at most {SCHEMA_RULES_MAX} rules")));
            }
            if let Value::Object(keywords) = value {
                reader.read_rule(index, keywords)?;
            }
        }
        Ok(reader.graph)
    }
}

struct Reader<'s> {
    schema: &'s Value,
    /// The `$id` of the whole schema.
    id: Option<&'s str>,
    anchors: HashMap<&'s str, (String, &'s Value)>,
    /// The index of each rule by its address, which does not change while the schema is
    /// borrowed.
    indexes: HashMap<usize, usize>,
    unread: Vec<(usize, &'s Value)>,
    graph: SchemaGraph<'s>,
}

impl<'s> Reader<'s> {
    /// The index of the rule at a place.
    fn rule(&mut self, value: &'s Value, place: String) -> usize {
        let address = std::ptr::from_ref(value).addr();
        let new = self.graph.rules.len();
        let index = *self.indexes.entry(address).or_insert(new);
        if index == new {
            self.graph.rules.push(Rule { place, work: 1, ..Rule::default() });
            self.unread.push((index, value));
        }
        index
    }

    fn read_rule(&mut self, index: usize, keywords: &'s Map<String, Value>) -> Result<(), InvalidAnalysis> {
        let place = self.graph.rules[index].place.clone();
        let mut rule = Rule { place: place.clone(), work: 1, ..Rule::default() };
        for (keyword, value) in keywords {
            let at = format!("{place}/{}", escape(keyword));
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                    rule.same_value.push(self.referenced_rule(reference, &at)?);
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(_)) => rule.same_value.extend(self.rules_in(value, &at)),
                ("not" | "if" | "then" | "else" | "contentSchema", _) => rule.same_value.push(self.rule(value, at)),
                ("dependentSchemas" | "dependencies", Value::Object(_)) => {
                    rule.same_value.extend(self.rules_in(value, &at));
                }
                ("properties", Value::Object(fields)) => {
                    rule.work += fields.len() as u64 / 8;
                    rule.named_fields.extend(self.rules_in(value, &at));
                }
                ("additionalProperties", _) => rule.named_fields.push(self.rule(value, at)),
                ("patternProperties", Value::Object(fields)) => {
                    for pattern in fields.keys() {
                        self.graph.patterns.push((format!("{at}/{}", escape(pattern)), pattern));
                    }
                    rule.matching_fields.extend(self.rules_in(value, &at));
                }
                ("pattern", Value::String(pattern)) => self.graph.patterns.push((at, pattern)),
                ("prefixItems", Value::Array(_)) | ("items", Value::Array(_)) => {
                    rule.placed_items.extend(self.rules_in(value, &at));
                }
                ("items" | "additionalItems", _) => rule.placed_items.push(self.rule(value, at)),
                ("contains" | "propertyNames", _) => rule.every_value.push(self.rule(value, at)),
                ("unevaluatedProperties" | "unevaluatedItems", _) => {
                    rule.is_unevaluated = true;
                    rule.every_value.push(self.rule(value, at));
                }
                ("enum" | "required", Value::Array(values)) => rule.work += values.len() as u64 / 8,
                ("$defs" | "definitions", Value::Object(_)) => {
                    self.rules_in(value, &at);
                }
                _ => {}
            }
        }
        self.graph.rules[index] = rule;
        Ok(())
    }

    /// The rules of a list, or of an object by name. Lists of names, as in `dependencies`,
    /// are no rules.
    fn rules_in(&mut self, value: &'s Value, at: &str) -> Vec<usize> {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().map(|(number, item)| self.rule(item, format!("{at}/{number}"))).collect()
            }
            Value::Object(fields) => fields
                .iter()
                .filter(|(_, field)| !field.is_array())
                .map(|(name, field)| self.rule(field, format!("{at}/{}", escape(name))))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn referenced_rule(&mut self, reference: &str, at: &str) -> Result<usize, InvalidAnalysis> {
        let (document, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if !document.is_empty() && Some(document) != self.id {
            return Err(invalid("schema", format!("must have no reference to another document; one is at `{at}`")));
        }
        let fragment = percent_decode_str(fragment).decode_utf8_lossy().into_owned();
        let found = match self.anchors.get(fragment.as_str()) {
            Some(found) => Some(found.clone()),
            None => self.schema.pointer(&fragment).map(|value| (fragment, value)),
        };
        match found {
            Some((place, value)) => Ok(self.rule(value, place)),
            None => Err(invalid("schema", format!("must have the target of the reference at `{at}`"))),
        }
    }
}

/// The places that have a name. A schema with a document or a dialect inside is refused: its
/// references would mean other places.
fn find_anchors(schema: &Value) -> Result<HashMap<&str, (String, &Value)>, InvalidAnalysis> {
    let mut anchors = HashMap::new();
    let mut unread = vec![(String::new(), schema)];
    while let Some((place, value)) = unread.pop() {
        match value {
            Value::Object(fields) => {
                for keyword in ["$id", "$schema"] {
                    if !place.is_empty() && fields.get(keyword).is_some_and(Value::is_string) {
                        let problem = format!("must have `{keyword}` at the top level alone; one is at `{place}`");
                        return Err(invalid("schema", problem));
                    }
                }
                let names: std::collections::BTreeSet<&str> =
                    ["$anchor", "$dynamicAnchor"].iter().filter_map(|keyword| fields.get(*keyword)?.as_str()).collect();
                for name in names {
                    if anchors.insert(name, (place.clone(), value)).is_some() {
                        return Err(invalid(
                            "schema",
                            format!("must have each anchor once; one is again at `{place}`"),
                        ));
                    }
                }
                unread.extend(fields.iter().map(|(name, field)| (format!("{place}/{}", escape(name)), field)));
            }
            Value::Array(items) => {
                unread.extend(items.iter().enumerate().map(|(number, item)| (format!("{place}/{number}"), item)));
            }
            _ => {}
        }
    }
    Ok(anchors)
}

/// Escapes one step of a JSON Pointer.
pub(super) fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}
