//! `docket jobs`: the jobs of a batch. `docket job`: one job explained.

pub(crate) mod explain;
pub(crate) mod remedy;

use docket::domain::ids::{BatchId, JobId};
use serde_json::Value;

use self::explain::explain;
use crate::aws::connect::Target;
use crate::client::Client;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::pages::each_job;
use crate::terminal::{print_status, print_text, printable, table};

/// Lists the jobs of a batch that match a filter of the API, such as `status=failed`. An empty
/// filter lists all.
pub(crate) async fn list(target: &Target, batch_id: &BatchId, filter: &str, json: bool) -> Exit {
    end(try_list(target, batch_id, filter, json).await)
}

/// Prints one job.
pub(crate) async fn show(target: &Target, job_id: &JobId, json: bool) -> Exit {
    end(try_show(target, job_id, json).await)
}

/// Prints the URL of a job's document, or the API's answer as JSON.
pub(crate) async fn show_document(target: &Target, job_id: &JobId, json: bool) -> Exit {
    end(try_show_document(target, job_id, json).await)
}

fn end(ended: Result<(), CommandError>) -> Exit {
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

async fn try_list(target: &Target, batch_id: &BatchId, filter: &str, json: bool) -> Result<(), CommandError> {
    let client = Client::open(target).await?;
    let mut count = 0;
    let mut rows = Vec::new();
    let visit = |job: Value| {
        count += 1;
        if json {
            print_text(&format!("{}{job}", if count == 1 { "[" } else { ",\n" }));
        } else {
            rows.push(row(&job));
        }
        Ok(())
    };
    each_job(&client, batch_id, filter, visit).await?;
    match (json, count) {
        (true, 0) => print_text("[]\n"),
        (true, _) => print_text("]\n"),
        (false, _) => print_text(&table(&["job", "status", "attempts", "name", "label or error"], &rows)),
    }
    print_status(&format!("{count} jobs"));
    Ok(())
}

fn row(job: &Value) -> Vec<String> {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str).map(printable);
    let error = || Some(format!("{}: {}", text("/error/code")?, text("/error/message").unwrap_or_default()));
    vec![
        text("/job_id").unwrap_or_default(),
        text("/status").unwrap_or_default(),
        job["charged_attempts"].to_string(),
        text("/document/name").unwrap_or_default(),
        text("/label").or_else(error).unwrap_or_default(),
    ]
}

async fn try_show(target: &Target, job_id: &JobId, json: bool) -> Result<(), CommandError> {
    let client = Client::open(target).await?;
    let missing = || {
        CommandError::Failed(format!(
            "there is no job {job_id}: no worker has claimed it yet, or its retention is over"
        ))
    };
    let job = client.get(&format!("/jobs/{job_id}")).await?.ok_or_else(missing)?;
    let text = if json { format!("{job}\n") } else { explain(&job, client.output("DocumentsBucketName").ok()) };
    print_text(&text);
    Ok(())
}

async fn try_show_document(target: &Target, job_id: &JobId, json: bool) -> Result<(), CommandError> {
    let client = Client::open(target).await?;
    let place = read_document_url(&client, job_id).await?.map_err(CommandError::Failed)?;
    let text = if json { place.to_string() } else { place["url"].as_str().unwrap_or_default().to_owned() };
    print_text(&format!("{text}\n"));
    print_status(&format!("the URL is valid until {}", place["expires_at"].as_str().unwrap_or_default()));
    Ok(())
}

/// Reads the presigned URL of a job's document; `Err` has the API's reason for its absence.
///
/// # Errors
/// The API cannot be asked.
pub(crate) async fn read_document_url(client: &Client, job_id: &JobId) -> Result<Result<Value, String>, CommandError> {
    let response = client.ask("GET", &format!("/jobs/{job_id}/document"), None, &[200, 404, 409]).await?;
    let json = response.json();
    Ok(match response.status {
        200 => Ok(json),
        _ => Err(json["detail"].as_str().unwrap_or("the document is not available").to_owned()),
    })
}
