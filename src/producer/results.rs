//! A batch's results, page by page: JSON Lines, or CSV.

use std::borrow::Cow;

use lambda_http::Request;
use serde_json::Value;

use super::problem::Problem;
use super::{Answer, Producer};
use crate::domain::batch::{Cursor, Select};
use crate::domain::ids::BatchId;
use crate::domain::limits::PAGE_MAX_BYTES;
use crate::domain::row::Row;

/// The header that carries where the next page begins.
const NEXT_CURSOR: &str = "next-cursor";

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
    /// ended, with its result or its error. A page ends at its limit or at
    /// [`PAGE_MAX_BYTES`].
    pub(super) async fn results(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let accept = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_csv = accept.to_ascii_lowercase().contains("text/csv");
        let (page, rows) = self.rows(request, batch_id, Select::Ended).await?;
        // One that has begun again since the index told of it is not told here.
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.state.status().has_ended()).collect();
        let (mut next, mut size, mut told) = (page.next, 0, Vec::new());
        let mut places = page.entries.into_iter();
        for row in rows {
            let place = places.find(|entry| entry.job_id == row.job_id);
            let job = self.whole(row).await?;
            size += job.to_string().len();
            told.push(job);
            if size > PAGE_MAX_BYTES / 2 {
                // The CSV says a result twice, so that half is what fits; a
                // page has at least one.
                next = match (place, places.next()) {
                    (Some(place), Some(_)) => Some(Cursor::behind(&place)),
                    _ => next,
                };
                break;
            }
        }
        let mut answer = match is_csv {
            true => {
                Answer { content_type: "text/csv; charset=utf-8", body: csv(&told)?, ..Answer::json(200, Value::Null) }
            }
            false => {
                let lines = told.iter().map(|job| format!("{job}\n")).collect();
                Answer { content_type: "application/jsonl", body: lines, ..Answer::json(200, Value::Null) }
            }
        };
        if let Some(next) = next {
            answer = answer.with(NEXT_CURSOR, next.to_string());
        }
        Ok(answer)
    }
}

fn csv(jobs: &[Value]) -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |_| Problem::not_now(None, "the results cannot be written as CSV; take JSON Lines");
    writer.write_record(COLUMNS.map(|(name, _)| name)).map_err(broken)?;
    for job in jobs {
        writer.write_record(COLUMNS.map(|(_, pointer)| cell(job.pointer(pointer)))).map_err(broken)?;
    }
    let bytes = writer.into_inner().unwrap_or_default();
    Ok(String::from_utf8(bytes).unwrap_or_default())
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
        let text = csv(&[job, json!({"job_id": "k", "status": "failed", "error": {"code": "c"}})]).unwrap();
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
