//! The list of all metrics.
//!
//! Every metric has the dimension `FunctionName`. Few have a second one, because CloudWatch
//! charges for each combination of values. A metric has the same dimensions everywhere.

/// The namespace of Docket's metrics.
pub const NAMESPACE: &str = "Docket";

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name in CloudWatch.
    pub name: &'static str,
    /// The unit.
    pub unit: Unit,
    /// The dimension in addition to `FunctionName`, if any.
    pub dimension: Option<Dimension>,
    /// The meaning, in the words of `docs/reference/metrics.md`.
    pub meaning: &'static str,
}

/// A unit of CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A duration in milliseconds.
    Milliseconds,
    /// A duration in seconds.
    Seconds,
    /// None: money, and shares from 0 to 1.
    None,
}

impl Unit {
    /// The name in CloudWatch.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
            Self::None => "None",
        }
    }
}

/// A dimension in addition to `FunctionName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The error behind a retry.
    Cause,
    /// The model or inference profile.
    ModelId,
}

impl Dimension {
    /// The name in CloudWatch.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cause => "Cause",
            Self::ModelId => "ModelId",
        }
    }
}

/// The metrics of one section of `docs/reference/metrics.md`.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The metrics, in the order of the page.
    pub metrics: &'static [Metric],
}

const fn count(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit: Unit::Count, dimension: None, meaning }
}

const fn metric(name: &'static str, unit: Unit, meaning: &'static str) -> Metric {
    Metric { name, unit, dimension: None, meaning }
}

/// Jobs that ended, in messages.
pub const JOBS_ENDED: Metric = count(
    "jobs_ended",
    "Messages whose job has ended: the sum of `completed`, `already_finished`, `uploaded_again`, `dead_lettered` and `cancelled`. Written as 0, too.",
);
/// Retried messages that wait for no hold.
pub const RETRIED: Metric = count(
    "retried",
    "Retried messages, except those that wait for a hold or a pause (`on_hold`) or for another worker (`busy`, `probe_busy`, `suspect_first`, `too_early`). Written as 0, too.",
);
/// Retried messages whose attempt is charged.
pub const RETRIES_CHARGED: Metric =
    count("retries_charged", "Retried messages whose attempt counts against `MaxAttempts`.");
/// Retried messages whose attempt is not charged.
pub const RETRIES_UNCHARGED: Metric = count("retries_uncharged", "The other retried messages.");
/// Retried messages by the error behind the retry.
pub const RETRIES_BY_CAUSE: Metric = Metric {
    name: "retries_by_cause",
    unit: Unit::Count,
    dimension: Some(Dimension::Cause),
    meaning: "Retried messages by their cause.",
};
/// The age of the oldest message of an invocation.
pub const OLDEST_MESSAGE_SECONDS: Metric = metric(
    "oldest_message_seconds",
    Unit::Seconds,
    "The age of the oldest message of the invocation: the time since it was sent. A resent message begins at 0.",
);
/// The age of the oldest retried message of an invocation.
pub const OLDEST_RETRIED_SECONDS: Metric = metric(
    "oldest_retried_seconds",
    Unit::Seconds,
    "The same, of the retried messages. SQS deletes a message after 10 days.",
);
/// Calls of models.
pub const MODEL_CALLS: Metric =
    count("model_calls", "Calls of models that began: of documents, chunks, joins and repairs, and canaries.");
/// Calls that a model answered.
pub const MODEL_ANSWERS: Metric = count("model_answers", "Calls that Bedrock answered, and charges.");
/// The durations of answered calls.
pub const MODEL_LATENCY_MS: Metric =
    metric("model_latency_ms", Unit::Milliseconds, "The duration of each answered call.");
/// Input tokens of answered calls.
pub const BILLED_INPUT_TOKENS: Metric =
    count("billed_input_tokens", "Input tokens of all answered calls, also of those whose answer was not kept.");
/// Output tokens of answered calls.
pub const BILLED_OUTPUT_TOKENS: Metric =
    count("billed_output_tokens", "Output tokens of all answered calls, also of those whose answer was not kept.");
