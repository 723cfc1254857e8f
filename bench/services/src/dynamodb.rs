//! A stand-in for DynamoDB: one table in memory, with the key `job_id`, and the
//! operations on one item.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations.html>

use serde_json::{Map, Value, json};

use crate::condition::evaluate_condition;
use crate::services::OperationResult;
use crate::update::apply_update;
use crate::world::{Item, State};

const KEY: &str = "job_id";

/// An error response.
pub struct ServiceError {
    pub code: &'static str,
    message: String,
    /// The stored item, if a condition failed and the request asked for it.
    item: Option<Item>,
}

impl ServiceError {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), item: None }
    }

    pub fn unsupported(operation: &str) -> Self {
        Self::new("UnknownOperationException", format!("the benchmark's stand-in does not support {operation}"))
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

/// Executes one operation.
pub fn execute(state: &mut State, operation: &str, request: &Value) -> OperationResult {
    let attributes = if operation == "PutItem" { &request["Item"] } else { &request["Key"] };
    let Some(key) = attributes[KEY]["S"].as_str().map(str::to_owned) else {
        let error = ServiceError::new("ValidationException", "the key job_id must be a string");
        return OperationResult { answer: Err(error), key: None, status: None };
    };
    let answer = match operation {
        "GetItem" => Ok(get_item(state, &key)),
        "PutItem" | "UpdateItem" | "DeleteItem" => write_item(state, operation, request, &key),
        _ => Err(ServiceError::unsupported(operation)),
    };
    let written = answer.is_ok() && operation != "GetItem";
    let status = state.items.get(&key).filter(|_| written).and_then(|item| item.get("status")?["S"].as_str());
    OperationResult { answer, status: status.map(str::to_owned), key: Some(key) }
}

fn get_item(state: &State, key: &str) -> Value {
    state.items.get(key).map_or_else(|| json!({}), |item| json!({"Item": item}))
}

fn write_item(state: &mut State, operation: &str, request: &Value, key: &str) -> Result<Value, ServiceError> {
    let invalid = |problem| ServiceError::new("ValidationException", problem);
    let before = state.items.get(key).cloned();
    let item = before.clone().unwrap_or_default();
    if !evaluate_condition(request, &item).map_err(invalid)? {
        let returns_item = request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD";
        let error = ServiceError::new("ConditionalCheckFailedException", "The conditional request failed");
        return Err(ServiceError { item: before.filter(|_| returns_item), ..error });
    }
    let after = match operation {
        "PutItem" => Some(request["Item"].as_object().cloned().unwrap_or_default()),
        "UpdateItem" => {
            let mut after = apply_update(request, &item).map_err(invalid)?;
            after.insert(KEY.to_owned(), json!({"S": key}));
            Some(after)
        }
        _ => None,
    };
    let answer = return_values(request, before, after.as_ref());
    match after {
        Some(after) => state.items.insert(key.to_owned(), after),
        None => state.items.remove(key),
    };
    Ok(answer)
}

fn return_values(request: &Value, before: Option<Item>, after: Option<&Item>) -> Value {
    let attributes = match request["ReturnValues"].as_str() {
        Some("ALL_NEW") => after.cloned(),
        Some("ALL_OLD") => before,
        _ => None,
    };
    attributes.map_or_else(|| Value::Object(Map::new()), |item| json!({"Attributes": item}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_with_item(fields: Value) -> State {
        let mut state = State::default();
        state.items.insert("a".to_owned(), fields.as_object().cloned().unwrap_or_default());
        state
    }

    fn update(state: &mut State, expression: &str, condition: &str) -> OperationResult {
        let request = json!({
            "Key": {KEY: {"S": "a"}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#s": "status", "#n": "n", "#id": KEY},
            "ExpressionAttributeValues": {
                ":done": {"S": "done"}, ":new": {"S": "new"}, ":0": {"N": "0"}, ":1": {"N": "1"}, ":9": {"N": "9"}, ":10": {"N": "10"}
            },
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        });
        execute(state, "UpdateItem", &request)
    }

    #[test]
    fn condition_follows_precedence_and_compares_numbers() {
        let stored = json!({"status": {"S": "new"}, "n": {"N": "9"}});
        for (condition, holds) in [
            ("#s = :new", true),
            ("#s <> :new", false),
            ("attribute_not_exists(#id)", true),
            ("attribute_exists(#s) AND NOT #n >= :10", true),
            ("#n < :10", true),
            ("#n > :10", false),
            ("#s = :new OR #s = :done AND #n = :10", true),
            ("(#s = :new OR #s = :done) AND #n = :10", false),
            ("#n BETWEEN :9 AND :10", true),
            ("#n BETWEEN :0 AND :1", false),
            ("missing < :10", false),
            ("missing = missing", false),
        ] {
            let result = update(&mut state_with_item(stored.clone()), "SET #n = :1", condition);
            assert_eq!(result.answer.is_ok(), holds, "{condition}");
        }
    }

    #[test]
    fn failed_condition_changes_nothing_and_returns_the_item() {
        let stored = json!({"status": {"S": "new"}});
        let mut state = state_with_item(stored.clone());
        let error = update(&mut state, "SET #s = :done", "#s = :done").answer.expect_err("the condition fails");
        assert_eq!((error.code, error.body()["Item"].clone()), ("ConditionalCheckFailedException", stored.clone()));
        assert_eq!(json!(state.items["a"]), stored);
    }

    #[test]
    fn update_reads_the_values_before_the_update() {
        let mut state = state_with_item(json!({"status": {"S": "new"}, "old": {"S": "x"}}));
        let expression =
            "SET before = if_not_exists(#s, :done), #s = :done, #n = if_not_exists(#n, :0) + :1 REMOVE old ADD m :9";
        let result = update(&mut state, expression, "#s = :new");
        assert_eq!(result.status.as_deref(), Some("done"));
        let expected = json!({
            KEY: {"S": "a"}, "before": {"S": "new"}, "status": {"S": "done"}, "n": {"N": "1"}, "m": {"N": "9"}
        });
        assert_eq!(json!(state.items["a"]), expected);
    }

    #[test]
    fn unsupported_expression_is_rejected() {
        for (expression, condition) in [
            ("SET #s.#n = :1", "#s = :new"),
            ("DELETE #s :1", "#s = :new"),
            ("SET #s = :none", "#s = :new"),
            ("SET #s = :1", "#x = :new"),
            ("SET #s = :1", "contains(#s, :new)"),
            ("SET #s = :1", "#s = :new #s"),
        ] {
            let result = update(&mut state_with_item(json!({"status": {"S": "new"}})), expression, condition);
            assert_eq!(
                result.answer.err().map(|error| error.code),
                Some("ValidationException"),
                "{expression}, {condition}"
            );
        }
    }
}
