//! The clock. Only this module reads the time; the domain receives it as an argument.

use std::time::Duration;

use jiff::{Timestamp, Unit};

/// A smaller deadline is a remaining time, because it is no plausible date.
const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

/// The current time in whole milliseconds, the unit in which leases are stored.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// The time that remains until `time`; zero when `time` is past.
pub fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now())).unwrap_or_default()
}

/// The end of the invocation, from the deadline of the Runtime API.
///
/// Lambda's deadline is in milliseconds since 1970. `cargo lambda watch` passes the
/// remaining milliseconds instead, so a deadline in 1970 is read as a remaining time.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
pub fn deadline(milliseconds: u64) -> Timestamp {
    if milliseconds < YEAR_MS {
        return now() + Duration::from_millis(milliseconds);
    }
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_a_date_or_a_remaining_time() {
        assert_eq!(deadline(1_795_369_709_000).as_millisecond(), 1_795_369_709_000);
        let left = until(deadline(600_000)).as_secs();
        assert!((598..=600).contains(&left), "{left}");
        assert_eq!(deadline(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn no_time_remains_until_a_past_time() {
        assert_eq!(until(now() - Duration::from_secs(1)), Duration::ZERO);
    }
}
