//! The report of a run, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::outcome::Outcome;
use crate::plan::prices::Prices;
use crate::terminal::{printable, table};

/// The report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// The name of the run: its batch.
    pub batch_id: String,
    /// Whether every check passed.
    pub passed: bool,
    /// Whether the time-out passed before every document was finished.
    pub timed_out: bool,
    /// Duration of the run in seconds.
    pub seconds: f64,
    /// The documents, the duplicate, and the message that is no job.
    pub outcomes: Vec<Outcome>,
    /// Input tokens of all calls.
    pub input_tokens: u64,
    /// Output tokens of all calls.
    pub output_tokens: u64,
    /// The estimated price of the calls in dollars; none if the table lacks a model.
    pub estimated_usd: Option<f64>,
    /// The region and the date of the prices.
    pub prices: String,
    /// The deleted objects and dead letters.
    pub deleted: String,
    /// The remains of the run.
    pub remaining: Vec<String>,
}

/// The price of all calls in dollars. `None` if the table does not have each model.
pub(super) fn estimate_price(outcomes: &[Outcome], prices: &Prices) -> Option<f64> {
    let paid = outcomes.iter().filter(|outcome| outcome.input_tokens + outcome.output_tokens > 0);
    let each = paid.map(|outcome| {
        let price = prices.model(outcome.model_id.as_deref()?)?;
        let (input, output) = (outcome.input_tokens as f64, outcome.output_tokens as f64);
        Some((input * price.input_per_1000 + output * price.output_per_1000) / 1_000.0)
    });
    each.sum()
}

impl Report {
    /// The report as JSON.
    pub fn as_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("the report has text and numbers alone") + "\n"
    }

    /// The report as a table with a verdict.
    pub fn as_text(&self) -> String {
        let rows: Vec<Vec<String>> = self.outcomes.iter().map(row).collect();
        let mut text = table(&["way", "document", "status", "label", "tokens", "seconds"], &rows);
        text.push('\n');
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.passed) {
            let problem = outcome.problem.as_deref().unwrap_or("unknown");
            let id = if outcome.job_id.is_empty() { String::new() } else { format!(" ({})", outcome.job_id) };
            let line = format!("{} by {}{id}: {problem}", outcome.subject, outcome.way);
            let _ = writeln!(text, "Failed: {}", printable(&line));
        }
        let passed = self.outcomes.iter().filter(|outcome| outcome.passed).count();
        let _ = writeln!(text, "{passed} of {} checks passed in {:.0} s.", self.outcomes.len(), self.seconds);
        let tokens = format!("{} input and {} output tokens", self.input_tokens, self.output_tokens);
        let _ = match self.estimated_usd {
            Some(usd) => writeln!(text, "Estimated price of the model: ${usd:.4} for {tokens} ({}).", self.prices),
            None => writeln!(text, "Price unknown: {tokens} of a model that the price table lacks; use --prices FILE."),
        };
        let _ = writeln!(text, "Deleted: {}.", self.deleted);
        for remaining in &self.remaining {
            let _ = writeln!(text, "Remaining: {}.", printable(remaining));
        }
        text
    }
}

fn row(outcome: &Outcome) -> Vec<String> {
    let Outcome { way, subject, status, label, input_tokens, output_tokens, model_latency_ms, .. } = outcome;
    let has_call = input_tokens + output_tokens > 0;
    vec![
        (*way).to_owned(),
        subject.clone(),
        printable(status),
        printable(label.as_deref().unwrap_or_default()),
        if has_call { format!("{input_tokens}+{output_tokens}") } else { String::new() },
        if has_call { format!("{:.1}", *model_latency_ms as f64 / 1_000.0) } else { String::new() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CommandError;

    fn outcome(model_id: Option<&str>, tokens: u64) -> Outcome {
        Outcome {
            model_id: model_id.map(str::to_owned),
            input_tokens: tokens,
            output_tokens: tokens,
            ..Outcome::of_check("queue", "lease.txt", Ok("complete".to_owned()))
        }
    }

    #[test]
    fn price_counts_every_call_by_its_model() {
        let prices = Prices::built_in();
        let model = "us.amazon.nova-2-lite-v1:0";
        let price = prices.model(model).unwrap();
        let expected = 2.0 * (price.input_per_1000 + price.output_per_1000);
        let outcomes = [outcome(Some(model), 1_000), outcome(Some(model), 1_000), outcome(None, 0)];
        let estimated = estimate_price(&outcomes, &prices).unwrap();
        assert!((estimated - expected).abs() < 1e-9, "{estimated}");
        assert_eq!(estimate_price(&[outcome(Some("unknown.model"), 1)], &prices), None);
    }

    #[test]
    fn text_names_each_failure_with_its_job() {
        let failed = Outcome {
            job_id: "r-api-1".to_owned(),
            ..Outcome::of_check("API", "lease.txt", Err(CommandError::Failed("model_access: denied".to_owned())))
        };
        let report = Report {
            batch_id: "r".to_owned(),
            passed: false,
            timed_out: false,
            seconds: 12.3,
            outcomes: vec![outcome(None, 10), failed],
            input_tokens: 10,
            output_tokens: 10,
            estimated_usd: None,
            prices: String::new(),
            deleted: "nothing".to_owned(),
            remaining: vec!["2 jobs".to_owned()],
        };
        let text = report.as_text();
        assert!(text.contains("Failed: lease.txt by API (r-api-1): model_access: denied\n"), "{text}");
        assert!(text.contains("1 of 2 checks passed in 12 s."), "{text}");
        assert!(text.contains("Remaining: 2 jobs."), "{text}");
    }
}
