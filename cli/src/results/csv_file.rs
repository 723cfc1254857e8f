//! The tables of results and of failures. No cell of them becomes a formula.

use std::borrow::Cow;
use std::io::Write;

use docket::domain::csv_cell::safe_cell;
use serde_json::Value;

/// The columns of the results, with the JSON pointer of each into a job.
const RESULT_COLUMNS: [(&str, &str); 14] = [
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
    ("result", "/result"),
];
/// The columns of the failures.
const FAILURE_COLUMNS: [(&str, &str); 6] = [
    ("job_id", "/job_id"),
    ("name", "/document/name"),
    ("status", "/status"),
    ("error_code", "/error/code"),
    ("error_message", "/error/message"),
    ("completed_at", "/completed_at"),
];
/// The column whose cells stay as they are, so that rows can be joined. A job id has letters,
/// digits and `. _ : -` alone.
const ID_COLUMN: &str = "job_id";
/// The byte order mark, by which Excel recognises UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// A table in a file.
pub(crate) struct Table<W: Write> {
    writer: csv::Writer<W>,
    columns: &'static [(&'static str, &'static str)],
}

impl<W: Write> Table<W> {
    /// A table of results.
    pub fn of_results(file: W, has_mark: bool) -> Result<Self, csv::Error> {
        Self::new(file, &RESULT_COLUMNS, has_mark)
    }

    /// A table of failures.
    pub fn of_failures(file: W, has_mark: bool) -> Result<Self, csv::Error> {
        Self::new(file, &FAILURE_COLUMNS, has_mark)
    }

    fn new(mut file: W, columns: &'static [(&'static str, &'static str)], has_mark: bool) -> Result<Self, csv::Error> {
        if has_mark {
            file.write_all(MARK)?;
        }
        // Excel and RFC 4180 end a line with CR LF.
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(file);
        writer.write_record(columns.iter().map(|(name, _)| name))?;
        Ok(Self { writer, columns })
    }

    /// Writes the row of a job.
    pub fn write(&mut self, job: &Value) -> Result<(), csv::Error> {
        let cells = self.columns.iter().map(|(name, pointer)| match job.pointer(pointer) {
            None | Some(Value::Null) => Cow::Borrowed(""),
            Some(Value::String(text)) if *name == ID_COLUMN => Cow::Borrowed(text.as_str()),
            Some(Value::String(text)) => safe_cell(text),
            Some(other) => Cow::Owned(other.to_string()),
        });
        self.writer.write_record(cells.collect::<Vec<_>>().iter().map(|cell| cell.as_bytes()))
    }

    /// Passes the rows so far to the file.
    pub fn flush(&mut self) -> Result<(), csv::Error> {
        self.writer.flush().map_err(csv::Error::from)
    }

    /// Writes everything to the file.
    pub fn finish(self) -> Result<W, csv::Error> {
        self.writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(jobs: &[Value], has_mark: bool) -> String {
        let mut table = Table::of_results(Vec::new(), has_mark).unwrap();
        jobs.iter().for_each(|job| table.write(job).unwrap());
        String::from_utf8(table.finish().unwrap()).unwrap()
    }

    #[test]
    fn id_and_numbers_are_unchanged() {
        let job = json!({"job_id": "-1", "document": {"name": "-a"}, "status": "complete",
            "result": {"classification": {"label": "x", "confidence": -0.5}, "summary": "two\nlines, \"quoted\""}});
        let text = rows(&[job], false);
        let row = text.split_once("\r\n").unwrap().1;
        assert!(row.starts_with("-1,'-a,complete,x,-0.5,\"two\nlines, \"\"quoted\"\"\",,"), "{row}");
    }

    #[test]
    fn mark_is_optional() {
        assert!(rows(&[], true).starts_with("\u{feff}job_id,name,"));
        assert!(rows(&[], false).starts_with("job_id,name,"));
    }
}
