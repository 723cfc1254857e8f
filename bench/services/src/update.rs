//! Applies update expressions: SET, REMOVE and ADD. All operands are values of the
//! item before the update.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>

use serde_json::Value;

use crate::expression::{ExpressionError, Reader, add_numbers};
use crate::world::Item;

/// The item after the request's update.
pub fn apply_update(request: &Value, item: &Item) -> Result<Item, ExpressionError> {
    let expression = request["UpdateExpression"].as_str().unwrap_or_default();
    let mut reader = Reader::new(expression, request, item);
    let mut after = item.clone();
    while reader.peek().is_some() {
        let clause = reader.next()?;
        let change = match clause.to_ascii_uppercase().as_str() {
            "SET" => set_attribute,
            "REMOVE" => remove_attribute,
            "ADD" => add_to_attribute,
            _ => return Err(format!("the benchmark's stand-in does not support the clause {clause}")),
        };
        change(&mut reader, &mut after)?;
        while reader.skip_if(",") {
            change(&mut reader, &mut after)?;
        }
    }
    Ok(after)
}

fn set_attribute(reader: &mut Reader<'_>, after: &mut Item) -> Result<(), ExpressionError> {
    let attribute = reader.read_attribute()?;
    reader.expect("=")?;
    let missing = || format!("an operand of SET {attribute} does not exist");
    let mut value = reader.read_operand()?.ok_or_else(missing)?;
    for (operator, sign) in [("+", 1), ("-", -1)] {
        if reader.skip_if(operator) {
            let second = reader.read_operand()?.ok_or_else(missing)?;
            value = add_numbers(&value, &second, sign)?;
        }
    }
    after.insert(attribute, value);
    Ok(())
}

fn remove_attribute(reader: &mut Reader<'_>, after: &mut Item) -> Result<(), ExpressionError> {
    let attribute = reader.read_attribute()?;
    after.remove(&attribute);
    Ok(())
}

fn add_to_attribute(reader: &mut Reader<'_>, after: &mut Item) -> Result<(), ExpressionError> {
    let attribute = reader.read_attribute()?;
    let step = reader.read_operand()?.ok_or("the operand of ADD does not exist")?;
    let value = match reader.stored_value(&attribute) {
        Some(stored) => add_numbers(&stored, &step, 1)?,
        None => step,
    };
    after.insert(attribute, value);
    Ok(())
}
