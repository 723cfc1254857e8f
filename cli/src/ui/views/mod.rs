//! The views: plain data in, HTML out. Every text is escaped by the templates, so texts of
//! documents and models are text nodes.

pub mod batch;
pub mod batches;
pub mod confirm;
pub mod job;
pub mod layout;
mod parts;
mod pictures;
