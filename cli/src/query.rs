//! Queries of the API.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that a query has unencoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text as a part of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A query of a list: its page size, its filter and its cursor. An empty text is left out. The
/// filter and the cursor are encoded.
pub(crate) fn page_query(limit: usize, filter: &str, cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!("cursor={cursor}")).unwrap_or_default();
    let parts = [&format!("limit={limit}"), filter, &cursor];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&")
}

/// A query such as `status=failed&label=lease`, without the fields that have no value.
pub(crate) fn query(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}
