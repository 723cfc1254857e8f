//! The log: one JSON object a line, for CloudWatch Logs. It holds ids, sizes,
//! counts, times and codes; never a document, a prompt or an answer.

use tracing::{Level, Metadata, error};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::variables::RUST_LOG;

/// Starts the log. `RUST_LOG` sets its level; the default is `info`.
///
/// Other crates log at `info` at most, because some of them write whole requests
/// and events at lower levels. A panic is logged by its place alone: its message
/// may quote the data that caused it.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        error!(place = panic.location().map(ToString::to_string), "panic");
    }));
    let level = std::env::var(RUST_LOG).ok().and_then(|level| level.parse::<Targets>().ok());
    let level = level.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::registry().with(level).with(filter_fn(is_logged)).with(lines).init();
}

/// No line names a span, so spans are not recorded.
fn is_logged(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && (*metadata.level() <= Level::INFO || metadata.target().starts_with("docket"))
}
