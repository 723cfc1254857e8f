//! Docket analyses documents with Amazon Bedrock in the background.
//!
//! A producer stores a `pending` job and queues a message; one consumer takes
//! batches from the queue, claims each job by a conditional write, calls the
//! model once, and stores the result under the claim's fencing token:
//!
//! ```text
//! SqsEvent ─ record ─ parse → Job ─ claim → Claim ─ fetch → Document ─ converse → Analysis ─ complete → Outcome → SqsBatchResponse
//! ```
//!
//! **The rule:** a message is acknowledged only when its job's end is durable,
//! or when the message lies in the dead-letter queue with its reason.
//!
//! Whatever finishes is told from the row's own change, by the table's stream:
//!
//! ```text
//! StreamEvent ─ record ─ read → JobFinished ─ put on the bus ─ batches asked → BatchFinished ─ put → StreamResponse
//! ```
//!
//! The rooms, each of which knows only those below it:
//!
//! | room | what stands there |
//! | --- | --- |
//! | `bin/` | the Lambda functions: read the environment, build clients, run |
//! | [`consumer`], [`producer`], [`notifier`] | an event in, a response out |
//! | [`aws`] | one module a service; the only place that names the AWS SDK |
//! | [`domain`] | the rules, pure: no AWS, no clock, no environment |
//!
//! [`clock`], [`config`] and [`telemetry`] stand beside them. `plan` and `cli`,
//! behind the feature `cli`, are for people at a terminal and know none of the
//! services.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod domain;
pub mod notifier;
#[cfg(feature = "cli")]
pub mod plan;
pub mod producer;
pub mod telemetry;
