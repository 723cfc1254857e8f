//! `docket retry` and `docket cancel`: changes of a batch or of single jobs.

use docket::domain::ids::{BatchId, JobId};
use serde_json::{Value, json};

use crate::aws::connect::Target;
use crate::client::{Client, no_such_batch};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::pages::each_job;
use crate::terminal::{Progress, confirm, print_status, print_text, print_verdict, printable, table};

/// Jobs that a question shows.
const SHOWN_MAX: usize = 10;

/// The jobs that a command changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// A whole batch, which is cancelled.
    Batch(BatchId),
    /// The jobs of a batch that match one of these filters of the API, such as `status=pending`.
    Filters(BatchId, Vec<String>),
    /// Single jobs.
    Jobs(Vec<JobId>),
}

/// How a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Whether no question is asked.
    pub has_consent: bool,
    /// Whether the summary is JSON.
    pub json: bool,
}

/// The effect of a command.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Jobs that were changed.
    pub changed: u64,
    /// Jobs that were not changed, with the reason.
    pub refused: Vec<(String, String)>,
    /// Whether Docket changes further jobs by itself.
    pub continues: bool,
}

/// Retries failed jobs.
pub(crate) async fn retry(target: &Target, selection: Selection, mode: Mode) -> Exit {
    let command = async { change(&Client::open(target).await?, selection, Change::Retry, mode).await };
    end(command.await, "retried", mode)
}

/// Cancels unfinished jobs.
pub(crate) async fn cancel(target: &Target, selection: Selection, mode: Mode) -> Exit {
    let command = async { change(&Client::open(target).await?, selection, Change::Cancel, mode).await };
    end(command.await, "cancelled", mode)
}

async fn change(client: &Client, selection: Selection, change: Change, mode: Mode) -> Result<Changes, CommandError> {
    match selection {
        Selection::Jobs(ids) => change_named(client, &ids, change, mode).await,
        Selection::Filters(batch_id, filters) => {
            let mut jobs = Vec::new();
            for filter in &filters {
                jobs.extend(list(client, &batch_id, filter).await?);
            }
            ask(change, &jobs, mode)?;
            let mut changes = Changes::default();
            // A batch without such jobs is not asked to change them.
            for filter in filters.iter().filter(|_| !jobs.is_empty()) {
                let Changes { changed, refused, continues } =
                    change_matching(client, &batch_id, filter, change).await?;
                changes.changed += changed;
                changes.refused.extend(refused);
                changes.continues |= continues;
            }
            Ok(changes)
        }
        Selection::Batch(batch_id) => {
            let path = format!("/batches/{batch_id}");
            let batch = client.get(&path).await?.ok_or_else(|| no_such_batch(&batch_id))?;
            let counts = &batch["request_counts"];
            let unfinished = counts["pending"].as_u64().unwrap_or(0) + counts["processing"].as_u64().unwrap_or(0);
            let question = format!(
                "Cancel the batch {batch_id}? {unfinished} unfinished jobs are cancelled, and it takes no more jobs."
            );
            confirm(&question, mode.has_consent)?;
            cancel_batch(client, &batch_id, "", counts["cancelled"].as_u64().unwrap_or(0)).await
        }
    }
}

fn end(ended: Result<Changes, CommandError>, verb: &str, mode: Mode) -> Exit {
    let Changes { changed, refused, continues } = match ended {
        Ok(changes) => changes,
        Err(error) => {
            print_status(&error.to_string());
            return error.exit();
        }
    };
    if mode.json {
        let refused = refused.iter().map(|(job_id, reason)| json!({"job_id": job_id, "reason": reason}));
        print_text(&format!("{}\n", json!({verb: changed, "refused": refused.collect::<Vec<_>>()})));
    } else {
        refused.iter().for_each(|(job_id, reason)| print_text(&printable_line(&format!("{job_id}: {reason}"))));
    }
    if continues {
        print_status("Docket retries the remaining jobs by itself");
    }
    let is_done = refused.is_empty();
    print_verdict(is_done, &format!("{changed} jobs {verb}, {} refused", refused.len()));
    if is_done { Exit::Done } else { Exit::Failed }
}

fn printable_line(text: &str) -> String {
    printable(text) + "\n"
}

/// Lists the jobs of a batch that a query selects.
async fn list(client: &Client, batch_id: &BatchId, filter: &str) -> Result<Vec<Value>, CommandError> {
    let mut jobs = Vec::new();
    each_job(client, batch_id, filter, |job| {
        jobs.push(job);
        Ok(())
    })
    .await?;
    Ok(jobs)
}

