//! The one clock. The domain is told the time, and never asks.

use std::time::Duration;

use jiff::{Timestamp, Unit};

/// What cannot be a time since 1970, and is a time from now.
const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

/// Now, in whole milliseconds, which is what leases are kept in.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// How long it is until a time; zero when that is past.
pub fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now())).unwrap_or_default()
}

/// When the invocation ends, from the Runtime API's deadline.
///
/// Lambda gives epoch milliseconds. `cargo lambda watch` gives the milliseconds
/// that are left; so early a date is none, and is read as that.
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
    fn a_deadline_is_read_as_lambda_and_as_cargo_lambda_give_it() {
        assert_eq!(deadline(1_795_369_709_000).as_millisecond(), 1_795_369_709_000);
        let left = until(deadline(600_000)).as_secs();
        assert!((598..=600).contains(&left), "{left}");
        assert_eq!(deadline(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn nothing_is_left_until_a_time_that_is_past() {
        assert_eq!(until(now() - Duration::from_secs(1)), Duration::ZERO);
    }
}
