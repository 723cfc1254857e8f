//! What condition and update expressions of DynamoDB's have in common: words,
//! placeholders, and what an operand is worth.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>

use serde_json::{Map, Value, json};

use crate::world::Item;

/// An expression, read word by word against the row as it is.
pub struct Reader<'a> {
    words: Vec<String>,
    place: usize,
    names: Option<&'a Map<String, Value>>,
    values: Option<&'a Map<String, Value>>,
    item: &'a Item,
}

/// What is wrong with an expression.
pub type Wrong = String;

impl<'a> Reader<'a> {
    pub fn new(expression: &str, request: &'a Value, item: &'a Item) -> Self {
        Self {
            words: words(expression),
            place: 0,
            names: request["ExpressionAttributeNames"].as_object(),
            values: request["ExpressionAttributeValues"].as_object(),
            item,
        }
    }

    pub fn peek(&self) -> Option<&str> {
        self.words.get(self.place).map(String::as_str)
    }

    pub fn next(&mut self) -> Result<String, Wrong> {
        let word = self.words.get(self.place).cloned().ok_or("the expression ends too early")?;
        self.place += 1;
        Ok(word)
    }

    /// Takes the next word if it is this one, in any case.
    pub fn took(&mut self, wanted: &str) -> bool {
        let is_next = self.peek().is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        self.place += usize::from(is_next);
        is_next
    }

    pub fn expect(&mut self, wanted: &str) -> Result<(), Wrong> {
        if self.took(wanted) { Ok(()) } else { Err(format!("{wanted} is wanted before {:?}", self.peek())) }
    }

    /// The attribute that a word names; whole attributes alone.
    pub fn attribute(&mut self) -> Result<String, Wrong> {
        let word = self.next()?;
        if self.peek().is_some_and(|next| next == "." || next == "[") {
            return Err("the bench's stand-in knows no nested attributes".to_owned());
        }
        if !word.starts_with('#') {
            return if word.starts_with(char::is_alphabetic) {
                Ok(word)
            } else {
                Err(format!("{word} is no attribute"))
            };
        }
        let named = self.names.and_then(|names| names.get(&word)).and_then(Value::as_str);
        named.map(str::to_owned).ok_or_else(|| format!("{word} is not among the names"))
    }

    /// What an attribute was before this write.
    pub fn before(&self, attribute: &str) -> Option<Value> {
        self.item.get(attribute).cloned()
    }

    /// A value's placeholder, an attribute, or `if_not_exists` of the two.
    /// `None` is an attribute that the row does not have.
    pub fn operand(&mut self) -> Result<Option<Value>, Wrong> {
        if self.peek().is_some_and(|word| word.starts_with(':')) {
            let word = self.next()?;
            let value = self.values.and_then(|values| values.get(&word));
            return value.cloned().map(Some).ok_or_else(|| format!("{word} is not among the values"));
        }
        if self.took("if_not_exists") {
            self.expect("(")?;
            let attribute = self.attribute()?;
            self.expect(",")?;
            let otherwise = self.operand()?;
            self.expect(")")?;
            return Ok(self.before(&attribute).or(otherwise));
        }
        let attribute = self.attribute()?;
        Ok(self.before(&attribute))
    }
}

/// A sum of two of DynamoDB's numbers. The rows of the bench hold whole ones.
pub fn sum(left: &Value, right: &Value, sign: i64) -> Result<Value, Wrong> {
    let whole = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<i64>().ok());
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Ok(json!({"N": (left + sign * right).to_string()})),
        _ => Err("only whole numbers can be added".to_owned()),
    }
}

fn words(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for c in expression.chars() {
        let belongs = c.is_alphanumeric() || matches!(c, '_' | '#' | ':');
        // `<=`, `>=` and `<>` are one word.
        let joins = words.last().is_some_and(|last| matches!((last.as_str(), c), ("<", '=' | '>') | (">", '=')));
        if (belongs && open) || (joins && !open) {
            words.last_mut().expect("there is one").push(c);
        } else if !c.is_whitespace() {
            words.push(c.to_string());
        }
        open = belongs;
    }
    words
}
