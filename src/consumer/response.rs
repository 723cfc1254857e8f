//! Outcomes as Lambda wants to hear them.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::collections::BTreeSet;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};

use crate::domain::outcome::Outcome;

/// The batch as a whole is wanted again: a record that is wanted again has no
/// message id, and an empty one would say the same of the whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record without a message id is wanted again, so the whole batch is")]
pub struct BatchFailed;

/// Names the messages that are wanted again, each once.
pub(super) fn response(
    outcomes: impl IntoIterator<Item = (Option<String>, Outcome)>,
) -> Result<SqsBatchResponse, BatchFailed> {
    let mut wanted = BTreeSet::new();
    for (message_id, outcome) in outcomes {
        match outcome {
            Outcome::Acknowledge(_) => {}
            Outcome::Again(_) => {
                wanted.insert(message_id.filter(|id| !id.is_empty()).ok_or(BatchFailed)?);
            }
        }
    }
    let mut response = SqsBatchResponse::default();
    for message_id in wanted {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message_id;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Acknowledged, Again, AgainReason};

    fn names(outcomes: &[(Option<&str>, bool)]) -> Result<String, BatchFailed> {
        let outcomes = outcomes.iter().map(|(id, again)| {
            let outcome = match again {
                true => Again::by_visibility(AgainReason::Busy),
                false => Outcome::Acknowledge(Acknowledged::Completed),
            };
            (id.map(str::to_owned), outcome)
        });
        response(outcomes).map(|response| serde_json::to_string(&response).unwrap())
    }

    #[test]
    fn every_subset_of_ten_failing_records_gives_exactly_the_failing_ids() {
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
    fn a_message_id_that_comes_twice_is_named_once() {
        assert_eq!(
            names(&[(Some("a"), true), (Some("a"), false), (Some("a"), true)]).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#
        );
    }

    #[test]
    fn a_record_that_cannot_be_named_is_not_lost() {
        assert_eq!(names(&[(Some("a"), true), (None, true)]), Err(BatchFailed));
        assert_eq!(names(&[(Some(""), true)]), Err(BatchFailed));
        assert_eq!(names(&[(None, false)]).unwrap(), r#"{"batchItemFailures":[]}"#);
    }
}
