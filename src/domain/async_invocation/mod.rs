//! Async invocations: the request to StartAsyncInvoke, and the polls that follow it.

pub mod poll;
pub mod request;
