//! The AWS account of a stack. This folder alone names the SDK; each file translates one
//! service's responses and errors into plain data.

pub mod api;
pub mod bucket;
pub mod connect;
pub mod download;
pub mod error;
pub mod functions;
pub mod holds;
mod http;
mod local;
pub mod models;
pub mod queues;
pub mod quotas;
pub mod stack;
pub mod submitted;
pub mod topics;
