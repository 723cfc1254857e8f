//! The rules of Docket, pure: what a job is, who may claim it, how an attempt
//! ends, and what is asked of the model.
//!
//! Nothing here names AWS, tokio, the environment or a clock: the time is an
//! argument, and so is every random number.

pub mod analysis;
pub mod async_job;
pub mod backoff;
pub mod batch;
pub mod check;
pub mod claim;
pub mod dead_letter;
pub mod document;
pub mod ending;
pub mod failure;
pub mod ids;
pub mod job;
pub mod json;
pub mod limits;
pub mod message;
pub mod news;
pub mod notification;
pub mod outcome;
pub mod parts;
pub mod quota;
pub mod quota_share;
pub mod row;
