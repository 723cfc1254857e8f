//! A batch's results, page by page: JSON Lines, or CSV.

use std::borrow::Cow;

use lambda_http::Request;
use serde_json::Value;

use super::pages::Fetch;
use super::problem::Problem;
use super::{Answer, Producer};
use crate::aws::jobs::Page;
use crate::domain::batch::cursor::{Cursor, Select};
use crate::domain::batch::tally::Entry;
use crate::domain::ids::BatchId;
use crate::domain::limits::PAGE_MAX_BYTES;

/// The header that carries where the next page begins.
const NEXT_CURSOR: &str = "next-cursor";

/// Rows that are read at once, until the page is full.
const ROWS_AT_ONCE: usize = 25;

/// The columns of the CSV, and where each stands in a job as it is told. What
/// is not text there is written as JSON.
const COLUMNS: [(&str, &str); 14] = [
    ("job_id", "/job_id"),
    ("name", "/document/name"),
    ("status", "/status"),
    ("label", "/result/classification/label"),
    ("confidence", "/result/classification/confidence"),
    ("summary", "/result/summary"),
    ("key_points", "/result/key_points"),
    ("input_tokens", "/usage/input_tokens"),
    ("output_tokens", "/usage/output_tokens"),
    ("model_id", "/model_id"),
    ("completed_at", "/completed_at"),
    ("error_code", "/error/code"),
    ("error_message", "/error/message"),
    ("result", "/result"),
];

impl Producer {
    /// `GET /batches/{batch_id}/results?limit=…&cursor=…`: every job that has
    /// ended, with its result or its error. A page ends at its limit or before
    /// [`PAGE_MAX_BYTES`], as Lambda counts them; it has at least one job.
    pub(super) async fn results(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let accept = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_csv = accept.to_ascii_lowercase().contains("text/csv");
        let Page { entries, mut next } = self.page(request, batch_id, Select::Ended).await?;
        let (mut size, mut body, mut last) = (0, String::new(), None::<&Entry>);
        'page: for some in entries.chunks(ROWS_AT_ONCE) {
            for row in self.rows(some, Fetch::Whole).await? {
                let place = some.iter().find(|entry| entry.job_id == row.job_id);
                // One that has begun again since the index told of it is not told here.
                if !row.state.status().has_ended() {
                    continue;
                }
                let job = self.load_result(row).await?;
                let text = if is_csv { csv(&[job])? } else { format!("{job}\n") };
                // The response stands in Lambda's own JSON, escaped.
                size += Value::from(text.as_str()).to_string().len();
                if let Some(last) = last.filter(|_| size > PAGE_MAX_BYTES) {
                    next = Some(Cursor::behind(last));
                    break 'page;
                }
                body += &text;
                last = place.or(last);
            }
        }
        let content_type = if is_csv { "text/csv; charset=utf-8" } else { "application/jsonl" };
        if is_csv {
            body.insert_str(0, &header()?);
        }
        let mut answer = Answer { content_type, body, ..Answer::json(200, Value::Null) };
        if let Some(next) = next {
            answer = answer.with(NEXT_CURSOR, next.to_string());
        }
        Ok(answer)
    }
}

fn csv(jobs: &[Value]) -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for job in jobs {
        writer.write_record(COLUMNS.map(|(_, pointer)| cell(job.pointer(pointer)))).map_err(|_| broken())?;
    }
    text(writer)
}

fn header() -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.map(|(name, _)| name)).map_err(|_| broken())?;
    text(writer)
}

fn text(writer: csv::Writer<Vec<u8>>) -> Result<String, Problem> {
    let bytes = writer.into_inner().map_err(|_| broken())?;
    String::from_utf8(bytes).map_err(|_| broken())
}

fn broken() -> Problem {
    Problem::internal("the results could not be written as CSV; ask for application/jsonl")
}

/// A spreadsheet takes a text that begins like a formula for one, and the text
/// is a stranger's: a `'` before it keeps it a text.
///
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Some(other) => return other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_is_never_a_formula() {
        assert_eq!(cell(Some(&json!("=HYPERLINK(1)"))), "'=HYPERLINK(1)");
        assert_eq!(cell(Some(&json!("@x"))), "'@x");
        assert_eq!(cell(Some(&json!("plain"))), "plain");
        assert_eq!(cell(Some(&json!(-0.5))), "-0.5");
        assert_eq!(cell(None), "");
    }

    #[test]
    fn the_csv_has_a_line_for_each_job_whatever_stands_in_it() {
        let job = json!({
            "job_id": "j", "status": "complete",
            "result": {"summary": "one,\n\"two\"", "key_points": ["a", "b"], "classification": {"label": "lease"}},
        });
        let text = header().unwrap()
            + &csv(&[job, json!({"job_id": "k", "status": "failed", "error": {"code": "c"}})]).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let at = |row: usize, name: &str| rows[row][names.iter().position(|n| n == name).unwrap()].to_owned();
        assert_eq!(at(0, "summary"), "one,\n\"two\"");
        assert_eq!(at(0, "key_points"), r#"["a","b"]"#);
        assert_eq!((at(0, "label"), at(1, "label")), ("lease".to_owned(), String::new()));
        assert_eq!(at(1, "error_code"), "c");
    }
}
