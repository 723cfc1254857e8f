//! A batch as the API returns it, with the number of its documents in the bucket.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::exit::Exit;
use crate::plan::format_duration;
use crate::terminal::printable;

const ENDED: [&str; 3] = ["complete", "failed", "cancelled"];
const UNFINISHED: [&str; 2] = ["processing", "pending"];

/// A batch at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    /// The API's view.
    pub json: Value,
    /// Jobs that must exist at the end. A job exists only when a worker has claimed it; its
    /// document is in the bucket before.
    expected: u64,
    /// Whether a time-out passed before the end.
    is_late: bool,
}

impl Batch {
    /// A batch of which at least `expected` jobs will exist.
    pub fn new(json: Value, expected: Option<u64>) -> Self {
        Self { json, expected: expected.unwrap_or(0), is_late: false }
    }

    /// The batch at the time-out of a wait.
    pub fn at_timeout(self) -> Self {
        Self { is_late: true, ..self }
    }

    /// The jobs with this status.
    pub fn count(&self, name: &str) -> u64 {
        self.json["request_counts"][name].as_u64().unwrap_or(0)
    }

    /// The jobs that exist.
    pub fn total(&self) -> u64 {
        self.count("total")
    }

    /// The jobs at the end, as far as known.
    pub fn expected(&self) -> u64 {
        self.expected.max(self.total())
    }

    /// The jobs that have finished.
    pub fn finished(&self) -> u64 {
        ENDED.iter().map(|name| self.count(name)).sum()
    }

    /// Whether every job that the API knows has finished.
    pub fn is_idle(&self) -> bool {
        self.total() > 0 && self.finished() == self.total()
    }

    /// Whether no job will finish any more.
    pub fn has_ended(&self) -> bool {
        self.json["status"] == "cancelled" || (self.is_idle() && self.total() >= self.expected)
    }

    /// Why no job runs: a hold of a model, or a pause of the batch.
    pub fn waits_for(&self) -> Option<String> {
        let reason = |of: &Value| of["reason"].as_str().unwrap_or("no reason is known").to_owned();
        let since = |of: &Value| of["since"].as_str().map(|since| format!(" since {since}")).unwrap_or_default();
        let (hold, paused) = (&self.json["hold"], &self.json["paused"]);
        if paused.is_object() {
            return Some(format!("paused{}: {}", since(paused), reason(paused)));
        }
        if !hold.is_object() {
            return None;
        }
        let subject = hold["model_id"].as_str().or(hold["kind"].as_str()).unwrap_or("the stack");
        let next = hold["next_probe_at"].as_str().map(|at| format!("; next probe at {at}")).unwrap_or_default();
        Some(format!("{subject} is on hold{}: {}{next}", since(hold), reason(hold)))
    }

    /// The seconds until the end, by the present rate.
    pub fn remaining_seconds(&self) -> Option<f64> {
        let rate = self.json["jobs_per_minute"].as_f64().filter(|rate| *rate > 0.0)?;
        Some((self.expected() - self.finished().min(self.expected())) as f64 / rate * 60.0)
    }

    /// A text that changes when something other than a number changes.
    pub fn phase(&self) -> String {
        format!("{} {}", self.json["status"], self.waits_for().unwrap_or_default())
    }

    fn counts(&self) -> String {
        let mut names = ENDED.iter().chain(&UNFINISHED).filter(|name| self.count(name) > 0);
        let counts: Vec<String> = names.by_ref().map(|name| format!("{} {name}", self.count(name))).collect();
        if counts.is_empty() { "no job yet".to_owned() } else { counts.join(", ") }
    }

    /// The state on one line.
    pub fn line(&self, now: Timestamp) -> String {
        let mut parts = vec![format!("{} of {} finished: {}", self.finished(), self.expected(), self.counts())];
        if let Some(rate) = self.json["jobs_per_minute"].as_f64() {
            parts.push(format!("{rate:.1} per minute"));
        }
        if let Some(seconds) = self.remaining_seconds().filter(|_| !self.has_ended()) {
            parts.push(format!("done in about {} ({})", format_duration(seconds), completion(now, seconds)));
        }
        parts.extend(self.cost());
        parts.extend(self.waits_for());
        parts.join("; ")
    }

    /// The cost in US dollars, if it is known.
    pub fn cost(&self) -> Option<String> {
        self.json["cost_usd"].as_f64().map(|cost| format!("${cost:.2}"))
    }

