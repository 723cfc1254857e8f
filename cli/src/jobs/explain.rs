//! The text about one job.

use docket::domain::message::submitted::{SUBMITTED_HIGH_PREFIX, SUBMITTED_JOB_PREFIX, SUBMITTED_PREFIX};
use serde_json::Value;

use super::remedy::remedy;
use crate::terminal::printable;

/// Values without evidence that are named.
const UNVERIFIED_SHOWN: usize = 20;

/// Explains a job. `bucket` is the stack's bucket, if it is known.
pub(super) fn explain(job: &Value, bucket: Option<&str>) -> String {
    let lines = facts(job, bucket).into_iter().map(|(name, value)| format!("{name:<9} {value}\n"));
    lines.chain(timeline(job).map(|line| format!("  {line}\n"))).collect()
}

/// The facts about a job, each with its name. The values have no control characters.
pub(crate) fn facts(job: &Value, bucket: Option<&str>) -> Vec<(&'static str, String)> {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let count = |pointer: &str| job.pointer(pointer).and_then(Value::as_u64);
    let size = count("/document/size_bytes").map(|size| format!(" ({size} bytes)")).unwrap_or_default();
    let name = text("/document/name").map(|name| format!("{name}{size}")).or((!size.is_empty()).then(|| size.clone()));
    let attempts = format!(
        "{}, of which {} count against MaxAttempts",
        count("/attempt").unwrap_or(0),
        count("/charged_attempts").unwrap_or(0)
    );
    let error = text("/error/code").map(|code| format!("{code}: {}", text("/error/message").unwrap_or_default()));
    let tokens = count("/usage/input_tokens")
        .map(|input| format!("{input} input, {} output", count("/usage/output_tokens").unwrap_or(0)));
    let seconds = count("/model_latency_ms").map(|ms| format!("{:.1} s", ms as f64 / 1_000.0));
    let label = text("/result/classification/label");
    let duplicate = (job["possible_duplicate_call"] == true)
        .then(|| "an earlier worker was lost; its call may have been made and paid for".to_owned());
    let rows = [
        ("job", text("/job_id")),
        ("status", text("/status").map(|status| describe_status(&status))),
        ("batch", text("/batch_id")),
        ("priority", text("/priority")),
        ("document", name),
        ("object", object_of(job, bucket)),
        ("sha256", text("/document/sha256")),
        ("created", text("/created_at")),
        ("updated", text("/updated_at")),
        ("finished", text("/completed_at")),
        ("attempts", Some(attempts)),
        ("warning", duplicate),
        ("model", text("/model_id")),
        ("call", seconds),
        ("tokens", tokens),
        ("reused", text("/deduplicated_from")),
        ("label", label),
        ("summary", text("/result/summary")),
        ("verified", verified(job)),
        ("waits", waits_for(job)),
        (
            "last",
            text("/last_error/code").map(|code| format!("{code}: {}", text("/last_error/message").unwrap_or_default())),
        ),
        ("error", error),
        ("remedy", text("/error/code").map(|code| remedy(&code).to_owned())),
        ("next", next_step(job)),
        ("note", text("/note")),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name, printable(value?.trim())))).collect()
}

/// A line for each end of an attempt.
pub(crate) fn timeline(job: &Value) -> impl Iterator<Item = String> {
    let attempts = job["attempts"].as_array().into_iter().flatten();
    attempts.map(|attempt| {
        let text = |name: &str| attempt[name].as_str().map(printable).unwrap_or_default();
        let line = format!("{}  attempt {}  {} {}", text("ended_at"), attempt["attempt"], text("end"), text("code"));
        line.trim_end().to_owned()
    })
}

