//! The one clock. The domain is told the time, and never asks.

use jiff::{Timestamp, Unit};

/// Now, in whole milliseconds, which is what leases are kept in.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}