/// Shows the jobs, and asks.
fn ask(change: Change, jobs: &[Value], mode: Mode) -> Result<(), CommandError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let text = |job: &Value, pointer: &str| printable(job.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    let row = |job| ["/job_id", "/status", "/document/name", "/error/code"].map(|pointer| text(job, pointer)).to_vec();
    let rows: Vec<Vec<String>> = jobs.iter().take(SHOWN_MAX).map(row).collect();
    table(&["job", "status", "name", "error"], &rows).lines().for_each(print_status);
    if jobs.len() > SHOWN_MAX {
        print_status(&format!("and {} more", jobs.len() - SHOWN_MAX));
    }
    let verb = match change {
        Change::Retry => "Retry",
        Change::Cancel => "Cancel",
    };
    confirm(&format!("{verb} {} jobs?", jobs.len()), mode.has_consent)
}

/// A change of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A failed job starts again.
    Retry,
    /// An unfinished job ends.
    Cancel,
}

async fn change_named(client: &Client, ids: &[JobId], change: Change, mode: Mode) -> Result<Changes, CommandError> {
    let mut jobs = Vec::new();
    for id in ids {
        let missing = || CommandError::Failed(format!("there is no job {id}"));
        jobs.push(client.get(&format!("/jobs/{id}")).await?.ok_or_else(missing)?);
    }
    ask(change, &jobs, mode)?;
    let ids: Vec<&str> = ids.iter().map(JobId::as_str).collect();
    change_jobs(client, &ids, change).await
}

async fn change_jobs(client: &Client, ids: &[&str], change: Change) -> Result<Changes, CommandError> {
    let (mut progress, mut changes) = (Progress::new(), Changes::default());
    for (index, id) in ids.iter().enumerate() {
        match change_job(client, id, change).await? {
            None => changes.changed += 1,
            Some(reason) => changes.refused.push(((*id).to_owned(), reason)),
        }
        let done = index + 1;
        progress.show("", done as u64, ids.len() as u64, &format!("{done} of {} jobs", ids.len()));
    }
    Ok(changes)
}

/// Changes one job. Returns the reason if the API refuses the change.
///
/// # Errors
/// The API cannot be asked.
pub(crate) async fn change_job(client: &Client, id: &str, change: Change) -> Result<Option<String>, CommandError> {
    let response = match change {
        Change::Retry => client.ask("POST", &format!("/jobs/{id}/retry"), None, &[202, 404, 409]).await?,
        Change::Cancel => client.ask("DELETE", &format!("/jobs/{id}"), None, &[200, 404, 409]).await?,
    };
    let detail = || response.json()["detail"].as_str().unwrap_or("there is no such job").to_owned();
    Ok((![200, 202].contains(&response.status)).then(detail))
}

/// Changes the jobs of a batch that match a filter of the API, such as `status=pending`.
///
/// # Errors
/// There is no such batch, or the API refuses a request.
pub(crate) async fn change_matching(
    client: &Client,
    batch_id: &BatchId,
    filter: &str,
    change: Change,
) -> Result<Changes, CommandError> {
    match change {
        Change::Retry => retry_batch(client, batch_id, &format!("?{filter}")).await,
        Change::Cancel => {
            let batch = client.get(&format!("/batches/{batch_id}")).await?.ok_or_else(|| no_such_batch(batch_id))?;
            let before = batch["request_counts"]["cancelled"].as_u64().unwrap_or(0);
            cancel_batch(client, batch_id, &format!("?{filter}"), before).await
        }
    }
}

/// Retries the jobs of a batch by one request. Docket retries the jobs that the request has no
/// time for by itself.
async fn retry_batch(client: &Client, batch_id: &BatchId, query: &str) -> Result<Changes, CommandError> {
    let body = client.ask("POST", &format!("/batches/{batch_id}/retry{query}"), None, &[202]).await?.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let refused = body["not_retried"].as_array().into_iter().flatten();
    let continues = body["continues"] == true;
    Ok(Changes {
        changed: body["retried"].as_u64().unwrap_or(0),
        refused: refused.map(|job| (text(&job["job_id"]), text(&job["detail"]))).collect(),
        continues,
    })
}

/// Cancels a batch, or the jobs that a query selects. `before` jobs were cancelled already.
pub(crate) async fn cancel_batch(
    client: &Client,
    batch_id: &BatchId,
    query: &str,
    before: u64,
) -> Result<Changes, CommandError> {
    loop {
        let batch = client.ask("DELETE", &format!("/batches/{batch_id}{query}"), None, &[200]).await?.json();
        if batch["has_more"] != true {
            let cancelled = batch["request_counts"]["cancelled"].as_u64().unwrap_or(0);
            return Ok(Changes { changed: cancelled.saturating_sub(before), ..Changes::default() });
        }
    }
}
