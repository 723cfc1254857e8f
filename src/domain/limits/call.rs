//! The limits of calls to a model, and of the reading of an answer.

use std::time::Duration;

/// Most places in the text of an answer at which the consumer looks for a JSON object. Each
/// look may read the remaining text.
pub const JSON_STARTS_MAX: usize = 32;

/// Most schemas of structured outputs that one environment of the consumer remembers as
/// known to the model. With more, it forgets all of them.
pub const KNOWN_SCHEMAS_MAX: usize = 1_000;

/// Time after which an environment closes an idle connection. It is below the idle
/// time-outs of AWS's endpoints, which are about a minute.
pub const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Time without use after which the end of a connection may have come before a call.
pub const IDLE_CONNECTION_AGE: Duration = Duration::from_secs(3);

/// Longest time after the begin of a call in which a dead connection shows. An error after
/// that may come from the model.
pub const STALE_ERROR_TIME: Duration = Duration::from_secs(2);

/// Most connections of which an environment remembers that they have answered.
pub const KNOWN_CONNECTIONS_MAX: usize = 1_000;
