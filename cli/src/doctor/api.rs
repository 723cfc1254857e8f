//! The API: whether it answers this caller.

use super::line::Line;
use crate::aws::api::{ApiError, Response};

const CHECK: &str = "API";
/// A job that does not exist.
pub(super) const PATH: &str = "/jobs/docket-doctor-no-such-job";

/// The line of the API, from its answer to a question for a job that does not exist.
pub(super) fn judge_api(answer: Result<Response, ApiError>) -> Line {
    let subject = "ApiUrl";
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            let remedy = "Check the network, and that the stack still exists.";
            return Line::error(CHECK, subject, format!("no answer: {error}"), remedy);
        }
    };
    let problem = response.json();
    let title = problem["title"].as_str().unwrap_or("no problem document");
    match response.status {
        404 if problem["type"] == "urn:docket:problem:no-such-job" => Line::ok(CHECK, subject, "answers"),
        403 => Line::warning(
            CHECK,
            subject,
            format!("not checked: API Gateway refuses the request ({})", problem["reason"].as_str().unwrap_or(title)),
            "Allow execute-api:Invoke for this caller: attach the policy of the output ReaderPolicyArn.",
        ),
        429 => Line::warning(
            CHECK,
            subject,
            "throttled: more requests than ApiRateLimit",
            "Run the command again, or deploy with a larger ApiRateLimit.",
        ),
        status => Line::error(
            CHECK,
            subject,
            format!("answered {status}: {title}"),
            "Read the logs of the API and of the producer: /docket/STACK/api and /docket/STACK/producer.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn answer_of_the_api_decides_its_line() {
        let no_such_job = r#"{"type": "urn:docket:problem:no-such-job"}"#;
        let gateway = r#"{"title": "API Gateway answered", "reason": "ACCESS_DENIED"}"#;
        for (status, body, expected) in [
            (404, no_such_job, Status::Ok),
            (404, "not of Docket", Status::Error),
            (403, gateway, Status::Warning),
            (429, gateway, Status::Warning),
            (502, gateway, Status::Error),
        ] {
            let line = judge_api(Ok(Response { status, body: body.to_owned(), next_cursor: None }));
            assert_eq!(line.status, expected, "{status} {body}");
        }
        assert_eq!(judge_api(Err(ApiError::Request("refused".to_owned()))).status, Status::Error);
    }
}
