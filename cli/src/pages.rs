//! The pages of a batch's lists.

use std::collections::HashSet;

use docket::domain::ids::BatchId;
use docket::domain::limits::PAGE_MAX;
use serde_json::Value;

use crate::client::{Client, no_such_batch};
use crate::error::CommandError;
use crate::query::page_query;

/// Calls `visit` with each job of a batch, without its result. `filter` is a query such as
/// `status=failed`, or empty.
///
/// # Errors
/// There is no such batch, the API refuses a request, or `visit` fails.
pub(crate) async fn each_job(
    client: &Client,
    batch_id: &BatchId,
    filter: &str,
    mut visit: impl FnMut(Value) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let (mut cursor, mut seen) = (None, Seen::default());
    // A batch without jobs has an empty list, also if it was never created.
    if client.get(&format!("/batches/{batch_id}")).await?.is_none() {
        return Err(no_such_batch(batch_id));
    }
    loop {
        let path = format!("/batches/{batch_id}/jobs?{}", page_query(PAGE_MAX, filter, cursor.as_deref()));
        let mut page = client.get(&path).await?.ok_or_else(|| no_such_batch(batch_id))?;
        let jobs = page["data"].take();
        for job in jobs.as_array().into_iter().flatten().filter(|job| seen.is_new(job)) {
            visit(job.clone())?;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(()),
        }
    }
}

/// Calls `visit` with each finished job of a batch, with its result or its error.
///
/// # Errors
/// The API refuses a request, or `visit` fails.
pub(crate) async fn each_result(
    client: &Client,
    batch_id: &BatchId,
    mut visit: impl FnMut(Value) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let (mut cursor, mut seen) = (None, Seen::default());
    loop {
        let (jobs, next) = read_results(client, batch_id, "", PAGE_MAX, cursor.as_deref()).await?;
        for job in jobs.into_iter().filter(|job| seen.is_new(job)) {
            visit(job)?;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// Reads a page of at most `limit` finished jobs with their results, and the cursor of the
/// next page. `filter` is a query such as `status=failed`, or empty.
///
/// # Errors
/// The API refuses the request, or a line is no JSON.
pub(crate) async fn read_results(
    client: &Client,
    batch_id: &BatchId,
    filter: &str,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<Value>, Option<String>), CommandError> {
    let path = format!("/batches/{batch_id}/results?{}", page_query(limit, filter, cursor));
    let page = client.ask("GET", &path, None, &[200]).await?;
    let unreadable = |error| CommandError::Failed(format!("a line of the results is no JSON: {error}"));
    let jobs = page.body.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect::<Result<_, _>>();
    Ok((jobs.map_err(unreadable)?, page.next_cursor))
}

/// The jobs of earlier pages: a job that changes during the reading may be on two pages.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    fn is_new(&mut self, job: &Value) -> bool {
        self.0.insert(job["job_id"].as_str().unwrap_or_default().to_owned())
    }
}
