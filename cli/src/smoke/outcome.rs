//! The outcome of each document, of the duplicate and of the message that is no job.

use serde::Serialize;
use serde_json::Value;

use super::documents::Submission;
use crate::error::CommandError;

/// A row of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outcome {
    /// The way in: `API`, `upload` or `queue`.
    pub way: &'static str,
    /// The name of the document or of the check.
    pub subject: String,
    /// The job's id, if there is a job.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub job_id: String,
    /// The job's status, or the fate of the message.
    pub status: String,
    /// Whether this is as it should be.
    pub passed: bool,
    /// The defect, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The label of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Input tokens of the call.
    pub input_tokens: u64,
    /// Output tokens of the call.
    pub output_tokens: u64,
    /// Duration of the call in milliseconds.
    pub model_latency_ms: u64,
}

impl Outcome {
    /// A check without a document, such as the duplicate.
    pub fn of_check(way: &'static str, subject: &str, result: Result<String, CommandError>) -> Self {
        let passed = result.is_ok();
        let (status, problem) = match result {
            Ok(status) => (status, None),
            Err(error) => ("failed".to_owned(), Some(error.to_string())),
        };
        Self {
            way,
            subject: subject.to_owned(),
            job_id: String::new(),
            status,
            passed,
            problem,
            label: None,
            model_id: None,
            input_tokens: 0,
            output_tokens: 0,
            model_latency_ms: 0,
        }
    }

    /// The outcome of a document, from the API's view of its job.
    pub fn of_job(submission: &Submission, job_id: &str, view: &Value) -> Self {
        let problem = find_problem(view);
        let number = |pointer: &str| view.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let text = |pointer: &str| view.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        // A result that was reused cost nothing.
        let is_paid = view.get("deduplicated_from").is_none();
        Self {
            way: submission.way.as_str(),
            subject: submission.document.to_owned(),
            job_id: job_id.to_owned(),
            status: text("/status").unwrap_or_else(|| "missing".to_owned()),
            passed: problem.is_none(),
            problem,
            label: text("/result/classification/label"),
            model_id: text("/model_id"),
            input_tokens: if is_paid { number("/usage/input_tokens") } else { 0 },
            output_tokens: if is_paid { number("/usage/output_tokens") } else { 0 },
            model_latency_ms: number("/model_latency_ms"),
        }
    }
}

/// The first thing that is wrong with a job; `None` for a complete job with a whole result of
/// the default analysis.
fn find_problem(view: &Value) -> Option<String> {
    match view["status"].as_str() {
        Some("complete") => {}
        Some("failed") => {
            let part = |name: &str| view["error"][name].as_str().unwrap_or("unknown");
            return Some(format!("{}: {}", part("code"), part("message")));
        }
        Some(status) => return Some(format!("the job is {status}")),
        None => return Some("there is no such job: its message or its S3 event was not processed".to_owned()),
    }
    let result = &view["result"];
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let confidence = &result["classification"]["confidence"];
    [
        (is_text(&result["summary"]), "the result has no summary"),
        (is_text(&result["classification"]["label"]), "the result has no label"),
        (
            confidence.as_f64().is_some_and(|confidence| (0.0..=1.0).contains(&confidence)),
            "the confidence of the result is not between 0 and 1",
        ),
        (result["key_points"].is_array(), "the result has no key points"),
        (view["usage"]["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "the job has no token usage"),
    ]
    .into_iter()
    .find(|(is_right, _)| !is_right)
    .map(|(_, problem)| problem.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::documents::list_submissions;
    use super::*;

    fn complete() -> Value {
        json!({
            "status": "complete", "model_id": "m", "model_latency_ms": 8000,
            "usage": {"input_tokens": 832, "output_tokens": 258},
            "result": {
                "summary": "The rent is due.", "classification": {"label": "lease", "confidence": 0.9},
                "key_points": ["Rent is due on the first"],
            },
        })
    }

    #[test]
    fn complete_job_with_a_whole_result_passes() {
        let outcome = Outcome::of_job(&list_submissions("r")[0], "r-api-1", &complete());
        assert!(outcome.passed, "{:?}", outcome.problem);
        assert_eq!((outcome.input_tokens, outcome.label.as_deref()), (832, Some("lease")));
        let mut reused = complete();
        reused["deduplicated_from"] = json!("another");
        assert_eq!(Outcome::of_job(&list_submissions("r")[0], "r-api-1", &reused).input_tokens, 0);
    }

    #[test]
    fn each_defect_of_a_job_is_named() {
        for (pointer, value, expected) in [
            ("/status", json!("pending"), "the job is pending"),
            ("/status", json!("cancelled"), "the job is cancelled"),
            ("/result/summary", json!(" "), "no summary"),
            ("/result/classification/label", json!(null), "no label"),
            ("/result/classification/confidence", json!(90), "between 0 and 1"),
            ("/result/key_points", json!("one"), "no key points"),
            ("/usage/input_tokens", json!(0), "no token usage"),
        ] {
            let mut view = complete();
            *view.pointer_mut(pointer).unwrap() = value;
            let problem = find_problem(&view).unwrap_or_default();
            assert!(problem.contains(expected), "{pointer}: {problem}");
        }
        let failed = json!({"status": "failed", "error": {"code": "model_access", "message": "denied"}});
        assert_eq!(find_problem(&failed).as_deref(), Some("model_access: denied"));
        assert!(find_problem(&Value::Null).is_some_and(|problem| problem.contains("no such job")));
    }
}
