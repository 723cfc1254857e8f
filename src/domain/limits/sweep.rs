//! The limits of the sweep, and of the messages that are sent again.

use std::time::Duration;

/// Time after its last change at which the sweep may send a job's message again.
pub const SWEEP_FIRST: Duration = Duration::from_secs(60 * 60);

/// Factor by which that time grows with each message of the sweep for the same job.
pub const SWEEP_GROWTH: u32 = 4;

/// Messages of the sweep after which that time no longer grows.
pub const SWEEP_STEPS_MAX: u32 = 5;

/// Most messages that one invocation of the sweep sends. A further control message begins the
/// sweep again.
pub const SWEEP_JOBS_MAX: usize = 10_000;

/// Most messages that one sweep sends while the queues have as many messages as there are
/// jobs, for jobs that jobs an hour younger have overtaken.
pub const SWEEP_OVERTAKEN_MAX: usize = 100;

/// Unfinished jobs that the sweep reads at a time.
pub const SWEEP_PAGE: usize = 1_000;

/// Longest duration of one invocation of the sweep, if the consumer's time-out allows it.
pub const SWEEP_TIME: Duration = Duration::from_secs(60);

/// Delay of a sweep that begins again because the last one reached its limit.
pub const SWEEP_AGAIN_DELAY: Duration = Duration::from_secs(120);

/// Most dead letters that one sweep receives.
pub const SWEEP_LETTERS_MAX: usize = 10_000;

/// Time for which a dead letter that the sweep received stays invisible. The sweep receives
/// no letter twice, because it ends earlier.
pub const SWEEP_LETTER_VISIBILITY: Duration = Duration::from_secs(120);

/// Time for which the template's job queues keep a message (`MessageRetentionPeriod`).
pub const QUEUE_RETENTION: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// Time after the expiry of a presigned upload's URL at which its job fails, if no document
/// arrived. An upload that began in time ends within it.
pub const UPLOAD_MARGIN: Duration = Duration::from_secs(45 * 60);

/// Time for which a caller's retry of an unfinished job sends no second message.
pub const MESSAGE_RECENT: Duration = Duration::from_secs(60);

/// Jobs of one page of a retry or a cancellation of many jobs.
pub const CHANGE_PAGE: usize = 200;

/// Longest time in which one request retries jobs itself. The consumer retries the remaining
/// ones.
pub const RETRY_REQUEST_TIME: Duration = Duration::from_secs(5);

/// Longest time in which one control message retries jobs. The next one continues.
pub const RETRY_MESSAGE_TIME: Duration = Duration::from_secs(60);

/// Most jobs that the response of a retry lists as not retried.
pub const NOT_RETRIED_LISTED_MAX: usize = 1_000;
