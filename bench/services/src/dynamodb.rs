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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: Value) -> State {
        let mut state = State::default();
        state.items.insert("a".to_owned(), fields.as_object().cloned().unwrap_or_default());
        state
    }

    fn update(state: &mut State, expression: &str, condition: &str) -> Done {
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
        carry_out(state, "UpdateItem", &request)
    }

    #[test]
    fn a_condition_is_read_by_the_rules_of_precedence_and_numbers_by_their_size() {
        let found = json!({"status": {"S": "new"}, "n": {"N": "9"}});
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
            let done = update(&mut row(found.clone()), "SET #n = :1", condition);
            assert_eq!(done.answer.is_ok(), holds, "{condition}");
        }
    }

    #[test]
    fn a_write_that_is_refused_changes_nothing_and_gives_the_row_back() {
        let found = json!({"status": {"S": "new"}});
        let mut state = row(found.clone());
        let refused = update(&mut state, "SET #s = :done", "#s = :done").answer.expect_err("refused");
        assert_eq!((refused.code, refused.body()["Item"].clone()), ("ConditionalCheckFailedException", found.clone()));
        assert_eq!(json!(state.items["a"]), found);
    }

    #[test]
    fn an_update_reads_the_row_as_it_was_before() {
        let mut state = row(json!({"status": {"S": "new"}, "old": {"S": "x"}}));
        let expression =
            "SET before = if_not_exists(#s, :done), #s = :done, #n = if_not_exists(#n, :0) + :1 REMOVE old ADD m :9";
        let done = update(&mut state, expression, "#s = :new");
        assert_eq!(done.status.as_deref(), Some("done"));
        let expected = json!({
            KEY: {"S": "a"}, "before": {"S": "new"}, "status": {"S": "done"}, "n": {"N": "1"}, "m": {"N": "9"}
        });
        assert_eq!(json!(state.items["a"]), expected);
    }

    #[test]
    fn what_the_stand_in_does_not_know_is_refused_and_not_guessed() {
        for (expression, condition) in [
            ("SET #s.#n = :1", "#s = :new"),
            ("DELETE #s :1", "#s = :new"),
            ("SET #s = :none", "#s = :new"),
            ("SET #s = :1", "#x = :new"),
            ("SET #s = :1", "contains(#s, :new)"),
            ("SET #s = :1", "#s = :new #s"),
        ] {
            let refused = update(&mut row(json!({"status": {"S": "new"}})), expression, condition).answer;
            assert_eq!(
                refused.err().map(|refused| refused.code),
                Some("ValidationException"),
                "{expression}, {condition}"
            );
        }
    }
}
