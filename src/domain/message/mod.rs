//! Queue messages: job bodies, S3 events, attributes and dead letters.

pub mod attributes;
pub mod body;
pub mod child;
pub mod control;
pub mod dead_letter;
pub mod s3_event;
pub mod submitted;
