//! Batches of a dropped folder: the upload of `docket submit`, file by file.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Form, Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse, Response};
use docket::domain::ids::BatchId;
use docket::domain::job::priority::Priority;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::app::App;
use super::failure::Failure;
use crate::aws::submitted::Submitted;
use crate::submit::{BatchSettings, FILE_MAX_BYTES, Outcome, Uploads, check_file, prepare_batch};

/// How long the upload of one file is repeated.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// The fields of a new batch.
#[derive(Deserialize)]
pub(super) struct NewBatch {
    batch: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    instructions: String,
    #[serde(default)]
    schema: String,
}

/// Creates a batch, or goes on with an existing one. The response is the batch id, or the
/// reason of a refusal, as text.
pub(super) async fn create(State(app): State<Arc<App>>, Form(new): Form<NewBatch>) -> Response {
    match try_create(&app, &new).await {
        Ok(batch_id) => batch_id.to_string().into_response(),
        Err(failure) => failure.into_text(),
    }
}

async fn try_create(app: &App, new: &NewBatch) -> Result<BatchId, Failure> {
    let batch_id: BatchId =
        new.batch.trim().parse().map_err(|error| Failure::invalid(format!("The batch {error}.")))?;
    let settings = BatchSettings::from_analysis(analysis(new).map_err(Failure::invalid)?);
    prepare_batch(&app.client, &batch_id, &settings).await?;
    open_uploads(app, &batch_id).await?;
    app.reader.forget(&batch_id);
    Ok(batch_id)
}

/// The analysis that the fields describe.
fn analysis(new: &NewBatch) -> Result<Map<String, Value>, String> {
    let labels: Vec<&str> = new.labels.split(',').map(str::trim).filter(|label| !label.is_empty()).collect();
    let mut analysis = Map::new();
    if !labels.is_empty() {
        analysis.insert("labels".to_owned(), json!(labels));
    }
    if !new.instructions.trim().is_empty() {
        analysis.insert("instructions".to_owned(), json!(new.instructions.trim()));
    }
    if !new.schema.trim().is_empty() {
        let schema: Value =
            serde_json::from_str(&new.schema).map_err(|error| format!("The schema is no JSON: {error}."))?;
        analysis.insert("schema".to_owned(), schema);
    }
    Ok(analysis)
}

async fn open_uploads(app: &App, batch_id: &BatchId) -> Result<Arc<Uploads>, Failure> {
    let documents = Submitted::new(&app.client.connection, app.client.output("DocumentsBucketName")?);
    let uploads = Uploads::new(documents, batch_id.clone(), Priority::Normal, RETRY_FOR).await?;
    app.uploads.insert(batch_id, uploads.clone());
    Ok(uploads)
}

#[derive(Deserialize)]
pub(super) struct Name {
    path: String,
}

/// Uploads the body as a document. The response says what became of the file: `uploaded`,
/// `present`, or the reason for which it was skipped.
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    Path(batch_id): Path<String>,
    Query(name): Query<Name>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match try_upload(&app, &batch_id, &name.path, &headers, body).await {
        Ok(outcome) => outcome.into_response(),
        Err(failure) => failure.into_text(),
    }
}

async fn try_upload(app: &App, batch_id: &str, path: &str, headers: &HeaderMap, body: Body) -> Result<String, Failure> {
    let batch_id: BatchId = super::pages::parse_id(batch_id)?;
    let size = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let size = size.ok_or_else(|| Failure::invalid("The request has no length."))?;
    let path = match check_file(path, size) {
        Ok(path) => path,
        Err(reason) => return Ok(format!("skipped: {reason}")),
    };
    let uploads = match app.uploads.get(&batch_id) {
        Some(uploads) => uploads,
        None => open_uploads(app, &batch_id).await?,
    };
    let _memory = uploads.reserve(size).await;
    let bytes = to_bytes(body, FILE_MAX_BYTES as usize).await;
    let bytes = bytes.map_err(|error| Failure::invalid(format!("The file did not arrive: {error}")))?;
    Ok(match uploads.upload_bytes(&path, bytes.into()).await? {
        Outcome::Uploaded => {
            app.uploads.note_upload(&batch_id);
            "uploaded".to_owned()
        }
        Outcome::Present => "present".to_owned(),
        Outcome::Skipped(reason) => format!("skipped: {reason}"),
        Outcome::Unreadable(error) => format!("skipped: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(labels: &str, schema: &str) -> Result<Value, String> {
        let text = str::to_owned;
        let new = NewBatch { batch: text("b"), labels: text(labels), instructions: text("  "), schema: text(schema) };
        analysis(&new).map(Value::Object)
    }

    #[test]
    fn typed_fields_become_an_analysis() {
        assert_eq!(fields(" lease, letter ,,", ""), Ok(json!({"labels": ["lease", "letter"]})));
        assert_eq!(fields("", "{\"type\": \"object\"}"), Ok(json!({"schema": {"type": "object"}})));
        assert_eq!(fields("", ""), Ok(json!({})));
        assert!(fields("", "{type}").unwrap_err().starts_with("The schema is no JSON"));
    }
}
