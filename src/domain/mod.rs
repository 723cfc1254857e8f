//! The rules of Docket: the job, which worker may claim it, how an attempt ends,
//! and the request to the model.
//!
//! Every function here is pure. No file uses an AWS SDK, tokio, the environment or
//! a clock: the time and every random number are arguments.

pub mod analysis;
pub mod async_invocation;
pub mod backoff;
pub mod batch;
pub mod csv_cell;
pub mod document;
pub mod events;
pub mod evidence;
pub mod exact_json;
pub mod failure;
pub mod hold;
pub mod ids;
pub mod job;
pub mod json;
pub mod json_values;
pub mod limits;
pub mod message;
pub mod purge;
pub mod quota;
