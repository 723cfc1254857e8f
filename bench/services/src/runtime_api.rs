//! The Lambda Runtime API, for one environment at a time.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::world::{Event, Invocation, Shared, monotonic_ns};

pub async fn next(State(world): State<Shared>) -> Response {
    let asked_ns = monotonic_ns();
    {
        let mut state = world.lock();
        state.nexts += 1;
        state.first_next_ns.get_or_insert(asked_ns);
    }
    world.tell();
    let Some(event) = world.until(|state| state.events.pop_front()).await else {
        return StatusCode::GONE.into_response();
    };
    let invocation = Invocation { handed_ns: monotonic_ns(), answered_ns: None, response: None, error: None };
    world.lock().invocations.insert(event.id.clone(), invocation);
    handed(event)
}

fn handed(event: Event) -> Response {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let headers = [
        ("lambda-runtime-aws-request-id", event.id),
        ("lambda-runtime-deadline-ms", (now_ms + event.timeout_ms).to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.body).into_response()
}

pub async fn response(State(world): State<Shared>, Path(id): Path<String>, body: String) -> StatusCode {
    ended(&world, &id, |invocation| invocation.response = Some(json_of(body)))
}

pub async fn error(State(world): State<Shared>, Path(id): Path<String>, body: String) -> StatusCode {
    ended(&world, &id, |invocation| invocation.error = Some(json_of(body)))
}

pub async fn init_error(State(world): State<Shared>, body: String) -> StatusCode {
    world.lock().init_error = Some(json_of(body));
    world.tell();
    StatusCode::ACCEPTED
}

fn ended(world: &Shared, id: &str, put: impl FnOnce(&mut Invocation)) -> StatusCode {
    let answered_ns = monotonic_ns();
    if let Some(invocation) = world.lock().invocations.get_mut(id) {
        invocation.answered_ns = Some(answered_ns);
        put(invocation);
    }
    world.tell();
    StatusCode::ACCEPTED
}

fn json_of(body: String) -> Value {
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}
