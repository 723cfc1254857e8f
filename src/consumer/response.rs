//! The end of a record, and the batch response that Lambda expects.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::collections::BTreeSet;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};

use crate::domain::job::outcome::Outcome;
use crate::domain::job::stored::Usage;

/// The end of one record.
pub(super) struct Handled {
    pub outcome: Outcome,
    /// The tokens of a completed job.
    pub usage: Option<Usage>,
}

impl Handled {
    pub fn without_usage(outcome: Outcome) -> Self {
        Self { outcome, usage: None }
    }
}

/// The whole batch fails: a record must be retried and has no message id. Lambda
/// would read an empty id as a failure of the whole batch, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record that must be retried has no message id, so the whole batch is retried")]
pub struct BatchFailed;

/// Names each message that must be retried, once.
pub(super) fn response(
    outcomes: impl IntoIterator<Item = (Option<String>, Outcome)>,
) -> Result<SqsBatchResponse, BatchFailed> {
    let mut retried = BTreeSet::new();
    for (message_id, outcome) in outcomes {
        match outcome {
            Outcome::Acknowledge(_) => {}
            Outcome::Retry(_) => {
                retried.insert(message_id.filter(|id| !id.is_empty()).ok_or(BatchFailed)?);
            }
        }
    }
    let mut response = SqsBatchResponse::default();
    for message_id in retried {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message_id;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::outcome::{Acknowledged, Retry, RetryReason};

    fn names(outcomes: &[(Option<&str>, bool)]) -> Result<String, BatchFailed> {
        let outcomes = outcomes.iter().map(|(id, is_retried)| {
            let outcome = match is_retried {
                true => Retry::at_visibility_timeout(RetryReason::Busy),
                false => Outcome::Acknowledge(Acknowledged::Completed),
            };
            (id.map(str::to_owned), outcome)
        });
        response(outcomes).map(|response| serde_json::to_string(&response).unwrap())
    }

    #[test]
    fn response_names_exactly_the_failing_records() {
        for subset in 0u32..1024 {
            let ids: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
            let failing = |n: &usize| subset & (1 << n) != 0;
            let outcomes: Vec<_> = (0..10).map(|n| (Some(ids[n].as_str()), failing(&n))).collect();
            let expected: Vec<String> =
                (0..10).filter(failing).map(|n| format!(r#"{{"itemIdentifier":"m{n}"}}"#)).collect();
            let expected = format!(r#"{{"batchItemFailures":[{}]}}"#, expected.join(","));
            assert_eq!(names(&outcomes).unwrap(), expected);
        }
    }

    #[test]
    fn repeated_message_id_is_named_once() {
        assert_eq!(
            names(&[(Some("a"), true), (Some("a"), false), (Some("a"), true)]).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#
        );
    }

    #[test]
    fn failing_record_without_id_fails_the_batch() {
        assert_eq!(names(&[(Some("a"), true), (None, true)]), Err(BatchFailed));
        assert_eq!(names(&[(Some(""), true)]), Err(BatchFailed));
        assert_eq!(names(&[(None, false)]).unwrap(), r#"{"batchItemFailures":[]}"#);
    }
}
