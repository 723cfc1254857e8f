//! The control side: what the bench tells the services, and asks them.

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
pub struct Enqueue {
    timeout_ms: u64,
}

pub async fn enqueue(State(world): State<Shared>, Query(asked): Query<Enqueue>, body: Bytes) -> Json<Value> {
    let id = uuid::Uuid::new_v4().to_string();
    world.lock().events.push_back(Event { id: id.clone(), body, timeout_ms: asked.timeout_ms });
    world.tell();
    Json(json!({"id": id}))
}

pub async fn answer(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let answered = world.until(|state| state.invocations.get(&id).filter(|it| it.answered_ns.is_some()).cloned());
    match answered.await {
        Some(invocation) => Json(invocation).into_response(),
        None => StatusCode::GONE.into_response(),
    }
}

#[derive(Deserialize)]
pub struct Ready {
    nexts: u64,
}

/// An environment that failed to start is told of, and not waited for.
pub async fn ready(State(world): State<Shared>, Query(asked): Query<Ready>) -> Response {
    let ready = world.until(|state| {
        if let Some(error) = &state.init_error {
            return Some(json!({"init_error": error}));
        }
        let come = state.nexts >= asked.nexts;
        come.then(|| json!({"first_next_ns": state.first_next_ns, "nexts": state.nexts}))
    });
    match ready.await {
        Some(ready) => Json(ready).into_response(),
        None => StatusCode::GONE.into_response(),
    }
}

pub async fn requests(State(world): State<Shared>) -> Json<Value> {
    Json(json!(world.lock().requests))
}

pub async fn items(State(world): State<Shared>) -> Json<Value> {
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

/// Holds up the writes that come from now on, and lets go of those that were.
pub async fn hold(State(world): State<Shared>, Json(hold): Json<Hold>) -> StatusCode {
    {
        let mut state = world.lock();
        state.hold = hold;
        state.holds += 1;
    }
    world.tell();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
pub struct Held {
    count: usize,
}

pub async fn held(State(world): State<Shared>, Query(asked): Query<Held>) -> StatusCode {
    match world.until(|state| (state.hold.held >= asked.count).then_some(())).await {
        Some(()) => StatusCode::NO_CONTENT,
        None => StatusCode::GONE,
    }
}

pub async fn reset(State(world): State<Shared>) -> StatusCode {
    {
        let mut state = world.lock();
        let life = state.life + 1;
        *state = world::State { life, ..Default::default() };
    }
    world.tell();
    StatusCode::NO_CONTENT
}
