//! The metrics of a batch: its outcomes, the ages of its messages, and its calls.

use super::response::Handled;
use crate::aws::model::AnsweredCall;
use crate::domain::job::outcome::Outcome;
use crate::metrics::{Meter, table};

/// Measures the outcomes of a batch. The counts that alarms compare are written as 0, too.
pub(super) fn measure_outcomes<'a>(meter: &Meter, handled: impl Iterator<Item = &'a Handled>) {
    let always = [table::JOBS_ENDED, table::RETRIED, table::named("completed"), table::named("dead_lettered")];
    always.into_iter().for_each(|metric| meter.add(metric, 0));
    for Handled { outcome, usage } in handled {
        meter.add(table::named(outcome.name()), 1);
        meter.add(table::JOBS_ENDED, u64::from(outcome.has_ended_job()));
        if let Outcome::Retry(retry) = outcome {
            meter.add(table::RETRIED, u64::from(retry.reason.is_stalled()));
            meter.add(if retry.charged { table::RETRIES_CHARGED } else { table::RETRIES_UNCHARGED }, 1);
        }
        if let Some(cause) = outcome.cause() {
            meter.add_for(table::RETRIES_BY_CAUSE, cause, 1);
        }
        if let Some(usage) = usage {
            meter.add(table::INPUT_TOKENS, usage.input_tokens);
            meter.add(table::OUTPUT_TOKENS, usage.output_tokens);
        }
    }
}

/// Measures the age of a handled message; `None` if SQS did not say when it was sent.
pub(super) fn measure_age(meter: &Meter, age_ms: Option<i64>, outcome: &Outcome) {
    let Some(age_ms) = age_ms else { return };
    let seconds = age_ms as f64 / 1_000.0;
    meter.raise(table::OLDEST_MESSAGE_SECONDS, seconds);
    if let Outcome::Retry(_) = outcome {
        meter.raise(table::OLDEST_RETRIED_SECONDS, seconds);
    }
}

/// Measures an answered call.
pub(super) fn measure_answer(meter: &Meter, answered: &AnsweredCall) {
    meter.add(table::MODEL_ANSWERS, 1);
    meter.sample(table::MODEL_LATENCY_MS, u64::try_from(answered.elapsed.as_millis()).unwrap_or(u64::MAX));
    meter.add(table::BILLED_INPUT_TOKENS, answered.usage.input_tokens);
    meter.add(table::BILLED_OUTPUT_TOKENS, answered.usage.output_tokens);
}