/// Quota time that functions reserved.
pub const QUOTA_RESERVED_MS: Metric = metric(
    "quota_reserved_ms",
    Unit::Milliseconds,
    "Quota that was reserved, as time: a sum of 60,000 in a minute is the whole quota. Only with a quota.",
);
/// Quota time that answered calls used.
pub const QUOTA_USED_MS: Metric = metric(
    "quota_used_ms",
    Unit::Milliseconds,
    "Quota that answered calls used, as time, by the tokens that Bedrock reported. Only with a quota.",
);
/// The open holds.
pub const HOLDS_OPEN: Metric = count(
    "holds_open",
    "Open [holds](../operations/holds.md): the sweep counts them every 15 minutes, also 0. A new hold and a failed probe report 1.",
);
/// The cost of answered calls by model.
pub const COST_NANO_USD: Metric = Metric {
    name: "CostNanoUsd",
    unit: Unit::None,
    dimension: Some(Dimension::ModelId),
    meaning: "The cost of answered calls in billionths of a US dollar, by model. Only for models with a price.",
};
/// The remaining budget.
pub const BUDGET_LEFT_USD: Metric =
    metric("BudgetLeftUsd", Unit::None, "The remaining part of the daily budget in US dollars. Only with a budget.");
/// The spent share of the budget.
pub const BUDGET_SPENT_SHARE: Metric = metric(
    "BudgetSpentShare",
    Unit::None,
    "The spent share of the budget that is nearest to its end, from 0 to 1. Only with a budget.",
);
/// Events of jobs.
pub const JOB_EVENTS_PUBLISHED: Metric =
    count("job_events_published", "Events of jobs that the bus accepted. Written as 0, too.");
/// Events of batches.
pub const BATCH_EVENTS_PUBLISHED: Metric =
    count("batch_events_published", "Events of batches that the bus accepted. Written as 0, too.");
/// Stream records that are retried.
pub const EVENTS_FAILED: Metric = count(
    "events_failed",
    "Stream records that Lambda retries, because the bus or the table did not answer. Written as 0, too.",
);
/// Jobs that the API accepted.
pub const JOBS_ACCEPTED: Metric = count("jobs_accepted", "Jobs that the API accepted, also repeated ones.");
/// Purged jobs.
pub const JOBS_PURGED: Metric = count("jobs_purged", "Jobs whose purge ended.");
/// Purges that a service interrupted.
pub const PURGES_INTERRUPTED: Metric =
    count("purges_interrupted", "Purges that are retried, because a service did not answer.");

/// All metrics, by the sections of `docs/reference/metrics.md`.
pub const SECTIONS: &[Section] = &[
    Section { title: "Consumer: acknowledged messages", metrics: ACKNOWLEDGED },
    Section { title: "Consumer: retried messages", metrics: RETRIED_BY_REASON },
    Section { title: "Consumer: messages together", metrics: MESSAGES },
    Section { title: "Consumer: model calls", metrics: MODEL },
    Section { title: "Consumer: quota, holds and money", metrics: LIMITS },
    Section { title: "Notifier", metrics: &[JOB_EVENTS_PUBLISHED, BATCH_EVENTS_PUBLISHED, EVENTS_FAILED] },
    Section { title: "Producer", metrics: &[JOBS_ACCEPTED] },
    Section { title: "Purger", metrics: &[JOBS_PURGED, PURGES_INTERRUPTED] },
];

