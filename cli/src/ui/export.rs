//! The export of a filter, by the tables of `docket results`.

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use docket::domain::ids::BatchId;
use docket::domain::limits::PAGE_MAX;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::app::App;
use super::failure::Failure;
use super::filter::Filter;
use super::pages::{parse_id, read_batch};
use crate::error::CommandError;
use crate::pages::read_results;
use crate::query::encode;
use crate::results::csv_file::Table;

/// Pages that the reading may be ahead of the browser.
const AHEAD: usize = 4;

#[derive(Deserialize)]
pub(super) struct Format {
    format: String,
}

/// Sends the finished jobs of a filter as a file. As in `docket results`, a file of results
/// has the complete jobs alone; a filter of failures has the table of failures.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    Path(batch_id): Path<String>,
    Query(filter): Query<Filter>,
    Query(Format { format }): Query<Format>,
) -> Result<Response, Failure> {
    let batch_id: BatchId = parse_id(&batch_id)?;
    read_batch(&app, &batch_id).await?;
    let filter = match filter.status.as_str() {
        "all" => Filter { status: String::new(), ..filter },
        _ => filter,
    };
    if !filter.is_valid() || !filter.has_results() {
        return Err(Failure::invalid("Only finished jobs can be exported."));
    }
    let (kind, file) = match (format.as_str(), filter.is_of_failures()) {
        ("csv", false) => ("text/csv; charset=utf-8", File::table(false)?),
        ("csv", true) => ("text/csv; charset=utf-8", File::table(true)?),
        ("jsonl", is_of_failures) => ("application/jsonl", File::lines(is_of_failures)),
        _ => return Err(Failure::invalid("The format must be csv or jsonl.")),
    };
    let name = format!("attachment; filename=\"{}.{format}\"", encode(batch_id.as_str()));
    let (sender, receiver) = mpsc::channel::<Result<Bytes, CommandError>>(AHEAD);
    tokio::spawn(async move {
        if let Err(error) = send(&app, &batch_id, &filter, file, &sender).await {
            // The browser shows an incomplete download as failed.
            let _ = sender.send(Err(error)).await;
        }
    });
    let body =
        Body::from_stream(stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }));
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, name)], body).into_response())
}

async fn send(
    app: &App,
    batch_id: &BatchId,
    filter: &Filter,
    mut file: File,
    sender: &mpsc::Sender<Result<Bytes, CommandError>>,
) -> Result<(), CommandError> {
    let (query, mut cursor) = (filter.as_api_query(), None);
    loop {
        let (jobs, next) = read_results(&app.client, batch_id, &query, PAGE_MAX, cursor.as_deref()).await?;
        for job in &jobs {
            file.write(job).map_err(|error| CommandError::Failed(error.to_string()))?;
        }
        let is_gone = sender.send(Ok(file.take_lines())).await.is_err();
        if is_gone || next.is_none() {
            return Ok(());
        }
        cursor = next;
    }
}

/// The lines that were not sent yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no holder panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file in the making.
struct File {
    buffer: Buffer,
    /// `None` for JSON Lines.
    table: Option<Table<Buffer>>,
    is_of_failures: bool,
}

impl File {
    fn table(is_of_failures: bool) -> Result<Self, Failure> {
        let buffer = Buffer::default();
        let table = match is_of_failures {
            true => Table::of_failures(buffer.clone(), false),
            false => Table::of_results(buffer.clone(), false),
        };
        let table = table.map_err(|error| Failure::from(CommandError::Failed(error.to_string())))?;
        Ok(Self { buffer, table: Some(table), is_of_failures })
    }

    fn lines(is_of_failures: bool) -> Self {
        Self { buffer: Buffer::default(), table: None, is_of_failures }
    }

    fn write(&mut self, job: &Value) -> Result<(), csv::Error> {
        if (job["status"] == "complete") == self.is_of_failures {
            return Ok(());
        }
        match &mut self.table {
            Some(table) => table.write(job).and_then(|()| table.flush()),
            None => Ok(writeln!(self.buffer, "{job}")?),
        }
    }

    fn take_lines(&mut self) -> Bytes {
        if let Some(table) = &mut self.table {
            let flushed: Result<(), Infallible> = table.flush().or(Ok(()));
            flushed.expect("a buffer takes every write");
        }
        std::mem::take(&mut *self.buffer.0.lock().expect("no holder panics")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(mut file: File) -> String {
        for job in [
            json!({"job_id": "a", "status": "complete", "document": {"name": "=1+1"}, "result": {"summary": "s"}}),
            json!({"job_id": "b", "status": "failed", "error": {"code": "document_empty"}}),
        ] {
            file.write(&job).unwrap();
        }
        String::from_utf8(file.take_lines().to_vec()).unwrap()
    }

    #[test]
    fn file_has_results_or_failures() {
        let results = rows(File::table(false).unwrap());
        assert!(
            results.starts_with("job_id,name,status,label,") && results.contains("\r\na,'=1+1,complete,"),
            "{results}"
        );
        assert!(!results.contains("document_empty"), "{results}");
        let failures = rows(File::table(true).unwrap());
        assert!(
            failures.starts_with("job_id,name,status,error_code,")
                && failures.contains("\r\nb,,failed,document_empty,")
        );
        assert_eq!(rows(File::lines(false)).lines().count(), 1);
        assert!(rows(File::lines(true)).contains("\"job_id\":\"b\""));
    }
}
