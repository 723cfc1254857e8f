//! The common parts of DynamoDB's condition and update expressions: tokens,
//! placeholders and operands.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>

use serde_json::{Map, Value, json};

use crate::world::Item;

/// Reads an expression token by token, with the values of the stored item.
pub struct Reader<'a> {
    tokens: Vec<String>,
    index: usize,
    names: Option<&'a Map<String, Value>>,
    values: Option<&'a Map<String, Value>>,
    item: &'a Item,
}

/// The message of an invalid expression.
pub type ExpressionError = String;

impl<'a> Reader<'a> {
    pub fn new(expression: &str, request: &'a Value, item: &'a Item) -> Self {
        Self {
            tokens: split_tokens(expression),
            index: 0,
            names: request["ExpressionAttributeNames"].as_object(),
            values: request["ExpressionAttributeValues"].as_object(),
            item,
        }
    }

    pub fn peek(&self) -> Option<&str> {
        self.tokens.get(self.index).map(String::as_str)
    }

    pub fn next(&mut self) -> Result<String, ExpressionError> {
        let token = self.tokens.get(self.index).cloned().ok_or("the expression ends too early")?;
        self.index += 1;
        Ok(token)
    }

    /// Consumes the next token if it equals `token`, ignoring case.
    pub fn skip_if(&mut self, token: &str) -> bool {
        let is_next = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(token));
        self.index += usize::from(is_next);
        is_next
    }

    pub fn expect(&mut self, token: &str) -> Result<(), ExpressionError> {
        if self.skip_if(token) { Ok(()) } else { Err(format!("expected {token}, not {:?}", self.peek())) }
    }

    /// Reads the name of a top-level attribute.
    pub fn read_attribute(&mut self) -> Result<String, ExpressionError> {
        let token = self.next()?;
        if self.peek().is_some_and(|next| next == "." || next == "[") {
            return Err("the benchmark's stand-in does not support nested attributes".to_owned());
        }
        if !token.starts_with('#') {
            return if token.starts_with(char::is_alphabetic) {
                Ok(token)
            } else {
                Err(format!("{token} is not an attribute name"))
            };
        }
        let name = self.names.and_then(|names| names.get(&token)).and_then(Value::as_str);
        name.map(str::to_owned).ok_or_else(|| format!("ExpressionAttributeNames has no {token}"))
    }

    /// The value of an attribute before the write.
    pub fn stored_value(&self, attribute: &str) -> Option<Value> {
        self.item.get(attribute).cloned()
    }

    /// Reads a value placeholder, an attribute, or an `if_not_exists`. `None` is an
    /// attribute that the item does not have.
    pub fn read_operand(&mut self) -> Result<Option<Value>, ExpressionError> {
        if self.peek().is_some_and(|token| token.starts_with(':')) {
            let token = self.next()?;
            let value = self.values.and_then(|values| values.get(&token));
            return value.cloned().map(Some).ok_or_else(|| format!("ExpressionAttributeValues has no {token}"));
        }
        if self.skip_if("if_not_exists") {
            self.expect("(")?;
            let attribute = self.read_attribute()?;
            self.expect(",")?;
            let otherwise = self.read_operand()?;
            self.expect(")")?;
            return Ok(self.stored_value(&attribute).or(otherwise));
        }
        let attribute = self.read_attribute()?;
        Ok(self.stored_value(&attribute))
    }
}

/// Adds two of DynamoDB's numbers; `sign` -1 subtracts. The benchmark stores whole
/// numbers only.
pub fn add_numbers(left: &Value, right: &Value, sign: i64) -> Result<Value, ExpressionError> {
    let whole = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<i64>().ok());
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Ok(json!({"N": (left + sign * right).to_string()})),
        _ => Err("both operands must be whole numbers".to_owned()),
    }
}

fn split_tokens(expression: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut open = false;
    for c in expression.chars() {
        let is_name_char = c.is_alphanumeric() || matches!(c, '_' | '#' | ':');
        // `<=`, `>=` and `<>` are single tokens.
        let is_second_char =
            tokens.last().is_some_and(|last| matches!((last.as_str(), c), ("<", '=' | '>') | (">", '=')));
        if (is_name_char && open) || (is_second_char && !open) {
            tokens.last_mut().expect("a token has begun").push(c);
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
        open = is_name_char;
    }
    tokens
}
