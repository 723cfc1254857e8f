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
use crate::pages::{each_job, each_result};
use crate::terminal::{print_status, print_text, printable, table};

/// Which jobs are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// All.
    All,
    /// Those with a status.
    Status(&'static str),
    /// Complete ones with a label.
    Label(String),
    /// Failed ones with an error code.
    ErrorCode(String),
}

/// Lists the jobs of a batch.
pub(crate) async fn list(target: &Target, batch_id: &BatchId, filter: &Filter, json: bool) -> Exit {
    end(try_list(target, batch_id, filter, json).await)
}

/// Prints one job.
pub(crate) async fn show(target: &Target, job_id: &JobId, json: bool) -> Exit {
    end(try_show(target, job_id, json).await)
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

async fn try_list(target: &Target, batch_id: &BatchId, filter: &Filter, json: bool) -> Result<(), CommandError> {
    let client = Client::open(target).await?;
    let mut count = 0;
    let mut rows = Vec::new();
    let mut visit = |mut job: Value| {
        count += 1;
        if json {
            let label = job.pointer("/result/classification/label").cloned();
            if let (Some(fields), Some(label)) = (job.as_object_mut(), label) {
                fields.remove("result");
                fields.insert("label".to_owned(), label);
            }
            print_text(&format!("{}{job}", if count == 1 { "[" } else { ",\n" }));
        } else {
            rows.push(row(&job));
        }
        Ok(())
    };
    match filter {
        Filter::All => each_job(&client, batch_id, "", visit).await?,
        Filter::Status(status) => each_job(&client, batch_id, &format!("&status={status}"), visit).await?,
        Filter::ErrorCode(code) => {
            let has_code = |job: &Value| job["error"]["code"] == code.as_str();
            let visit = |job| if has_code(&job) { visit(job) } else { Ok(()) };
            each_job(&client, batch_id, "&status=failed", visit).await?;
        }
        Filter::Label(label) => {
            let has_label = |job: &Value| job["result"]["classification"]["label"] == label.as_str();
            let visit = |job| if has_label(&job) { visit(job) } else { Ok(()) };
            each_result(&client, batch_id, visit).await?;
        }
    }
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
        text("/result/classification/label").or_else(error).unwrap_or_default(),
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
