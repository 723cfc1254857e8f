//! The canary: a fixed small text by which a model shows whether it answers at all.

use std::time::Duration;

use super::measures::measure_answer;
use crate::aws::model::{Call, CallError, Model, Question};
use crate::domain::analysis::Analysis;
use crate::domain::document::Document;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::HoldKind;
use crate::domain::ids::JobId;
use crate::domain::job::ending::AttemptError;
use crate::domain::limits::CANARY_TIMEOUT;
use crate::metrics::{Meter, table};

/// The document of every canary.
const TEXT: &str = "Invoice 1. One box of paper clips. Total: 2 EUR. Payable within 30 days.";

/// The job id in Bedrock's invocation log.
const JOB_ID: &str = "docket-canary";

/// Asks models whether they answer.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    model: Model,
    /// The longest time of a canary: [`CANARY_TIMEOUT`], or the time-out of a call if that
    /// is shorter.
    pub timeout: Duration,
    meter: Meter,
}

/// The end of one canary.
#[derive(Debug)]
pub(super) enum CanaryVerdict {
    /// The model answered. The answer itself does not matter.
    Answered,
    /// The model throttled, so it may or may not answer.
    Throttled,
    /// The model refused the canary or did not answer it.
    Failed(HoldKind, Failure),
}

impl CanaryVerdict {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Throttled => "throttled",
            Self::Failed(..) => "failed",
        }
    }
}

impl Canary {
    pub fn new(model: Model, meter: Meter) -> Self {
        let timeout = CANARY_TIMEOUT.min(model.timeout());
        Self { model, timeout, meter }
    }

    /// Sends the canary to a model, with the settings of every call.
    pub async fn ask(&self, model_id: &str) -> CanaryVerdict {
        let job_id: JobId = JOB_ID.parse().expect("an id");
        let call = Call { job_id: &job_id, attempt: 0, generation: 0, model_id, analysis: Analysis::standard() };
        match tokio::time::timeout(self.timeout, self.call(&call)).await {
            Ok(Ok(_)) => CanaryVerdict::Answered,
            Ok(Err(error)) => match kind_of(&error) {
                Some((kind, reason)) => CanaryVerdict::Failed(kind, reason),
                None => CanaryVerdict::Throttled,
            },
            Err(_) => {
                let message = format!("Bedrock did not answer a canary within {} s", self.timeout.as_secs());
                CanaryVerdict::Failed(HoldKind::Outage, Failure::new(codes::MODEL_TIMEOUT, message))
            }
        }
    }

    /// Makes the call in the first form that the model does not refuse.
    async fn call(&self, call: &Call<'_>) -> Result<(), AttemptError> {
        let question = Question::probe(Document::new(None, TEXT.as_bytes().to_vec()).expect("a text"));
        let mut form = self.model.first_form(call)?;
        loop {
            self.meter.add(table::MODEL_CALLS, 1);
            match self.model.converse(call, &question, form).await {
                Ok(answered) => {
                    measure_answer(&self.meter, &answered);
                    return Ok(());
                }
                Err(CallError::BrokenToolUse(_)) => return Ok(()),
                Err(CallError::Attempt(error)) => return Err(error),
                Err(CallError::FormRefused(error)) => form = self.model.next_form(call, form).ok_or(error)?,
            }
        }
    }
}

/// The kind of hold that an error of a canary or of a call opens, with its reason; `None`
/// for an error that says nothing about other requests.
pub(super) fn kind_of(error: &AttemptError) -> Option<(HoldKind, Failure)> {
    match error {
        AttemptError::NoAnswer(reason) => Some((HoldKind::Outage, reason.clone())),
        AttemptError::AccountFault(reason) | AttemptError::Refused(reason) | AttemptError::Permanent(reason) => {
            Some((HoldKind::AccountFault, reason.clone()))
        }
        AttemptError::Throttled(_)
        | AttemptError::StoreUnavailable(_)
        | AttemptError::Transient(_)
        | AttemptError::Unproven { .. }
        | AttemptError::OnHold(_)
        | AttemptError::NotStored(_)
        | AttemptError::NoTime
        | AttemptError::NotAlone
        | AttemptError::OverQuota(_)
        | AttemptError::Cancelled => None,
    }
}
