//! Messages that Docket sends to itself: the probe of a hold, the resend of waiting jobs'
//! messages, the sweep, and the retry of a batch.
//!
//! Their body is an object with the field `control` and without `job_id`, so no message of a
//! job is one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::batch::cursor::Cursor;
use crate::domain::batch::filter::Filter;
use crate::domain::hold::HoldTarget;
use crate::domain::ids::BatchId;
use crate::domain::job::sweep_walk::SweepWalk;

/// A message that contains no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// Probe the hold of a target.
    Probe {
        /// The model or the store.
        target: HoldTarget,
        /// The number of the probe, from 0.
        number: u32,
    },
    /// Send a message for each job that waits for a target.
    Resend {
        /// The model, the store or the batch.
        target: HoldTarget,
        /// Whether this is the last look, after which no further resend message follows
        /// unless a job was found.
        #[serde(default)]
        last_look: bool,
    },
    /// Find unfinished jobs whose message is lost. EventBridge sends it on a schedule.
    Sweep(SweepWalk),
    /// Retry the remaining jobs of a batch.
    Retry(BatchRetry),
}

/// The remaining part of the retry of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRetry {
    /// The batch.
    pub batch_id: BatchId,
    /// The jobs of the batch that are retried.
    pub filter: Filter,
    /// The position of the next job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The time of the request. A job that failed later is not retried.
    pub asked_at: Timestamp,
}

impl Control {
    /// The body of the message.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("Docket's types serialize")
    }

    /// Whether a body is a control message of this release or of another.
    pub fn has_tag(body: &str) -> bool {
        body.starts_with(r#"{"control":"#)
    }

    /// Reads a body; `None` if it is no control message.
    pub fn parse(body: &str) -> Option<Self> {
        // A document is not parsed twice: control messages begin with their tag.
        if !Self::has_tag(body) {
            return None;
        }
        serde_json::from_str(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::batch::cursor::Select;
    use crate::domain::job::stored::Status;
    use crate::domain::job::stranded::UnfinishedPosition;

    #[test]
    fn control_message_survives_its_body() {
        let model = HoldTarget::Model("eu.amazon.nova-lite-v1:0".into());
        for control in [
            Control::Probe { target: model.clone(), number: 3 },
            Control::Resend { target: model, last_look: true },
            Control::Resend { target: HoldTarget::Batch("b".parse().unwrap()), last_look: false },
            Control::Sweep(SweepWalk::default()),
            Control::Sweep(SweepWalk {
                after: Some(UnfinishedPosition { partition: "b/7".into(), job_id: "j".parse().unwrap() }),
                expected: 12,
                left: Some(3),
            }),
            Control::Retry(BatchRetry {
                batch_id: "b".parse().unwrap(),
                filter: Filter { error_code: Some("c".into()), ..Filter::from(Select::Only(Status::Failed)) },
                cursor: Some("3.job-7".parse().unwrap()),
                asked_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            }),
        ] {
            assert_eq!(Control::parse(&control.body()), Some(control));
        }
        assert_eq!(
            Control::Probe { target: HoldTarget::Store, number: 0 }.body(),
            r#"{"control":"probe","target":"store","number":0}"#
        );
        // The body that the template's schedule sends.
        assert_eq!(Control::parse(r#"{"control":"sweep"}"#), Some(Control::Sweep(SweepWalk::default())));
    }

    #[test]
    fn message_of_a_job_is_no_control_message() {
        for body in [
            r#"{"job_id":"a","document":"x","control":"probe"}"#,
            r#"{"control":"dance"}"#,
            r#"{"control":"probe","target":"","number":0}"#,
            r#"{"control":"#,
            "",
        ] {
            assert_eq!(Control::parse(body), None, "{body}");
        }
    }
}
