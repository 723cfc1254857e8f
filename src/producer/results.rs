//! Pages of a batch's results, as JSON Lines or CSV.

use lambda_http::Request;
use serde_json::Value;

use super::pages::{Fetch, cursor_text, read_filter};
use super::problem::Problem;
use super::{Answer, Producer};
use crate::domain::batch::cursor::{Cursor, Page, Select};
use crate::domain::csv_cell::safe_cell;
use crate::domain::ids::BatchId;
use crate::domain::limits::PAGE_MAX_BYTES;

/// The header of the next page's cursor.
const NEXT_CURSOR: &str = "next-cursor";

/// Jobs that are read together, until the page is full.
const JOBS_PER_READ: usize = 25;

/// The columns of the CSV, with the JSON pointer of each into a job's view. A value
/// that is not text is written as JSON.
const COLUMNS: [(&str, &str); 16] = [
    ("job_id", "/job_id"),
    ("name", "/document/name"),
    ("status", "/status"),
    ("label", "/result/classification/label"),
    ("confidence", "/result/classification/confidence"),
    ("summary", "/result/summary"),
    ("key_points", "/result/key_points"),
    ("verified", "/verified"),
    ("unverified_fields", "/evidence/unverified"),
    ("input_tokens", "/usage/input_tokens"),
    ("output_tokens", "/usage/output_tokens"),
    ("model_id", "/model_id"),
    ("completed_at", "/completed_at"),
    ("error_code", "/error/code"),
    ("error_message", "/error/message"),
    ("result", "/result"),
];

impl Producer {
    /// `GET /batches/{batch_id}/results`: the finished jobs that match the query's filter,
    /// with their results or errors.
    ///
    /// A page ends at `limit` or before [`PAGE_MAX_BYTES`], as Lambda counts them. A page
    /// may be empty although another page follows.
    pub(super) async fn get_results(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let accept = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_csv = accept.to_ascii_lowercase().contains("text/csv");
        let filter = read_filter(request, Select::Ended)?;
        let Page { job_ids, mut next } = self.read_page(request, batch_id, &filter).await?;
        let (mut size, mut body, mut last) = (0, String::new(), None);
        'page: for group in job_ids.chunks(JOBS_PER_READ) {
            for row in self.read_jobs(group, Fetch::WithResults).await? {
                let job_id = row.job_id.clone();
                // The index is eventually consistent: this job was retried since.
                if !filter.matches(&row) {
                    continue;
                }
                let job = self.load_result(row).await?;
                let text = if is_csv { csv_lines(&[job])? } else { format!("{job}\n") };
                // Lambda's response is JSON, which holds this text escaped.
                size += Value::from(text.as_str()).to_string().len();
                if let Some(last) = last.as_ref().filter(|_| size > PAGE_MAX_BYTES) {
                    next = Some(Cursor::after_job(batch_id, last));
                    break 'page;
                }
                body += &text;
                last = Some(job_id);
            }
        }
        let content_type = if is_csv { "text/csv; charset=utf-8" } else { "application/jsonl" };
        if is_csv {
            body.insert_str(0, &csv_header()?);
        }
        let mut answer = Answer { content_type, body, ..Answer::json(200, Value::Null) };
        if let Some(next) = next {
            answer = answer.with_header(NEXT_CURSOR, cursor_text(&next));
        }
        Ok(answer)
    }
}

fn csv_lines(jobs: &[Value]) -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for job in jobs {
        writer.write_record(COLUMNS.map(|(_, pointer)| csv_cell(job.pointer(pointer)))).map_err(|_| csv_failed())?;
    }
    finish_csv(writer)
}

fn csv_header() -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.map(|(name, _)| name)).map_err(|_| csv_failed())?;
    finish_csv(writer)
}

fn finish_csv(writer: csv::Writer<Vec<u8>>) -> Result<String, Problem> {
    let bytes = writer.into_inner().map_err(|_| csv_failed())?;
    String::from_utf8(bytes).map_err(|_| csv_failed())
}

fn csv_failed() -> Problem {
    Problem::internal("the results could not be written as CSV; ask for application/jsonl")
}

/// Writes one cell. The text comes from a document or a model, so it must not become a
/// formula.
fn csv_cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe_cell(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failed_csv_write_is_an_internal_error() {
        assert_eq!(csv_failed().status(), 500);
    }

    #[test]
    fn csv_cell_is_never_a_formula() {
        assert_eq!(csv_cell(Some(&json!("=HYPERLINK(1)"))), "'=HYPERLINK(1)");
        assert_eq!(csv_cell(Some(&json!("@x"))), "'@x");
        assert_eq!(csv_cell(Some(&json!(" =1"))), "' =1");
        assert_eq!(csv_cell(Some(&json!("plain"))), "plain");
        assert_eq!(csv_cell(Some(&json!(-0.5))), "-0.5");
        assert_eq!(csv_cell(None), "");
    }

    #[test]
    fn csv_with_line_breaks_has_one_record_per_job() {
        let job = json!({
            "job_id": "j", "status": "complete",
            "result": {"summary": "one,\n\"two\"", "key_points": ["a", "b"], "classification": {"label": "lease"}},
        });
        let text = csv_header().unwrap()
            + &csv_lines(&[job, json!({"job_id": "k", "status": "failed", "error": {"code": "c"}})]).unwrap();
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
