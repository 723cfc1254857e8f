//! All that the services hold, under one lock that is never held across a wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// A row, as DynamoDB's JSON writes it.
pub type Item = Map<String, Value>;

/// What every handler is given.
pub type Shared = Arc<World>;

#[derive(Default)]
pub struct World {
    state: Mutex<State>,
    /// Something happened that somebody may wait for.
    changed: Notify,
}

#[derive(Default)]
pub struct State {
    /// Counts the resets: who waited before one waits for nothing after it.
    pub life: u64,
    pub events: VecDeque<Event>,
    pub first_next_ns: Option<u64>,
    pub nexts: u64,
    pub init_error: Option<Value>,
    pub invocations: HashMap<String, Invocation>,
    pub items: BTreeMap<String, Item>,
    pub objects: HashMap<String, Bytes>,
    pub requests: Vec<Request>,
    pub hold: Hold,
    /// Counts the holds: what an earlier one held up goes on.
    pub holds: u64,
}

/// Writes that are held up on their way: those that write one of these texts, so
/// many, until they are let go.
#[derive(Debug, Default, Deserialize)]
pub struct Hold {
    texts: Vec<String>,
    most: usize,
    #[serde(skip)]
    pub held: usize,
}

impl Hold {
    /// Whether this request is held up; it counts from now on.
    pub fn takes(&mut self, request: &Value) -> bool {
        let values = request["ExpressionAttributeValues"].as_object().into_iter().flat_map(Map::values);
        let written = |value: &Value| value["S"].as_str().is_some_and(|text| self.texts.iter().any(|it| it == text));
        let takes = self.held < self.most && values.into_iter().any(written);
        self.held += usize::from(takes);
        takes
    }
}

/// What a function is to be invoked with.
pub struct Event {
    pub id: String,
    pub body: Bytes,
    pub timeout_ms: u64,
}

/// What became of an event.
#[derive(Debug, Clone, Serialize)]
pub struct Invocation {
    pub handed_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// A request to a stand-in.
#[derive(Debug, Serialize)]
pub struct Request {
    /// When it had been carried out.
    pub ns: u64,
    /// Such as `dynamodb:UpdateItem`.
    pub operation: String,
    /// The row's key, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The error's code, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The row's status afterwards, when it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl World {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no handler panics while it holds the lock")
    }

    /// Wakes those who wait.
    pub fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until there is something to take; `None` after a reset.
    pub async fn until<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let life = self.lock().life;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // What is told between the look and the wait is not missed.
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.life != life {
                    return None;
                }
                if let Some(taken) = take(&mut state) {
                    return Some(taken);
                }
            }
            changed.await;
        }
    }
}

/// Nanoseconds of the monotonic clock.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the machine has a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
