//! The limits of holds, probes, canaries and resends.

use std::time::Duration;

/// Time from the opening of a hold to its first probe.
pub const HOLD_PROBE_FIRST: Duration = Duration::from_secs(30);

/// Longest time between two probes of a hold: the longest delay of an SQS message.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub const HOLD_PROBE_MAX: Duration = Duration::from_secs(900);

/// Time from the opening of a hold for an outage to its first probe.
pub const OUTAGE_PROBE_FIRST: Duration = Duration::from_secs(15);

/// Longest time between two probes of a hold for an outage.
pub const OUTAGE_PROBE_MAX: Duration = Duration::from_secs(120);

/// Time after which the probe of a hold counts as lost. A waiting message then sends it
/// again.
pub const HOLD_PROBE_MARGIN: Duration = Duration::from_secs(300);

/// First delay of the message of a job that waits for a hold or a paused batch.
pub const HOLD_WAIT_FIRST: Duration = Duration::from_secs(30);

/// Longest delay of the message of a job that waits for a hold or a paused batch.
pub const HOLD_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Longest time of a canary: one call with a small text.
pub const CANARY_TIMEOUT: Duration = Duration::from_secs(20);

/// Cache TTL of holds and of paused batches, in an environment of the consumer.
pub const HOLD_TTL: Duration = Duration::from_secs(10);

/// Time for which an environment remembers that an error is the fault of its documents,
/// because a canary succeeded.
pub const OWN_ERROR_TTL: Duration = Duration::from_secs(600);

/// Calls of a model by which an environment recognises a partial outage.
pub const RECENT_CALLS: usize = 20;

/// Least number of calls without an answer in a partial outage, out of the last
/// [`RECENT_CALLS`].
pub const OUTAGE_FAILURES_MIN: usize = 8;

/// Least number of jobs whose calls have no answer in a partial outage.
pub const OUTAGE_JOBS_MIN: usize = 4;

/// Canaries of which one failure proves a partial outage.
pub const OUTAGE_CANARIES: u32 = 3;

/// Most models, batches or errors that an environment of the consumer remembers.
pub const GATE_ENTRIES_MAX: usize = 1_000;

/// Partitions of the index over the jobs that wait for one hold or one paused batch.
pub const WAITING_SHARDS: u32 = 4;

/// Most waiting jobs whose messages one resend message sends. A further resend message
/// sends the next ones, so that no invocation reaches its deadline.
pub const RESEND_JOBS: usize = 400;

/// Most messages that a resend sends concurrently.
pub const CONCURRENT_RESENDS: usize = 16;

/// Time between the end of a hold and the last look for waiting jobs. It is longer than
/// [`HOLD_TTL`], so that it also finds jobs of environments that still knew the hold.
pub const RESEND_LAST_LOOK: Duration = Duration::from_secs(20);

/// Most attempts on the stored job's list of attempts. Older ones are dropped.
pub const ATTEMPTS_LISTED_MAX: usize = 20;
