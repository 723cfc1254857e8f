//! The stand-ins' way in: DynamoDB and SQS by the name of their operation, S3 by
//! its path. Every request is written down.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::dynamodb::{self, Refused};
use crate::world::{Request, Shared, monotonic_ns};

/// What an operation came to.
pub struct Done {
    pub answer: Result<Value, Refused>,
    pub key: Option<String>,
    pub status: Option<String>,
}

/// DynamoDB and SQS: JSON, the operation in a header.
pub async fn json_service(State(world): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if held_up(&world, &request).await.is_none() {
        return StatusCode::GONE.into_response();
    }
    let mut state = world.lock();
    let (prefix, done) = match service {
        "DynamoDB_20120810" => ("dynamodb", dynamodb::carry_out(&mut state, operation, &request)),
        "AmazonSQS" => ("sqs", sqs(operation, &request)),
        _ => ("unknown", unknown(operation)),
    };
    let refused = done.answer.as_ref().err().map(|refused| refused.code.to_owned());
    let operation = format!("{prefix}:{operation}");
    state.requests.push(Request { ns: monotonic_ns(), operation, key: done.key, refused, status: done.status });
    drop(state);
    world.tell();
    let json = [("content-type", "application/x-amz-json-1.0")];
    match done.answer {
        Ok(answer) => (json, answer.to_string()).into_response(),
        Err(refused) => (StatusCode::BAD_REQUEST, json, refused.body().to_string()).into_response(),
    }
}

/// Waits, if the request is one to hold up, until it is let go; `None` after a reset.
async fn held_up(world: &Shared, request: &Value) -> Option<()> {
    let holds = {
        let mut state = world.lock();
        if !state.hold.takes(request) {
            return Some(());
        }
        state.holds
    };
    world.tell();
    world.until(|state| (state.holds != holds).then_some(())).await
}

fn sqs(operation: &str, request: &Value) -> Done {
    if !request["QueueUrl"].is_string() {
        return unknown(operation);
    }
    let answer = match operation {
        "SendMessage" => json!({"MessageId": "00000000-0000-0000-0000-000000000000"}),
        "ChangeMessageVisibility" => json!({}),
        _ => return unknown(operation),
    };
    Done { answer: Ok(answer), key: None, status: None }
}

fn unknown(operation: &str) -> Done {
    let refused = Refused::new("UnknownOperationException", format!("the bench's stand-in has no {operation}"));
    Done { answer: Err(refused), key: None, status: None }
}

/// S3's GetObject. All buckets hold the same objects.
pub async fn get_object(State(world): State<Shared>, Path((_bucket, key)): Path<(String, String)>) -> Response {
    let mut state = world.lock();
    let object = state.objects.get(&key).cloned();
    let refused = object.is_none().then(|| "NoSuchKey".to_owned());
    let request =
        Request { ns: monotonic_ns(), operation: "s3:GetObject".to_owned(), key: Some(key), refused, status: None };
    state.requests.push(request);
    match object {
        Some(bytes) => ([("etag", "\"stand-in\""), ("content-type", "text/plain")], bytes).into_response(),
        None => {
            let body = "<Error><Code>NoSuchKey</Code><Message>the stand-in has no such object</Message></Error>";
            (StatusCode::NOT_FOUND, [("content-type", "application/xml")], body).into_response()
        }
    }
}
