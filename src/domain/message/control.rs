//! Messages that Docket sends to itself: the probe of a hold, and the resend of waiting
//! jobs' messages.
//!
//! Their body is an object with the field `control` and without `job_id`, so no message of a
//! job is one.

use serde::{Deserialize, Serialize};

use crate::domain::hold::HoldTarget;

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

    #[test]
    fn control_message_survives_its_body() {
        let model = HoldTarget::Model("eu.amazon.nova-lite-v1:0".into());
        for control in [
            Control::Probe { target: model.clone(), number: 3 },
            Control::Resend { target: model, last_look: true },
            Control::Resend { target: HoldTarget::Batch("b".parse().unwrap()), last_look: false },
        ] {
            assert_eq!(Control::parse(&control.body()), Some(control));
        }
        assert_eq!(
            Control::Probe { target: HoldTarget::Store, number: 0 }.body(),
            r#"{"control":"probe","target":"store","number":0}"#
        );
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
