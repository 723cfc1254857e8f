//! The bounds of the speed.

use serde::Serialize;

/// A bound of the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The model's tokens per minute.
    TokensPerMinute,
    /// The model's requests per minute.
    RequestsPerMinute,
    /// Concurrent functions, each with a full batch.
    FunctionConcurrency,
    /// The ramp of the event source mapping, which starts with few batches.
    Ramp,
    /// The duration of one model call.
    Model,
}

/// The duration of the run if one bound were the only one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BoundTime {
    /// The bound.
    pub bound: Bound,
    /// Seconds.
    pub seconds: f64,
}
