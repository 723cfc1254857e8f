//! The event source mappings, and the concurrency that they may use together.

use super::line::Line;
use crate::aws::functions::{Concurrency, Mapping};
use crate::aws::stack::Stack;

pub(super) const CHECK: &str = "mapping";
pub(super) const CONCURRENCY_CHECK: &str = "concurrency";

/// Concurrent executions that the producer and the notifier need at least.
const OTHER_EXECUTIONS: u32 = 2;

/// A source that must have a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The name of the resource in the template.
    pub name: &'static str,
    /// The output with the name of the function.
    pub function_output: &'static str,
    /// Parts of the ARN of the source.
    arn_parts: Vec<String>,
}

/// The sources of a stack: both queues of jobs, and the stream of the jobs table.
pub(super) fn list_sources(stack: &Stack) -> Vec<Source> {
    let queue = |output| stack.output(output).and_then(|url| url.rsplit('/').next()).map(|name| format!(":{name}"));
    let table = stack.output("JobsTableName").map(|name| format!(":table/{name}/stream/"));
    let sources = [
        ("JobsQueue", "ConsumerFunctionName", queue("JobsQueueUrl"), ":sqs:"),
        ("HighPriorityQueue", "ConsumerFunctionName", queue("HighPriorityQueueUrl"), ":sqs:"),
        ("JobsTable stream", "NotifierFunctionName", table, ":dynamodb:"),
    ];
    let known = sources.into_iter().filter_map(|(name, function_output, part, service)| {
        Some(Source { name, function_output, arn_parts: vec![service.to_owned(), part?] })
    });
    known.collect()
}

impl Source {
    fn is_of(&self, mapping: &Mapping) -> bool {
        let [service, part] = self.arn_parts.as_slice() else { return false };
        let arn = &mapping.source_arn;
        arn.contains(service) && (arn.ends_with(part) || (part.ends_with('/') && arn.contains(part)))
    }
}

/// The line of a source, from the mappings of its function.
pub(super) fn judge_source(source: &Source, mappings: &[Mapping]) -> Line {
    let name = source.name;
    let Some(mapping) = mappings.iter().find(|mapping| source.is_of(mapping)) else {
        let detail = "the function has no event source mapping for this source";
        return Line::error(CHECK, name, detail, "Deploy the stack again.");
    };
    let state = mapping.state.as_str();
    let problem = mapping.last_result.as_deref().filter(|result| result.starts_with("PROBLEM"));
    match state {
        "Enabled" => match (problem, mapping.maximum_concurrency) {
            (Some(problem), _) => Line::warning(CHECK, name, problem, "Read the log of the function."),
            (None, Some(maximum)) => {
                Line::ok(CHECK, name, format!("Enabled, {maximum} concurrent invocations at most"))
            }
            (None, None) => Line::ok(CHECK, name, "Enabled"),
        },
        "Disabled" | "Disabling" => Line::error(
            CHECK,
            name,
            format!("{state}: no message of this source is processed"),
            format!("Run `aws lambda update-event-source-mapping --enabled --uuid {}`.", mapping.uuid),
        ),
        _ => Line::warning(CHECK, name, state, "Wait a minute, and run the command again."),
    }
}

/// The account's concurrency, compared with the sum of the mappings.
pub(super) fn judge_concurrency(concurrency: Concurrency, mappings: &[Mapping]) -> Line {
    let sum: u32 = mappings.iter().filter_map(|mapping| mapping.maximum_concurrency).sum();
    let Concurrency { total, unreserved } = concurrency;
    let subject = "Lambda";
    let detail = format!("the mappings may use {sum} of {unreserved} unreserved executions ({total} in the account)");
    let remedy = "Request more of Lambda's \"Concurrent executions\" in Service Quotas, or deploy with a lower \
                  MaximumConcurrency and HighPriorityConcurrency.";
    if sum > unreserved {
        Line::error(CONCURRENCY_CHECK, subject, format!("{detail}, so Lambda throttles the functions"), remedy)
    } else if sum + OTHER_EXECUTIONS > unreserved {
        let detail = format!("{detail}, which leaves too few for the API and the events");
        Line::warning(CONCURRENCY_CHECK, subject, detail, remedy)
    } else {
        Line::ok(CONCURRENCY_CHECK, subject, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn stack() -> Stack {
        let outputs = [
            ("JobsQueueUrl", "http://127.0.0.1/000000000000/docket-JobsQueue-1"),
            ("HighPriorityQueueUrl", "http://127.0.0.1/000000000000/docket-HighPriorityQueue-1"),
            ("JobsTableName", "docket-JobsTable-1"),
        ];
        Stack::new(None, outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    fn mapping(arn: &str, state: &str) -> Mapping {
        Mapping {
            uuid: "u-1".to_owned(),
            source_arn: arn.to_owned(),
            state: state.to_owned(),
            last_result: None,
            maximum_concurrency: Some(10),
            batch_size: Some(10),
        }
    }

    const JOBS: &str = "arn:aws:sqs:us-east-1:000000000000:docket-JobsQueue-1";
    const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/docket-JobsTable-1/stream/2026-11-22T10:00:00";

    #[test]
    fn each_source_finds_its_own_mapping() {
        let sources = list_sources(&stack());
        assert_eq!(sources.len(), 3);
        let mappings = [mapping(JOBS, "Enabled"), mapping(STREAM, "Enabled")];
        let statuses = sources.iter().map(|source| judge_source(source, &mappings).status);
        assert_eq!(statuses.collect::<Vec<_>>(), [Status::Ok, Status::Error, Status::Ok]);
    }

    #[test]
    fn state_of_the_mapping_decides_its_line() {
        let source = &list_sources(&stack())[0];
        for (state, expected) in [
            ("Enabled", Status::Ok),
            ("Disabled", Status::Error),
            ("Disabling", Status::Error),
            ("Updating", Status::Warning),
        ] {
            assert_eq!(judge_source(source, &[mapping(JOBS, state)]).status, expected, "{state}");
        }
        let disabled = judge_source(source, &[mapping(JOBS, "Disabled")]);
        assert!(disabled.remedy.is_some_and(|remedy| remedy.contains("--uuid u-1")));
        let problem = Mapping { last_result: Some("PROBLEM: no role".to_owned()), ..mapping(JOBS, "Enabled") };
        assert_eq!(judge_source(source, &[problem]).status, Status::Warning);
    }

    #[test]
    fn sum_of_the_mappings_must_fit_the_account() {
        let mappings = [mapping(JOBS, "Enabled"), mapping(STREAM, "Enabled")];
        for (unreserved, expected) in
            [(22, Status::Ok), (21, Status::Warning), (20, Status::Warning), (19, Status::Error)]
        {
            let concurrency = Concurrency { total: 1_000, unreserved };
            assert_eq!(judge_concurrency(concurrency, &mappings).status, expected, "{unreserved}");
        }
    }
}
