//! Docket analyses documents with Amazon Bedrock in the background.
//!
//! A producer stores a `pending` job and queues a message. The consumer claims each job
//! of a batch of messages by a conditional write. It then calls the model once, and
//! stores the result under the claim's fencing token:
//!
//! ```text
//! SqsEvent ─ record ─ parse → Job ─ claim → Claim ─ fetch → Document ─ converse → Analysis ─ complete → Outcome → SqsBatchResponse
//! ```
//!
//! **The rule:** the consumer acknowledges a message only when the end of its job is
//! stored, or when the dead-letter queue has the message and its reason.
//!
//! The notifier reads the table's stream and publishes an event for each finished
//! job and batch:
//!
//! ```text
//! StreamEvent ─ record ─ parse → JobFinished ─ publish ─ count batches → BatchFinished ─ publish → StreamResponse
//! ```
//!
//! Each layer knows only the layers below it:
//!
//! | layer | contents |
//! | --- | --- |
//! | `bin/` | the Lambda functions: read the environment, create the clients, run |
//! | [`consumer`], [`producer`], [`notifier`] | one function each: an event in, a response out |
//! | [`aws`] | one module a service; the only layer that names the AWS SDK |
//! | [`domain`] | the rules, pure: no AWS, no clock, no environment |
//!
//! Every layer above the domain may use [`clock`], [`config`], [`heavy_work`], [`log`] and [`metrics`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod aws;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod domain;
pub mod heavy_work;
pub mod log;
pub mod metrics;
pub mod notifier;
pub mod producer;
pub mod purger;
