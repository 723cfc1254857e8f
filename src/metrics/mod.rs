//! The metrics, in CloudWatch's embedded metric format: a function prints lines, and
//! CloudWatch Logs turns them into metrics.
//!
//! [`table`] lists every metric with its unit, its dimensions and its meaning.
//! `docs/reference/metrics.md` repeats the list, and `tests/agreement` compares the two.

mod line;
mod meter;
pub mod table;

pub use self::meter::Meter;
pub use self::table::{Dimension, Metric, NAMESPACE, Unit};
