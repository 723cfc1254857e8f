//! The state of the services, under one lock that no task holds across an await.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// An item in DynamoDB's JSON.
pub type Item = Map<String, Value>;

/// The state that all handlers share.
pub type Shared = Arc<World>;

#[derive(Default)]
pub struct World {
    state: Mutex<State>,
    /// Wakes the tasks that wait for a change of the state.
    changed: Notify,
}

#[derive(Default)]
pub struct State {
    /// Number of resets. A reset ends every wait that began before it.
    pub resets: u64,
    pub events: VecDeque<Event>,
    pub first_next_ns: Option<u64>,
    pub nexts: u64,
    pub init_error: Option<Value>,
    pub invocations: HashMap<String, Invocation>,
    pub items: BTreeMap<String, Item>,
    pub objects: HashMap<String, Bytes>,
    pub requests: Vec<Request>,
    pub hold: Hold,
    /// Number of the current hold. A new hold releases the requests of the earlier one.
    pub hold_number: u64,
}

/// Delays writes between the client and the table: the first `most` writes of one of
/// `texts`, until the next hold.
#[derive(Debug, Default, Deserialize)]
pub struct Hold {
    texts: Vec<String>,
    most: usize,
    #[serde(skip)]
    pub held: usize,
}

impl Hold {
    /// Whether the request must wait. If so, it is counted as held.
    pub fn try_hold(&mut self, request: &Value) -> bool {
        let values = request["ExpressionAttributeValues"].as_object().into_iter().flat_map(Map::values);
        let is_held_text =
            |value: &Value| value["S"].as_str().is_some_and(|text| self.texts.iter().any(|it| it == text));
        let must_wait = self.held < self.most && values.into_iter().any(is_held_text);
        self.held += usize::from(must_wait);
        must_wait
    }
}

/// An event for the function.
pub struct Event {
    pub id: String,
    pub body: Bytes,
    pub timeout_ms: u64,
}

/// An invocation of the function, from the event to its response.
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

/// A request to one of the stand-ins.
#[derive(Debug, Serialize)]
pub struct Request {
    /// When it was executed, in nanoseconds of the monotonic clock.
    pub ns: u64,
    /// Such as `dynamodb:UpdateItem`.
    pub operation: String,
    /// The key of the item or object, if the request has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The error code of a refused request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The item's `status` after a write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl World {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no handler panics while it holds the lock")
    }

    /// Wakes all waiting tasks.
    pub fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `take` returns a value; `None` after a reset.
    pub async fn wait_for<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let resets = self.lock().resets;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before `take` looks at the state: a notification between that look
            // and the await is not lost.
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.resets != resets {
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
