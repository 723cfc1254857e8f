//! Evaluates condition expressions.
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

use crate::expression::{ExpressionError, Reader};
use crate::world::Item;

/// Whether the request's condition holds for the stored item.
pub fn evaluate_condition(request: &Value, item: &Item) -> Result<bool, ExpressionError> {
    let Some(expression) = request["ConditionExpression"].as_str() else { return Ok(true) };
    let mut reader = Reader::new(expression, request, item);
    let holds = read_or(&mut reader)?;
    match reader.peek() {
        None => Ok(holds),
        Some(word) => Err(format!("{word:?} follows the end of the condition")),
    }
}

// Both operands are always read, so that an invalid condition fails for every item.
fn read_or(reader: &mut Reader<'_>) -> Result<bool, ExpressionError> {
    let mut holds = read_and(reader)?;
    while reader.skip_if("OR") {
        holds |= read_and(reader)?;
    }
    Ok(holds)
}

fn read_and(reader: &mut Reader<'_>) -> Result<bool, ExpressionError> {
    let mut holds = read_not(reader)?;
    while reader.skip_if("AND") {
        holds &= read_not(reader)?;
    }
    Ok(holds)
}

fn read_not(reader: &mut Reader<'_>) -> Result<bool, ExpressionError> {
    if reader.skip_if("NOT") {
        return Ok(!read_not(reader)?);
    }
    if reader.skip_if("(") {
        let holds = read_or(reader)?;
        reader.expect(")")?;
        return Ok(holds);
    }
    for (function, expected) in [("attribute_exists", true), ("attribute_not_exists", false)] {
        if reader.skip_if(function) {
            reader.expect("(")?;
            let attribute = reader.read_attribute()?;
            reader.expect(")")?;
            return Ok(reader.stored_value(&attribute).is_some() == expected);
        }
    }
    read_comparison(reader)
}

fn read_comparison(reader: &mut Reader<'_>) -> Result<bool, ExpressionError> {
    let left = reader.read_operand()?;
    let operator = reader.next()?;
    let right = reader.read_operand()?;
    if operator.eq_ignore_ascii_case("BETWEEN") {
        reader.expect("AND")?;
        let upper = reader.read_operand()?;
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
        other => Err(format!("the benchmark's stand-in does not support the operator {other:?}")),
    }
}

/// Compares numbers by value and strings by their bytes. `None` if a value is missing
/// or the types differ.
fn compare(left: &Option<Value>, right: &Option<Value>) -> Option<Ordering> {
    let (left, right) = (left.as_ref()?, right.as_ref()?);
    let number = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<f64>().ok());
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(left["S"].as_str()?.cmp(right["S"].as_str()?)),
    }
}
