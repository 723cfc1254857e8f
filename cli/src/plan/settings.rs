//! The settings of the stack that the plan chooses, and their limits.

use serde::Serialize;

/// Maximum of `MaximumConcurrency`, on AWS and in the template.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
pub const MAXIMUM_CONCURRENCY_MAX: u32 = 1_000;

/// Minimum of `MaximumConcurrency`.
pub const MAXIMUM_CONCURRENCY_MIN: u32 = 2;

/// Maximum of `BatchSize` in the template.
pub const BATCH_SIZE_MAX: u32 = 1_000;

/// Maximum of `BatchSize` that the plan chooses. A document uses two or three
/// connections at the same time, and a function has 1,024 file descriptors.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const BATCH_SIZE_CHOSEN_MAX: u32 = 100;

/// The settings of the stack that determine the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `MaximumConcurrency`.
    pub maximum_concurrency: u32,
    /// `BatchSize`.
    pub batch_size: u32,
}

impl Settings {
    /// Maximum number of concurrent model calls.
    pub fn in_flight(self) -> u32 {
        self.maximum_concurrency * self.batch_size
    }

    /// The number of batches. It is one more than full batches need, because the
    /// first batch is not full: the poller takes the messages that have arrived.
    pub(super) fn batches(self, documents: f64) -> f64 {
        let filled = (documents / f64::from(self.batch_size)).ceil();
        if self.batch_size == 1 { filled } else { filled + 1.0 }
    }
}
