//! Builds DynamoDB update expressions with a placeholder for every name and value.
//!
//! An expression therefore contains no reserved word and no text of a caller.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// Builds one update expression. Methods take the plain name of an attribute and derive
/// the placeholders `#name` and `:name`.
pub(super) struct Update {
    sets: Vec<String>,
    removes: Vec<String>,
    pub names: HashMap<String, String>,
    pub values: HashMap<String, AttributeValue>,
}

/// The capacity for the names and values of most updates.
const CAPACITY: usize = 16;

impl Update {
    pub fn new() -> Self {
        let (names, values) = (HashMap::with_capacity(CAPACITY), HashMap::with_capacity(CAPACITY));
        Self { sets: Vec::with_capacity(CAPACITY), removes: Vec::new(), names, values }
    }

    pub fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(attribute, value));
        self.sets.push([&name, " = ", &value].concat());
        self
    }

    pub fn set_some(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self,
        }
    }

    pub fn set_if_absent(mut self, attribute: &str, value: Option<AttributeValue>) -> Self {
        let Some(value) = value else { return self };
        let (name, value) = (self.name(attribute), self.value(attribute, value));
        self.sets.push([&name, " = if_not_exists(", &name, ", ", &value, ")"].concat());
        self
    }

    /// Sets an attribute: always if `replaces`, else only if it is missing.
    pub fn assign(&mut self, attribute: &str, value: AttributeValue, replaces: bool) {
        let (name, value) = (self.name(attribute), self.value(attribute, value));
        self.sets.push(match replaces {
            true => [&name, " = ", &value].concat(),
            false => [&name, " = if_not_exists(", &name, ", ", &value, ")"].concat(),
        });
    }

    /// Adds a positive or negative step to a number; a missing number counts as 0.
    pub fn step(mut self, attribute: &str, step: i64) -> Self {
        let name = self.name(attribute);
        let zero = self.value("zero", number(0));
        let value = self.value(&[attribute, "_step"].concat(), number(step));
        self.sets.push([&name, " = if_not_exists(", &name, ", ", &zero, ") + ", &value].concat());
        self
    }

    /// Sets an attribute to the value that `other` had before this write, or to `otherwise`
    /// if `other` was missing.
    pub fn set_from(mut self, attribute: &str, other: &str, otherwise: AttributeValue) -> Self {
        let (name, other) = (self.name(attribute), self.name(other));
        let value = self.value(&[attribute, "_otherwise"].concat(), otherwise);
        self.sets.push([&name, " = if_not_exists(", &other, ", ", &value, ")"].concat());
        self
    }

    pub fn remove(mut self, attributes: &[&str]) -> Self {
        for attribute in attributes {
            let name = self.name(attribute);
            self.removes.push(name);
        }
        self
    }

    /// Returns the placeholder of an attribute's name, for conditions.
    pub fn name(&mut self, attribute: &str) -> String {
        let placeholder = ["#", attribute].concat();
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// Returns the placeholder `:word` of a value, for conditions.
    pub fn value(&mut self, word: &str, value: AttributeValue) -> String {
        let placeholder = [":", word].concat();
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub fn expression(&self) -> String {
        let sets = self.sets.join(", ");
        match (self.sets.is_empty(), self.removes.is_empty()) {
            (_, true) => ["SET ", &sets].concat(),
            (true, false) => ["REMOVE ", &self.removes.join(", ")].concat(),
            (false, false) => ["SET ", &sets, " REMOVE ", &self.removes.join(", ")].concat(),
        }
    }
}

pub(super) fn number(n: impl ToString) -> AttributeValue {
    AttributeValue::N(n.to_string())
}

pub(super) fn text(s: impl Into<String>) -> AttributeValue {
    AttributeValue::S(s.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn update_expression_has_only_placeholders() {
        let update = Update::new()
            .set("status", text("pending"))
            .set_if_absent("batch_id", None)
            .set_if_absent("priority", Some(text("high")))
            .step("charged_attempts", -1)
            .set_from("claimed_from", "status", text("pending"))
            .remove(&["error"]);
        assert_eq!(
            update.expression(),
            "SET #status = :status, #priority = if_not_exists(#priority, :priority), \
             #charged_attempts = if_not_exists(#charged_attempts, :zero) + :charged_attempts_step, \
             #claimed_from = if_not_exists(#status, :claimed_from_otherwise) REMOVE #error"
        );
        assert_eq!(update.names.len(), 5);
        assert_eq!(update.values.len(), 5);
    }
}
