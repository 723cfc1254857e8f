//! The pages: what they read, and which view they show.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use axum::response::{Html, IntoResponse, Response};
use docket::domain::ids::{BatchId, JobId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::document::{Shown, read_document};
use super::failure::Failure;
use super::filter::Filter;
use super::guard::content_security_policy;
use super::statistics::Statistics;
use super::views;
use crate::batch::Batch;
use crate::error::CommandError;
use crate::jobs::read_document_url;
use crate::pages::read_results;
use crate::query::{encode, page_query};

/// Jobs on a page.
const JOBS_PER_PAGE: usize = 50;
/// Requests for one page of a rare filter; the next page goes on.
const REQUESTS_PER_PAGE: usize = 10;

#[derive(Deserialize)]
pub(super) struct Position {
    cursor: Option<String>,
}

/// Reads a batch, with the number of jobs that its uploads will become.
pub(super) async fn read_batch(app: &App, batch_id: &BatchId) -> Result<Batch, Failure> {
    let expected = app.uploads.count(batch_id);
    match app.reader.batch(&app.client, batch_id).await? {
        Some(json) => Ok(Batch::new(json, expected)),
        // No worker has claimed a job of the uploads yet.
        None if expected.is_some() => Ok(Batch::new(json!({"batch_id": batch_id, "status": "in_progress"}), expected)),
        None => Err(Failure::not_found(format!("There is no batch {batch_id}: its retention may be over."))),
    }
}

/// Parses an id of the address.
pub(super) fn parse_id<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::not_found("This is no id of a batch or of a job."))
}

/// The batches.
pub(super) async fn batches(
    State(app): State<Arc<App>>,
    Query(position): Query<Position>,
) -> Result<Html<String>, Failure> {
    let list = app.reader.batches(&app.client, position.cursor.as_deref()).await?;
    let with_uploads = |json: Value| {
        let id = json["batch_id"].as_str().and_then(|id| id.parse().ok());
        Batch::new(json, id.and_then(|id| app.uploads.count(&id)))
    };
    let batches: Vec<Batch> = list.batches.into_iter().map(with_uploads).collect();
    let next = list.next.map(|next| format!("/?cursor={}", encode(&next)));
    let live = position.cursor.map(|cursor| format!("/events/batches?cursor={}", encode(&cursor)));
    let live = live.as_deref().unwrap_or("/events/batches");
    Ok(Html(views::batches::batches(&app.shell, &batches, next.as_deref(), live)))
}

/// One batch.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    Path(batch_id): Path<String>,
    Query(filter): Query<Filter>,
    Query(position): Query<Position>,
) -> Result<Html<String>, Failure> {
    let batch_id: BatchId = parse_id(&batch_id)?;
    if !filter.is_valid() {
        return Err(Failure::invalid("The address has an unknown status."));
    }
    let batch = read_batch(&app, &batch_id).await?;
    let (jobs, next) = match batch.total() {
        0 => (Vec::new(), None),
        _ => read_jobs(&app, &batch_id, &filter, position.cursor.clone()).await?,
    };
    let statistics = statistics(&app, &batch_id, batch.finished());
    let view = views::batch::BatchPage {
        batch: &batch,
        filter: &filter,
        jobs: &jobs,
        cursor: position.cursor.as_deref(),
        next: next.as_deref(),
        statistics: &statistics,
        operations: &app.operations.list(&batch_id),
    };
    Ok(Html(views::batch::batch(&app.shell, &view)))
}

/// The last distributions of a batch. A task reads them again if they are old: it ends also
/// when the browser is gone.
pub(super) fn statistics(app: &Arc<App>, batch_id: &BatchId, finished: u64) -> Statistics {
    let (statistics, must_read) = app.statistics.get(batch_id, finished);
    if must_read {
        let (app, batch_id) = (app.clone(), batch_id.clone());
        tokio::spawn(async move { app.statistics.refresh(&app.client, &batch_id).await });
    }
    statistics
}

/// Reads a page of jobs. The API's page may be empty although further ones follow.
async fn read_jobs(
    app: &App,
    batch_id: &BatchId,
    filter: &Filter,
    mut cursor: Option<String>,
) -> Result<(Vec<Value>, Option<String>), CommandError> {
    let (mut jobs, query) = (Vec::new(), filter.as_api_query());
    for _ in 0..REQUESTS_PER_PAGE {
        let limit = JOBS_PER_PAGE - jobs.len();
        let escaped = cursor.as_deref().map(encode);
        let (found, next) = if filter.has_results() {
            read_results(&app.client, batch_id, &query, limit, escaped.as_deref()).await?
        } else {
            let path = format!("/batches/{batch_id}/jobs?{}", page_query(limit, &query, escaped.as_deref()));
            let mut page = app.client.ask("GET", &path, None, &[200]).await?.json();
            let next = page["next_cursor"].as_str().map(str::to_owned);
            (serde_json::from_value(page["data"].take()).unwrap_or_default(), next)
        };
        jobs.extend(found);
        cursor = next;
        if cursor.is_none() || jobs.len() >= JOBS_PER_PAGE {
            break;
        }
    }
    Ok((jobs, cursor))
}

/// The question whether a whole batch is cancelled.
pub(super) async fn ask_cancel(
    State(app): State<Arc<App>>,
    Path(batch_id): Path<String>,
) -> Result<Html<String>, Failure> {
    let batch = read_batch(&app, &parse_id(&batch_id)?).await?;
    Ok(Html(views::batch::cancel_question(&app.shell, &batch)))
}

/// One job.
pub(super) async fn job(State(app): State<Arc<App>>, Path(job_id): Path<String>) -> Result<Response, Failure> {
    let job_id: JobId = parse_id(&job_id)?;
    let missing = || {
        Failure::not_found(format!("There is no job {job_id}: no worker has claimed it yet, or its retention is over."))
    };
    let job = app.client.get(&format!("/jobs/{job_id}")).await?.ok_or_else(missing)?;
    let document = read_document(&app.client, &job_id).await?;
    let page = Html(views::job::job(&app.shell, &job, &document, app.client.output("DocumentsBucketName").ok()));
    let Shown::Image { origin, .. } = &document else { return Ok(page.into_response()) };
    let policy = HeaderValue::from_str(&content_security_policy(Some(origin)));
    let policy = policy.map_err(|_| Failure::invalid("The URL of the document is not valid."))?;
    Ok(([(CONTENT_SECURITY_POLICY, policy)], page).into_response())
}

/// Redirects to a new presigned URL of a document.
pub(super) async fn document(State(app): State<Arc<App>>, Path(job_id): Path<String>) -> Result<Response, Failure> {
    let place = read_document_url(&app.client, &parse_id(&job_id)?).await?.map_err(Failure::not_found)?;
    let url = place["url"].as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    let url = url.and_then(|url| HeaderValue::from_str(url).ok());
    let url = url.ok_or_else(|| Failure::not_found("The API returned no URL of the document."))?;
    Ok((axum::http::StatusCode::SEE_OTHER, [(LOCATION, url)]).into_response())
}
