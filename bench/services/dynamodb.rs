//! A stand-in for DynamoDB: one table in memory, whose key is `job_id`, and the
//! operations on one row.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations.html>

use serde_json::{Map, Value, json};

use crate::condition::holds;
use crate::services::Done;
use crate::update::updated;
use crate::world::{Item, State};

const KEY: &str = "job_id";

/// An error's code, its message, and the row that a condition was refused by.
pub struct Refused {
    pub code: &'static str,
    message: String,
    item: Option<Item>,
}

impl Refused {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), item: None }
    }

    pub fn body(&self) -> Value {
        let mut body =
            json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{}", self.code), "message": self.message});
        if let Some(item) = &self.item {
            body["Item"] = json!(item);
        }
        body
    }
}

/// Carries out one operation.
pub fn carry_out(state: &mut State, operation: &str, request: &Value) -> Done {
    let place = if operation == "PutItem" { &request["Item"] } else { &request["Key"] };
    let Some(key) = place[KEY]["S"].as_str().map(str::to_owned) else {
        let refused = Refused::new("ValidationException", "the bench's table has the key job_id, a text");
        return Done { answer: Err(refused), key: None, status: None };
    };
    let answer = match operation {
        "GetItem" => Ok(get(state, &key)),
        "PutItem" | "UpdateItem" | "DeleteItem" => write(state, operation, request, &key),
        _ => Err(Refused::new("UnknownOperationException", format!("the bench's stand-in has no {operation}"))),
    };
    let written = answer.is_ok() && operation != "GetItem";
    let status = state.items.get(&key).filter(|_| written).and_then(|item| item.get("status")?["S"].as_str());
    Done { answer, status: status.map(str::to_owned), key: Some(key) }
}

fn get(state: &State, key: &str) -> Value {
    state.items.get(key).map_or_else(|| json!({}), |item| json!({"Item": item}))
}

fn write(state: &mut State, operation: &str, request: &Value, key: &str) -> Result<Value, Refused> {
    let wrong = |problem| Refused::new("ValidationException", problem);
    let before = state.items.get(key).cloned();
    let row = before.clone().unwrap_or_default();
    if !holds(request, &row).map_err(wrong)? {
        let tells = request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD";
        let refused = Refused::new("ConditionalCheckFailedException", "The conditional request failed");
        return Err(Refused { item: before.filter(|_| tells), ..refused });
    }
    let after = match operation {
        "PutItem" => Some(request["Item"].as_object().cloned().unwrap_or_default()),
        "UpdateItem" => {
            let mut after = updated(request, &row).map_err(wrong)?;
            after.insert(KEY.to_owned(), json!({"S": key}));
            Some(after)
        }
        _ => None,
    };
    let answer = returned(request, before, after.as_ref());
    match after {
        Some(after) => state.items.insert(key.to_owned(), after),
        None => state.items.remove(key),
    };
    Ok(answer)
}

fn returned(request: &Value, before: Option<Item>, after: Option<&Item>) -> Value {
    let attributes = match request["ReturnValues"].as_str() {
        Some("ALL_NEW") => after.cloned(),
        Some("ALL_OLD") => before,
        _ => None,
    };
    attributes.map_or_else(|| Value::Object(Map::new()), |item| json!({"Attributes": item}))
}
