//! Parsers of argument values.

use clap::builder::RangedU64ValueParser;
use jiff::SignedDuration;

/// Maximum of a duration: a year.
const MAX_DURATION: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Minimum duration of a call in seconds.
const MIN_CALL_SECONDS: f64 = 0.1;

pub(super) fn whole_number(min: u64, max: u64) -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(min..=max)
}

/// A duration in seconds, greater than 0.
pub(super) fn parse_positive_duration(text: &str) -> Result<f64, String> {
    parse_duration(text)
        .and_then(|seconds| if seconds > 0.0 { Ok(seconds) } else { Err("must be more than 0s".into()) })
}

/// A duration in seconds, 0 or greater.
pub(super) fn parse_duration(text: &str) -> Result<f64, String> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "must be a duration such as 8s, 60m or 1h30m".to_owned())?;
    if duration.is_negative() || duration > MAX_DURATION {
        return Err("must be between 0s and 8760h".to_owned());
    }
    Ok(duration.as_secs_f64())
}

/// The duration of a call in seconds. A number without a unit is seconds.
pub(super) fn parse_call_seconds(text: &str) -> Result<f64, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = if is_number { parse_positive_duration(&format!("{text}s")) } else { parse_positive_duration(text) }?;
    if seconds < MIN_CALL_SECONDS { Err("must be 100ms or more".to_owned()) } else { Ok(seconds) }
}

pub(super) fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| "must be a number between 1 and 100".to_owned())
}