    /// The state as text.
    pub fn as_text(&self) -> String {
        let text = |name: &str| self.json[name].as_str().map(str::to_owned);
        let tokens = |name: &str| self.json["usage"][name].as_u64().unwrap_or(0);
        let jobs = format!("{} of {} finished: {}", self.finished(), self.expected(), self.counts());
        let rows = [
            ("batch", text("batch_id")),
            ("status", text("status")),
            ("jobs", Some(jobs)),
            ("rate", self.json["jobs_per_minute"].as_f64().map(|rate| format!("{rate:.1} per minute"))),
            ("remaining", self.remaining_seconds().filter(|_| !self.has_ended()).map(format_duration)),
            ("tokens", Some(format!("{} input, {} output", tokens("input_tokens"), tokens("output_tokens")))),
            ("cost", self.cost()),
            ("created", text("created_at")),
            ("completed", text("completed_at")),
            ("waits", self.waits_for()),
        ];
        let lines = rows.into_iter().filter_map(|(name, value)| Some(format!("{name:<10} {}\n", printable(&value?))));
        lines.collect()
    }

    /// The API's view, with the expected number of jobs.
    pub fn as_json(&self) -> String {
        let mut json = self.json.clone();
        json["expected_jobs"] = self.expected().into();
        json.to_string() + "\n"
    }

    /// The exit code that the state deserves, and the reason.
    pub fn verdict(&self) -> (Exit, String) {
        let (failed, cancelled) = (self.count("failed"), self.count("cancelled"));
        let total = self.expected();
        if !self.has_ended() {
            let unfinished = total - self.finished().min(total);
            let line = match total {
                0 => "the batch has no job yet".to_owned(),
                _ => format!("{unfinished} of {total} jobs are unfinished"),
            };
            let line = if self.is_late { format!("time-out: {line}") } else { line };
            return match self.waits_for() {
                Some(reason) if self.is_late => (Exit::NotEstablished, format!("{line}; {reason}")),
                Some(reason) => (Exit::Incomplete, format!("{line}; {reason}")),
                None => (Exit::NotEstablished, line),
            };
        }
        let id = self.json["batch_id"].as_str().unwrap_or_default();
        match (failed, cancelled) {
            (0, 0) if self.json["status"] != "cancelled" => (Exit::Done, format!("{total} jobs are complete")),
            (0, _) => (Exit::Incomplete, format!("{cancelled} of {total} jobs were cancelled")),
            _ => (
                Exit::Failed,
                format!("{failed} of {total} jobs failed: `docket jobs {id} --status failed` lists them"),
            ),
        }
    }
}

/// The time of the completion, without fractions of a second.
fn completion(now: Timestamp, seconds: f64) -> String {
    let at = now.checked_add(SignedDuration::from_secs(seconds.min(1e9) as i64));
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn batch(counts: Value, expected: u64, more: Value) -> Batch {
        let mut json = json!({"batch_id": "b", "status": "in_progress", "request_counts": counts});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Batch::new(json, Some(expected))
    }

    #[test]
    fn exit_code_follows_from_the_jobs() {
        let all = json!({"total": 3, "complete": 3});
        let failed = json!({"total": 3, "complete": 2, "failed": 1});
        let cancelled = json!({"total": 3, "complete": 2, "cancelled": 1});
        let hold = json!({"hold": {"kind": "model", "model_id": "m", "reason": "access denied"}});
        let paused = json!({"paused": {"reason": "budget", "since": "2026-11-22T10:00:00Z"}});
        for (counts, expected, more, exit, part) in [
            (&all, 3, json!({}), Exit::Done, "3 jobs are complete"),
            (&all, 5, json!({}), Exit::NotEstablished, "2 of 5 jobs are unfinished"),
            (&all, 5, hold, Exit::Incomplete, "m is on hold: access denied"),
            (&all, 5, paused, Exit::Incomplete, "paused since 2026-11-22T10:00:00Z: budget"),
            (&failed, 3, json!({}), Exit::Failed, "1 of 3 jobs failed"),
            (&cancelled, 3, json!({}), Exit::Incomplete, "1 of 3 jobs were cancelled"),
            (&all, 5, json!({"status": "cancelled"}), Exit::Incomplete, "cancelled"),
            (&json!({"total": 0}), 0, json!({}), Exit::NotEstablished, "no job yet"),
        ] {
            let (found, line) = batch(counts.clone(), expected, more).verdict();
            assert_eq!(found, exit, "{line}");
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn line_has_rate_and_completion_of_the_expected_jobs() {
        let counts = json!({"total": 60, "complete": 40, "pending": 20});
        let one = batch(counts, 100, json!({"jobs_per_minute": 30.0, "cost_usd": 1.5}));
        let expected = "40 of 100 finished: 40 complete, 20 pending; 30.0 per minute; \
                        done in about 2m (1970-01-01T00:02:00Z); $1.50";
        assert_eq!(one.line(Timestamp::UNIX_EPOCH), expected);
    }

    #[test]
    fn text_of_a_reason_has_no_control_characters() {
        let hold = json!({"hold": {"reason": "a\u{1b}[31mb"}});
        let text = batch(json!({"total": 1, "pending": 1}), 1, hold).as_text();
        assert!(text.contains("waits      the stack is on hold: a [31mb\n"), "{text}");
    }
}
