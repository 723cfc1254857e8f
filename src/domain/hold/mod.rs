//! The hold: no job calls a model, or stores a result, until a fault of the account is
//! mended.
//!
//! A wrong model id or a missing right would otherwise fail every document of a batch.
//! An **account fault** opens a hold, which is an item of the jobs table. Jobs wait while
//! the hold exists, and no attempt is charged. A **canary** probes the fault. Its success
//! ends the hold, and the waiting jobs get new messages.
//!
//! ```text
//! call ─ account fault ─ send probe 0 ─ store the hold
//! probe n   canary fails    ─ send probe n+1, delayed ─ the hold expects probe n+1 ─ acknowledge
//! probe n   canary succeeds ─ delete the hold ─ send a resend message ─ acknowledge
//! ```
//!
//! The message of the next probe is sent before the hold expects it. If a prober crashes,
//! SQS delivers its message again, so a hold always has a message that probes it.

pub mod account_fault;
pub mod probe;
pub mod recent_calls;
pub mod waiting;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::failure::Failure;
use crate::domain::ids::BatchId;
use crate::domain::limits::{
    HOLD_PROBE_FIRST, HOLD_PROBE_MAX, HOLD_WAIT_FIRST, HOLD_WAIT_MAX, OUTAGE_PROBE_FIRST, OUTAGE_PROBE_MAX,
};

/// The thing that jobs wait for.
///
/// The text form is part of messages and of the table: a model id, `store`, or `batch/` and
/// a batch id. A model id that would read as another target has the prefix `model/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HoldTarget {
    /// The calls of a model or an inference profile.
    Model(String),
    /// The writes to the documents bucket.
    Store,
    /// A batch that a caller paused.
    Batch(BatchId),
}

impl fmt::Display for HoldTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model_id) if is_ambiguous(model_id) => write!(f, "{MODEL_PREFIX}{model_id}"),
            Self::Model(model_id) => f.write_str(model_id),
            Self::Store => f.write_str(STORE),
            Self::Batch(batch_id) => write!(f, "{BATCH_PREFIX}{batch_id}"),
        }
    }
}

const STORE: &str = "store";
const MODEL_PREFIX: &str = "model/";
const BATCH_PREFIX: &str = "batch/";

/// Whether a model id alone would read as another target. No model of Bedrock has such an
/// id, but a caller may write any text.
fn is_ambiguous(model_id: &str) -> bool {
    model_id == STORE || model_id.starts_with(MODEL_PREFIX) || model_id.starts_with(BATCH_PREFIX)
}

impl From<HoldTarget> for String {
    fn from(target: HoldTarget) -> Self {
        target.to_string()
    }
}

/// The text is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a model id, `store`, or `batch/` and a batch id")]
pub struct InvalidTarget;

impl TryFrom<String> for HoldTarget {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        if text == STORE {
            return Ok(Self::Store);
        }
        if let Some(batch_id) = text.strip_prefix(BATCH_PREFIX) {
            return batch_id.parse().map(Self::Batch).map_err(|_| InvalidTarget);
        }
        match text.strip_prefix(MODEL_PREFIX).unwrap_or(&text) {
            "" => Err(InvalidTarget),
            model_id => Ok(Self::Model(model_id.to_owned())),
        }
    }
}

impl std::str::FromStr for HoldTarget {
    type Err = InvalidTarget;
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        text.to_owned().try_into()
    }
}

/// The kind of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// The account may not use the model, or the model refuses every request.
    AccountFault,
    /// The model does not answer.
    Outage,
    /// The documents bucket refuses writes.
    StoreRefusal,
}

/// A hold, as the jobs table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The thing that the jobs wait for: a model or the store.
    pub target: HoldTarget,
    /// The kind of the hold.
    pub kind: HoldKind,
    /// The fault, as the last probe or call met it.
    pub reason: Failure,
    /// The time at which the hold was opened.
    pub since: Timestamp,
    /// The number of the probe that the hold expects, from 0.
    pub probe: u32,
    /// The time at which that probe is due.
    pub next_probe_at: Timestamp,
    /// The time until which a prober holds the probe; `None` if none has taken it. The table
    /// has it in epoch milliseconds, so that a condition can compare it.
    #[serde(
        default,
        rename = "probe_lease_until_ms",
        with = "jiff::fmt::serde::timestamp::millisecond::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub probe_lease_until: Option<Timestamp>,
}

impl Hold {
    /// A new hold, whose first probe is due after the kind's first delay.
    pub fn new(target: HoldTarget, kind: HoldKind, reason: Failure, now: Timestamp) -> Self {
        Self {
            target,
            kind,
            reason,
            since: now,
            probe: 0,
            next_probe_at: now + probe_delay(kind, 0),
            probe_lease_until: None,
        }
    }
}

/// The delay before the `number`-th probe, counted from 0. It doubles up to 15 minutes,
/// and up to 2 minutes for an outage.
pub fn probe_delay(kind: HoldKind, number: u32) -> Duration {
    let (first, max) = match kind {
        HoldKind::AccountFault | HoldKind::StoreRefusal => (HOLD_PROBE_FIRST, HOLD_PROBE_MAX),
        HoldKind::Outage => (OUTAGE_PROBE_FIRST, OUTAGE_PROBE_MAX),
    };
    doubled(first, number, max)
}

/// The delay of the message of a waiting job, which SQS delivered `receive_count` times.
///
/// The delay doubles up to an hour, so that ten days of waiting take fewer than 250 of
/// the queue's `maxReceiveCount`. A job does not wait for this delay when the hold ends,
/// because the consumer then sends a new message for it.
pub fn message_delay(receive_count: u32) -> Duration {
    doubled(HOLD_WAIT_FIRST, receive_count.saturating_sub(1), HOLD_WAIT_MAX)
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_survives_its_text_form() {
        let profile = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0";
        let models = [profile, "a-model", "store", "batch/b", "model/m"].map(|id| HoldTarget::Model(id.to_owned()));
        let others = [HoldTarget::Store, HoldTarget::Batch("leases".parse().unwrap())];
        for target in models.into_iter().chain(others) {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        assert_eq!(HoldTarget::Model(profile.to_owned()).to_string(), profile);
        for text in ["", "model/", "batch/", "batch/a b"] {
            assert_eq!(text.parse::<HoldTarget>(), Err(InvalidTarget), "{text}");
        }
    }

    #[test]
    fn probes_double_up_to_fifteen_minutes() {
        let seconds = |kind| (0..8).map(|n| probe_delay(kind, n).as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(HoldKind::AccountFault), [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(seconds(HoldKind::Outage), [15, 30, 60, 120, 120, 120, 120, 120]);
        assert_eq!(probe_delay(HoldKind::StoreRefusal, u32::MAX), Duration::from_secs(900));
    }

    #[test]
    fn ten_days_of_waiting_take_under_250_receives() {
        let (mut waited, mut receives) = (Duration::ZERO, 0);
        while waited < Duration::from_secs(10 * 24 * 60 * 60) {
            receives += 1;
            waited += message_delay(receives);
        }
        assert!(receives < 250, "{receives}");
        assert_eq!(message_delay(0), message_delay(1));
    }
}