/// By `Outcome::name`.
const ACKNOWLEDGED: &[Metric] = &[
    count("completed", "The attempt stored its result. Written as 0, too."),
    count("already_finished", "The job had finished before the message arrived."),
    count(
        "dead_lettered",
        "The message is in the dead-letter queue; its job, if it has one, is `failed`. A message with the document of another job changes no job. Written as 0, too.",
    ),
    count("uploaded_again", "The message names a submitted file that was uploaded again; its job exists."),
    count("cancelled", "The batch of the job was cancelled; the job is `cancelled`."),
    count("waiting", "The asynchronous invocation runs, and the message of the next poll is in the queue."),
    count(
        "superseded",
        "The asynchronous invocation runs, and another message is its next poll; or the message was an old probe of a hold.",
    ),
    count("probed", "The message was a probe of a [hold](../operations/holds.md), and the fault still exists."),
    count("hold_ended", "The message was a probe, and the fault is mended."),
    count("resent", "The message sent new messages for waiting jobs, or for retried jobs of a batch."),
    count(
        "swept",
        "The message was a [sweep](../operations/failures.md#jobs-whose-message-is-lost): the log line says how many jobs it sent again.",
    ),
    count("split", "An S3 event with several records became one message per record."),
    count("nothing_to_do", "The S3 event was a test, a folder or a deletion."),
];

/// By `RetryReason::as_str`.
const RETRIED_BY_REASON: &[Metric] = &[
    count("busy", "Not charged: another worker holds the lease."),
    count("throttled", "Not charged: Bedrock or S3 throttled, or Bedrock was unavailable."),
    count("transient", "Charged: the attempt failed for a cause that may pass."),
    count("no_time", "Not charged: the invocation had too little time for a call."),
    count("over_quota", "Not charged: the quota of `ModelTokensPerMinute` or `ModelRequestsPerMinute` is used up."),
    count("lease_lost", "Not charged: a fenced write found another attempt."),
    count(
        "store_unavailable",
        "Not charged: DynamoDB, SQS or S3 did not answer. A claimed job is released, if the table answers.",
    ),
    count(
        "on_hold",
        "Not charged, unless it made a paid call before: the job waits for a [hold](../operations/holds.md) or a paused batch.",
    ),
    count("unproven", "Not charged: the model did not answer, and nothing shows whether it answers other requests."),
    count("not_stored", "Charged: the model answered, and the bucket did not store the answer."),
    count(
        "batch_too_large",
        "Not charged: the messages of the batch have more than `BATCH_VALUES_MAX` JSON values together.",
    ),
    count("newer_version", "Not charged: the message has a newer version than the function reads."),
    count("probe_busy", "Not charged: another worker probes the hold of this message."),
    count("too_early", "Not charged: a copy of the message came before the backoff of its job had passed."),
    count("suspect_first", "Not charged: a job of the same batch that may end the process runs alone."),
    count(
        "panicked",
        "The handling of the record panicked; the stored job is unchanged. A claim stays charged, and its lease ends on its own.",
    ),
    count(
        "deadline_reached",
        "The invocation ended while the record was being handled. A claim stays charged, and its lease ends on its own.",
    ),
];

const MESSAGES: &[Metric] = &[
    JOBS_ENDED,
    RETRIED,
    RETRIES_CHARGED,
    RETRIES_UNCHARGED,
    RETRIES_BY_CAUSE,
    OLDEST_MESSAGE_SECONDS,
    OLDEST_RETRIED_SECONDS,
];

const MODEL: &[Metric] = &[
    MODEL_CALLS,
    MODEL_ANSWERS,
    MODEL_LATENCY_MS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    BILLED_INPUT_TOKENS,
    BILLED_OUTPUT_TOKENS,
];

/// Input tokens of kept answers.
pub const INPUT_TOKENS: Metric = count("input_tokens", "Input tokens of the attempts that ended with a result.");
/// Output tokens of kept answers.
pub const OUTPUT_TOKENS: Metric = count("output_tokens", "Output tokens of the same attempts.");

const LIMITS: &[Metric] =
    &[QUOTA_RESERVED_MS, QUOTA_USED_MS, HOLDS_OPEN, COST_NANO_USD, BUDGET_LEFT_USD, BUDGET_SPENT_SHARE];

/// All metrics.
pub fn all() -> impl Iterator<Item = Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics).copied()
}

/// The metric with a name. A name that the table lacks is a count; `tests/agreement` finds it.
pub fn named(name: &'static str) -> Metric {
    all().find(|metric| metric.name == name).unwrap_or(count(name, ""))
}
