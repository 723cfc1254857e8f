//! The promises that each run must keep, with any fault.

use docket::domain::job::stored::State;
use serde_json::{Value, json};
use test_support::aws::{ReceivedMessage, World};

use crate::delivery::Run;
use crate::proxy::RequestKind;
use crate::scenario::{Case, MAX_ATTEMPTS, Scenario};

/// Checks that the job is complete with the right result, or failed with a dead letter
/// that has its reason. Returns the problems.
pub async fn check_ending(world: &World, case: &Case, body: &str, dead_letters: &[ReceivedMessage]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let job_id = &case.job_id();
    let stored = if case.scenario == Scenario::Malformed { None } else { world.row(job_id).await };
    match (case.scenario, stored.as_ref().map(|stored| &stored.state)) {
        (Scenario::Malformed, None) => {
            let has_reason = |letter: &ReceivedMessage| letter.attributes["error_code"] == "malformed_message";
            expect(dead_letters.iter().any(has_reason), "no dead letter".into());
        }
        (Scenario::Succeeds | Scenario::ThrottledFirst | Scenario::AccountFault, Some(State::Complete(completed))) => {
            let result = completed.result.inline().expect("an inline result");
            let summary = result["summary"].as_str().unwrap_or_default();
            expect(summary.contains("900 euros"), format!("a wrong result: {summary}"));
            expect(dead_letters.is_empty(), format!("complete, but with a dead letter: {dead_letters:?}"));
            let charged = stored.as_ref().map_or(0, |stored| stored.charged_attempts as usize);
            expect(charged <= 1 + case.faults.len(), format!("{charged} charged attempts"));
            expect(stored.as_ref().is_some_and(|stored| stored.waiting_for.is_none()), "complete, but waiting".into());
        }
        (Scenario::AsyncInvocation, Some(State::Complete(completed))) => {
            let output = &completed.result.inline().expect("an inline result")["output"];
            expect(output["objects"].as_array().is_some_and(|all| all.len() == 2), format!("a wrong output: {output}"));
            expect(dead_letters.is_empty(), format!("complete, but with a dead letter: {dead_letters:?}"));
            let count = &world.model.calls()["async"]["by_output"][output_uri(world, job_id)];
            expect(*count == json!(1), format!("{count} invocations instead of 1"));
        }
        (scenario, Some(State::Failed { error, .. })) => {
            let attempts_exhausted = error.code == "attempts_exhausted";
            // A job that succeeds without faults may fail only if faults used up all its attempts.
            let faults_suffice = case.kills_every_call || case.faults.len() >= MAX_ATTEMPTS as usize;
            let all_are_charged =
                stored.as_ref().is_some_and(|stored| stored.charged_attempts + stored.unproven_errors >= MAX_ATTEMPTS);
            let is_expected = match scenario {
                Scenario::PermanentlyBad => attempts_exhausted || error.code == "validation_exception",
                _ => attempts_exhausted && faults_suffice && all_are_charged,
            };
            expect(is_expected, format!("failed with {error:?}"));
            let attempt = stored.as_ref().map_or(0, |stored| stored.attempt).to_string();
            let letter = dead_letters.iter().find(|letter| letter.attributes.get("failed_attempt") == Some(&attempt));
            let reason = letter.map(|letter| letter.attributes["error_code"].as_str());
            expect(
                reason == Some(&error.code),
                format!("the dead letter of attempt {attempt} has the code {reason:?}"),
            );
        }
        (_, state) => expect(false, format!("the job ended as {state:?}")),
    }
    let is_message = |letter: &ReceivedMessage| letter.body == body || is_resent(&letter.body, body);
    expect(dead_letters.iter().all(is_message), "a dead letter's body is not the message".into());
    problems
}

/// Whether a body is the message that the end of a hold sends in place of `original`: it
/// names the same job and the same object.
fn is_resent(body: &str, original: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(body), Some(original)) = (read(body), read(original)) else { return false };
    let names =
        |body: &Value| [&body["job_id"], &body["document_s3"]["bucket"], &body["document_s3"]["key"]].map(Value::clone);
    names(&body) == names(&original) && original["document_s3"].is_object()
}

fn output_uri(world: &World, job_id: &str) -> String {
    docket::domain::async_invocation::request::output_uri(&world.bucket, &job_id.parse().expect("a valid job id"))
}

/// Checks the requests of a run: the number of calls, their order, and that no write of an
/// older attempt took effect. Returns the problems.
pub fn check_requests(case: &Case, run: &Run) -> Vec<String> {
    let mut problems: Vec<String> =
        run.unfinished.iter().map(|state| format!("the run did not end: {state}")).collect();
    let calls: Vec<_> = run.requests.iter().filter(|request| request.kind == RequestKind::Converse).collect();
    let allowed = if case.kills_every_call { MAX_ATTEMPTS as usize } else { case.scenario.calls() + case.faults.len() };
    if calls.len() > allowed {
        problems.push(format!("{} calls; at most {allowed} are allowed", calls.len()));
    }
    let completions =
        run.requests.iter().filter(|request| matches!(request.kind, RequestKind::FencedWrite { completes: true, .. }));
    let completed_at = completions.filter_map(|request| request.succeeded_at).min();
    if completed_at.is_some_and(|completed_at| calls.iter().any(|call| call.at > completed_at)) {
        problems.push("a call began after the job was complete".into());
    }
    for write in &run.requests {
        let (RequestKind::FencedWrite { fence, .. }, Some(_)) = (write.kind, write.succeeded_at) else { continue };
        // A claim or a resume whose success was known before the write reached the table.
        let newer = run.requests.iter().find(|other| {
            other.attempt_after > Some(fence)
                && other
                    .succeeded_at
                    .is_some_and(|known_at| write.forwarded_at.is_some_and(|sent_at| known_at < sent_at))
        });
        if let Some(newer) = newer {
            problems.push(format!("attempt {fence} wrote although {:?} was the newest attempt", newer.attempt_after));
        }
    }
    problems
}
