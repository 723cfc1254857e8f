//! Update expressions: SET, REMOVE and ADD. All operands are what the row was
//! before.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>

use serde_json::Value;

use crate::expression::{Reader, Wrong, sum};
use crate::world::Item;

/// The row after a request's update.
pub fn updated(request: &Value, item: &Item) -> Result<Item, Wrong> {
    let expression = request["UpdateExpression"].as_str().unwrap_or_default();
    let mut reader = Reader::new(expression, request, item);
    let mut after = item.clone();
    while reader.peek().is_some() {
        let clause = reader.next()?;
        let change = match clause.to_ascii_uppercase().as_str() {
            "SET" => set,
            "REMOVE" => remove,
            "ADD" => add,
            _ => return Err(format!("{clause} is no clause that the bench's stand-in knows")),
        };
        change(&mut reader, &mut after)?;
        while reader.took(",") {
            change(&mut reader, &mut after)?;
        }
    }
    Ok(after)
}

fn set(reader: &mut Reader<'_>, after: &mut Item) -> Result<(), Wrong> {
    let attribute = reader.attribute()?;
    reader.expect("=")?;
    let missing = || format!("what {attribute} is set to is not there");
    let mut value = reader.operand()?.ok_or_else(missing)?;
    for (word, sign) in [("+", 1), ("-", -1)] {
        if reader.took(word) {
            let second = reader.operand()?.ok_or_else(missing)?;
            value = sum(&value, &second, sign)?;
        }
    }
    after.insert(attribute, value);
    Ok(())
}

fn remove(reader: &mut Reader<'_>, after: &mut Item) -> Result<(), Wrong> {
    let attribute = reader.attribute()?;
    after.remove(&attribute);
    Ok(())
}

fn add(reader: &mut Reader<'_>, after: &mut Item) -> Result<(), Wrong> {
    let attribute = reader.attribute()?;
    let step = reader.operand()?.ok_or("what is added is not there")?;
    let value = match reader.before(&attribute) {
        Some(before) => sum(&before, &step, 1)?,
        None => step,
    };
    after.insert(attribute, value);
    Ok(())
}
