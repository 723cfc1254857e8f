//! The Lambda Runtime API for one execution environment at a time.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::world::{Event, Invocation, Shared, monotonic_ns};

pub async fn next_event(State(world): State<Shared>) -> Response {
    let asked_ns = monotonic_ns();
    {
        let mut state = world.lock();
        state.nexts += 1;
        state.first_next_ns.get_or_insert(asked_ns);
    }
    world.notify();
    let Some(event) = world.wait_for(|state| state.events.pop_front()).await else {
        return StatusCode::GONE.into_response();
    };
    let invocation = Invocation { handed_ns: monotonic_ns(), answered_ns: None, response: None, error: None };
    world.lock().invocations.insert(event.id.clone(), invocation);
    event_response(event)
}

fn event_response(event: Event) -> Response {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis() as u64;
    let headers = [
        ("lambda-runtime-aws-request-id", event.id),
        ("lambda-runtime-deadline-ms", (now_ms + event.timeout_ms).to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.body).into_response()
}

pub async fn post_response(State(world): State<Shared>, Path(id): Path<String>, body: String) -> StatusCode {
    end_invocation(&world, &id, |invocation| invocation.response = Some(parse_or_quote(body)))
}

pub async fn post_error(State(world): State<Shared>, Path(id): Path<String>, body: String) -> StatusCode {
    end_invocation(&world, &id, |invocation| invocation.error = Some(parse_or_quote(body)))
}

pub async fn post_init_error(State(world): State<Shared>, body: String) -> StatusCode {
    world.lock().init_error = Some(parse_or_quote(body));
    world.notify();
    StatusCode::ACCEPTED
}

fn end_invocation(world: &Shared, id: &str, set: impl FnOnce(&mut Invocation)) -> StatusCode {
    let answered_ns = monotonic_ns();
    if let Some(invocation) = world.lock().invocations.get_mut(id) {
        invocation.answered_ns = Some(answered_ns);
        set(invocation);
    }
    world.notify();
    StatusCode::ACCEPTED
}

/// The body as JSON; a body that is not JSON becomes a string.
fn parse_or_quote(body: String) -> Value {
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}
