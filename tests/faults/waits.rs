//! The waits of holds, shortened so that a run takes seconds.

use hyper::body::Bytes;
use serde_json::Value;

use crate::proxy::RequestKind;

/// Shortens the delays of holds. A probe still comes after the longest time in which its hold
/// is stored, and a job's own message after a probe or a resend.
pub fn shorten_wait(kind: RequestKind, body: Bytes) -> Bytes {
    let (field, most) = match kind {
        RequestKind::SendMessage => ("DelaySeconds", 5),
        RequestKind::ChangeVisibility => ("VisibilityTimeout", 18),
        _ => return body,
    };
    let mut request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if request[field].as_i64().is_none_or(|seconds| seconds < 15) {
        return body;
    }
    request[field] = most.into();
    request.to_string().into()
}