/// The verified values, and the places of the others.
fn verified(job: &Value) -> Option<String> {
    let summary = job["verified"].as_str()?;
    let paths: Vec<&str> =
        job["evidence"]["unverified"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let more = if paths.len() > UNVERIFIED_SHOWN { ", …" } else { "" };
    Some(match paths.is_empty() {
        true => summary.to_owned(),
        false => {
            format!("{summary}; without evidence: {}{more}", paths[..paths.len().min(UNVERIFIED_SHOWN)].join(", "))
        }
    })
}

/// The hold of the job's model, or the pause of its batch.
fn waits_for(job: &Value) -> Option<String> {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str);
    match (text("/paused/reason"), text("/hold/reason")) {
        (Some(reason), _) => Some(format!("the batch is paused: {reason}; `docket resume` ends the pause")),
        (None, Some(reason)) => {
            let next = text("/hold/next_probe_at").map(|at| format!("; next probe at {at}")).unwrap_or_default();
            Some(format!("on hold: {reason}{next}"))
        }
        (None, None) => None,
    }
}

fn describe_status(status: &str) -> String {
    let meaning = match status {
        "pending" => "waits for a worker, a quota, or its next attempt",
        "processing" => "a worker has claimed it",
        "complete" => "the result is stored",
        "failed" => "ended without a result",
        "cancelled" => "a caller cancelled it",
        _ => return status.to_owned(),
    };
    format!("{status}: {meaning}")
}

/// Where the document of `docket submit` is.
fn object_of(job: &Value, bucket: Option<&str>) -> Option<String> {
    let (job_id, batch_id) = (job["job_id"].as_str()?, job["batch_id"].as_str()?);
    let name = job["document"]["name"].as_str().filter(|_| job_id.starts_with(SUBMITTED_JOB_PREFIX))?;
    let prefix = if job["priority"] == "high" { SUBMITTED_HIGH_PREFIX } else { SUBMITTED_PREFIX };
    Some(format!("s3://{}/{prefix}{batch_id}/{job_id}/{name}", bucket?))
}

fn next_step(job: &Value) -> Option<String> {
    let job_id = job["job_id"].as_str()?;
    match job["status"].as_str()? {
        "failed" => Some(format!(
            "`docket retry --job {job_id}` starts it again. Its dead letter has the attribute job_id; \
             `docket redrive` moves dead letters, for documents that came inside a message"
        )),
        "pending" | "processing" => Some(format!("`docket cancel --job {job_id}` cancels it")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failed_job_has_error_remedy_and_object() {
        let job = json!({
            "job_id": "file-1", "status": "failed", "batch_id": "b", "priority": "high", "attempt": 3,
            "charged_attempts": 2, "document": {"name": "north/a.pdf", "size_bytes": 7},
            "error": {"code": "document_encrypted", "message": "a\u{1b}[31mb"},
            "attempts": [
                {"attempt": 1, "ended_at": "2026-11-22T10:00:00Z", "end": "throttled", "code": "throttling_exception"},
                {"attempt": 2, "ended_at": "2026-11-22T10:00:09Z", "end": "failed"},
            ],
        });
        let text = explain(&job, Some("bucket"));
        for line in [
            "status    failed: ended without a result",
            "document  north/a.pdf (7 bytes)",
            "object    s3://bucket/submitted-high/b/file-1/north/a.pdf",
            "attempts  3, of which 2 count against MaxAttempts",
            "error     document_encrypted: a [31mb",
            "remedy    Remove the password.",
            "  2026-11-22T10:00:00Z  attempt 1  throttled throttling_exception",
            "  2026-11-22T10:00:09Z  attempt 2  failed",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!explain(&json!({"job_id": "a", "batch_id": "b"}), Some("bucket")).contains("object"));
        let partly = json!({"job_id": "a", "verified": "1 of 2", "evidence": {"unverified": ["/rent"]}});
        assert!(explain(&partly, None).contains("verified  1 of 2; without evidence: /rent\n"));
        let held = json!({"job_id": "a", "hold": {"reason": "no access", "next_probe_at": "10:00"}});
        assert!(explain(&held, None).contains("waits     on hold: no access; next probe at 10:00\n"));
    }
}
