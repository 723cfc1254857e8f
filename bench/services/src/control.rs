//! The control endpoints, by which the benchmark sets and reads the state.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::{self, Event, Hold, Item, Shared};

#[derive(Deserialize)]
pub struct EnqueueQuery {
    timeout_ms: u64,
}

pub async fn enqueue_event(State(world): State<Shared>, Query(query): Query<EnqueueQuery>, body: Bytes) -> Json<Value> {
    let id = uuid::Uuid::new_v4().to_string();
    world.lock().events.push_back(Event { id: id.clone(), body, timeout_ms: query.timeout_ms });
    world.notify();
    Json(json!({"id": id}))
}

/// Waits for the response to an event.
pub async fn wait_for_answer(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let answer = world
        .wait_for(|state| state.invocations.get(&id).filter(|invocation| invocation.answered_ns.is_some()).cloned());
    match answer.await {
        Some(invocation) => Json(invocation).into_response(),
        None => StatusCode::GONE.into_response(),
    }
}

#[derive(Deserialize)]
pub struct ReadyQuery {
    nexts: u64,
}

/// Waits until the function has asked for `nexts` events. Returns the error if the
/// environment failed to start.
pub async fn wait_until_ready(State(world): State<Shared>, Query(query): Query<ReadyQuery>) -> Response {
    let ready = world.wait_for(|state| {
        if let Some(error) = &state.init_error {
            return Some(json!({"init_error": error}));
        }
        let is_ready = state.nexts >= query.nexts;
        is_ready.then(|| json!({"first_next_ns": state.first_next_ns, "nexts": state.nexts}))
    });
    match ready.await {
        Some(ready) => Json(ready).into_response(),
        None => StatusCode::GONE.into_response(),
    }
}

pub async fn list_requests(State(world): State<Shared>) -> Json<Value> {
    Json(json!(world.lock().requests))
}

pub async fn list_items(State(world): State<Shared>) -> Json<Value> {
    Json(json!(world.lock().items))
}

pub async fn put_items(State(world): State<Shared>, Json(items): Json<BTreeMap<String, Item>>) -> StatusCode {
    world.lock().items = items;
    StatusCode::NO_CONTENT
}

pub async fn put_object(State(world): State<Shared>, Path(key): Path<String>, body: Bytes) -> StatusCode {
    world.lock().objects.insert(key, body);
    StatusCode::NO_CONTENT
}

/// Holds matching writes from now on, and releases those of the earlier hold.
pub async fn set_hold(State(world): State<Shared>, Json(hold): Json<Hold>) -> StatusCode {
    {
        let mut state = world.lock();
        state.hold = hold;
        state.hold_number += 1;
    }
    world.notify();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
pub struct HeldQuery {
    count: usize,
}

/// Waits until `count` writes are held.
pub async fn wait_for_held(State(world): State<Shared>, Query(query): Query<HeldQuery>) -> StatusCode {
    match world.wait_for(|state| (state.hold.held >= query.count).then_some(())).await {
        Some(()) => StatusCode::NO_CONTENT,
        None => StatusCode::GONE,
    }
}

pub async fn reset(State(world): State<Shared>) -> StatusCode {
    {
        let mut state = world.lock();
        let resets = state.resets + 1;
        *state = world::State { resets, ..Default::default() };
    }
    world.notify();
    StatusCode::NO_CONTENT
}
