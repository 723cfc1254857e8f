//! Long invocations: what StartAsyncInvoke receives, and how polls follow it.

pub mod poll;
pub mod request;
