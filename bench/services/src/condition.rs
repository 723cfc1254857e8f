//! Condition expressions.
//!
//! ```text
//! or      := and (OR and)*
//! and     := not (AND not)*
//! not     := NOT not | ( or ) | function | operand compare operand | operand BETWEEN operand AND operand
//! ```
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>

use std::cmp::Ordering;

use serde_json::Value;

use crate::expression::{Reader, Wrong};
use crate::world::Item;

/// Whether a request's condition holds for the row as it is.
pub fn holds(request: &Value, item: &Item) -> Result<bool, Wrong> {
    let Some(expression) = request["ConditionExpression"].as_str() else { return Ok(true) };
    let mut reader = Reader::new(expression, request, item);
    let holds = either(&mut reader)?;
    match reader.peek() {
        None => Ok(holds),
        Some(word) => Err(format!("{word:?} stands after the condition's end")),
    }
}

// Both sides are always read: a condition that is wrong is refused whatever the row holds.
fn either(reader: &mut Reader<'_>) -> Result<bool, Wrong> {
    let mut holds = both(reader)?;
    while reader.took("OR") {
        holds |= both(reader)?;
    }
    Ok(holds)
}

fn both(reader: &mut Reader<'_>) -> Result<bool, Wrong> {
    let mut holds = one(reader)?;
    while reader.took("AND") {
        holds &= one(reader)?;
    }
    Ok(holds)
}

fn one(reader: &mut Reader<'_>) -> Result<bool, Wrong> {
    if reader.took("NOT") {
        return Ok(!one(reader)?);
    }
    if reader.took("(") {
        let holds = either(reader)?;
        reader.expect(")")?;
        return Ok(holds);
    }
    for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
        if reader.took(function) {
            reader.expect("(")?;
            let attribute = reader.attribute()?;
            reader.expect(")")?;
            return Ok(reader.before(&attribute).is_some() == wanted);
        }
    }
    comparison(reader)
}

fn comparison(reader: &mut Reader<'_>) -> Result<bool, Wrong> {
    let left = reader.operand()?;
    let operator = reader.next()?;
    let right = reader.operand()?;
    if operator.eq_ignore_ascii_case("BETWEEN") {
        reader.expect("AND")?;
        let upper = reader.operand()?;
        let above = compare(&left, &right).is_some_and(Ordering::is_ge);
        return Ok(above && compare(&left, &upper).is_some_and(Ordering::is_le));
    }
    let compared = compare(&left, &right);
    match operator.as_str() {
        "=" => Ok(left.is_some() && left == right),
        "<>" => Ok(left != right),
        "<" => Ok(compared.is_some_and(Ordering::is_lt)),
        "<=" => Ok(compared.is_some_and(Ordering::is_le)),
        ">" => Ok(compared.is_some_and(Ordering::is_gt)),
        ">=" => Ok(compared.is_some_and(Ordering::is_ge)),
        other => Err(format!("{other:?} is no comparison that the bench's stand-in knows")),
    }
}

/// Numbers by their size, texts by their bytes; what is missing or of another
/// type compares to nothing.
fn compare(left: &Option<Value>, right: &Option<Value>) -> Option<Ordering> {
    let (left, right) = (left.as_ref()?, right.as_ref()?);
    let number = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<f64>().ok());
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(left["S"].as_str()?.cmp(right["S"].as_str()?)),
    }
}
