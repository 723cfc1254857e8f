//! The actions: pause and resume, cancel a batch, retry and cancel jobs.

use std::sync::Arc;

use axum::extract::{Form, Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use docket::domain::ids::{BatchId, JobId};
use serde::Deserialize;

use super::app::App;
use super::failure::Failure;
use super::filter::Filter;
use super::pages::parse_id;
use super::views::confirm::confirm;
use crate::changes::{self, Change, cancel_batch, change_matching};
use crate::client::no_such_batch;
use crate::pages::each_job;

/// A filter, and the number of jobs that the question named.
#[derive(Deserialize)]
pub(super) struct Confirmed {
    #[serde(default)]
    status: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    name: String,
    count: u64,
}

/// Pauses a batch.
pub(super) async fn pause(app: State<Arc<App>>, batch_id: Path<String>) -> Result<Redirect, Failure> {
    change_batch(&app, &batch_id, "pause").await
}

/// Resumes a batch.
pub(super) async fn resume(app: State<Arc<App>>, batch_id: Path<String>) -> Result<Redirect, Failure> {
    change_batch(&app, &batch_id, "resume").await
}

async fn change_batch(app: &App, batch_id: &str, route: &str) -> Result<Redirect, Failure> {
    let batch_id: BatchId = parse_id(batch_id)?;
    let response = app.client.ask("POST", &format!("/batches/{batch_id}/{route}"), None, &[200, 404]).await?;
    if response.status == 404 {
        return Err(Failure::not_found(no_such_batch(&batch_id).to_string()));
    }
    app.reader.forget(&batch_id);
    Ok(Redirect::to(&format!("/batches/{batch_id}")))
}

/// Cancels a whole batch.
pub(super) async fn cancel_all(app: State<Arc<App>>, batch_id: Path<String>) -> Result<Redirect, Failure> {
    let batch_id: BatchId = parse_id(&batch_id)?;
    cancel_batch(&app.client, &batch_id, "", 0).await?;
    app.reader.forget(&batch_id);
    Ok(Redirect::to(&format!("/batches/{batch_id}")))
}

/// Asks whether the failed jobs of a filter are retried.
pub(super) async fn ask_retry(
    app: State<Arc<App>>,
    batch_id: Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Failure> {
    ask(&app, &parse_id(&batch_id)?, &filter, Change::Retry).await
}

/// Asks whether the unfinished jobs of a filter are cancelled.
pub(super) async fn ask_cancel(
    app: State<Arc<App>>,
    batch_id: Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Failure> {
    ask(&app, &parse_id(&batch_id)?, &filter, Change::Cancel).await
}

async fn ask(app: &App, batch_id: &BatchId, filter: &Filter, change: Change) -> Result<Html<String>, Failure> {
    let count = count(app, batch_id, filter, change).await?;
    Ok(Html(confirm(&app.shell, batch_id.as_str(), filter, change, count, None)))
}

/// The API's queries for the jobs that a change over a filter hits.
fn queries(filter: &Filter, change: Change) -> Vec<String> {
    match change {
        Change::Retry => filter.failed(),
        Change::Cancel => filter.unfinished(),
    }
}

/// The number of jobs that a change over a filter hits.
async fn count(app: &App, batch_id: &BatchId, filter: &Filter, change: Change) -> Result<u64, Failure> {
    let mut count = 0;
    for query in queries(filter, change) {
        let count_one = |_| {
            count += 1;
            Ok(())
        };
        each_job(&app.client, batch_id, &query, count_one).await?;
    }
    Ok(count)
}

/// Retries the failed jobs of a filter.
pub(super) async fn retry_jobs(
    app: State<Arc<App>>,
    batch_id: Path<String>,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, Failure> {
    change_jobs(&app, &parse_id(&batch_id)?, confirmed, Change::Retry).await
}

/// Cancels the unfinished jobs of a filter.
pub(super) async fn cancel_jobs(
    app: State<Arc<App>>,
    batch_id: Path<String>,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, Failure> {
    change_jobs(&app, &parse_id(&batch_id)?, confirmed, Change::Cancel).await
}

/// Changes the jobs unless they are more than the user confirmed.
async fn change_jobs(
    app: &Arc<App>,
    batch_id: &BatchId,
    confirmed: Confirmed,
    change: Change,
) -> Result<Response, Failure> {
    let Confirmed { status, label, error, name, count: confirmed } = confirmed;
    let filter = Filter { status, label, error, name };
    let found = count(app, batch_id, &filter, change).await?;
    if found > confirmed {
        let question = confirm(&app.shell, batch_id.as_str(), &filter, change, found, Some(confirmed));
        return Ok(Html(question).into_response());
    }
    let number = app.operations.begin(batch_id, change, found);
    let (task_app, task_batch) = (app.clone(), batch_id.clone());
    let queries = queries(&filter, change);
    tokio::spawn(async move {
        for query in queries {
            match change_matching(&task_app.client, &task_batch, &query, change).await {
                Ok(changes) => task_app.operations.add(number, changes),
                Err(error) => task_app.operations.fail(number, &error.to_string()),
            }
        }
        task_app.operations.end(number);
        task_app.reader.forget(&task_batch);
    });
    Ok(Redirect::to(&format!("/batches/{batch_id}?{}", filter.as_query())).into_response())
}

/// Retries one job.
pub(super) async fn retry_job(app: State<Arc<App>>, job_id: Path<String>) -> Result<Redirect, Failure> {
    change_job(&app, &job_id, Change::Retry).await
}

/// Cancels one job.
pub(super) async fn cancel_job(app: State<Arc<App>>, job_id: Path<String>) -> Result<Redirect, Failure> {
    change_job(&app, &job_id, Change::Cancel).await
}

async fn change_job(app: &App, job_id: &str, change: Change) -> Result<Redirect, Failure> {
    let job_id: JobId = parse_id(job_id)?;
    match changes::change_job(&app.client, job_id.as_str(), change).await? {
        Some(reason) => Err(Failure::invalid(reason)),
        None => Ok(Redirect::to(&format!("/jobs/{job_id}"))),
    }
}
