//! The endpoints of the stand-ins: DynamoDB and SQS by the name of the operation, S3
//! by the path. Every request is recorded.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::dynamodb::{self, ServiceError};
use crate::world::{Request, Shared, monotonic_ns};

/// The result of an operation.
pub struct OperationResult {
    pub answer: Result<Value, ServiceError>,
    /// The key of the item.
    pub key: Option<String>,
    /// The item's `status` after a write.
    pub status: Option<String>,
}

/// Serves DynamoDB and SQS: JSON, with the operation in a header.
pub async fn json_service(State(world): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if wait_for_release(&world, &request).await.is_none() {
        return StatusCode::GONE.into_response();
    }
    let mut state = world.lock();
    let (prefix, result) = match service {
        "DynamoDB_20120810" => ("dynamodb", dynamodb::execute(&mut state, operation, &request)),
        "AmazonSQS" => ("sqs", execute_sqs(operation, &request)),
        _ => ("unknown", unsupported(operation)),
    };
    let refused = result.answer.as_ref().err().map(|error| error.code.to_owned());
    let operation = format!("{prefix}:{operation}");
    state.requests.push(Request { ns: monotonic_ns(), operation, key: result.key, refused, status: result.status });
    drop(state);
    world.notify();
    let json = [("content-type", "application/x-amz-json-1.0")];
    match result.answer {
        Ok(answer) => (json, answer.to_string()).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, json, error.body().to_string()).into_response(),
    }
}

/// Waits until a held request is released; other requests do not wait. `None` after a
/// reset.
async fn wait_for_release(world: &Shared, request: &Value) -> Option<()> {
    let hold_number = {
        let mut state = world.lock();
        if !state.hold.try_hold(request) {
            return Some(());
        }
        state.hold_number
    };
    world.notify();
    world.wait_for(|state| (state.hold_number != hold_number).then_some(())).await
}

fn execute_sqs(operation: &str, request: &Value) -> OperationResult {
    if !request["QueueUrl"].is_string() {
        return unsupported(operation);
    }
    let answer = match operation {
        "SendMessage" => json!({"MessageId": "00000000-0000-0000-0000-000000000000"}),
        "ChangeMessageVisibility" => json!({}),
        _ => return unsupported(operation),
    };
    OperationResult { answer: Ok(answer), key: None, status: None }
}

fn unsupported(operation: &str) -> OperationResult {
    OperationResult { answer: Err(ServiceError::unsupported(operation)), key: None, status: None }
}

/// Serves S3's GetObject. All buckets have the same objects.
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
            let body = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
            (StatusCode::NOT_FOUND, [("content-type", "application/xml")], body).into_response()
        }
    }
}
