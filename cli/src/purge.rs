//! `docket purge`: asks the stack to erase jobs or a batch.

use docket::domain::ids::{BatchId, JobId};
use serde_json::{Value, json};

use crate::aws::connect::Target;
use crate::client::{Client, no_such_batch};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terminal::{confirm, print_status, print_text, print_verdict, printable, table};

/// The jobs or the batch to purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purged {
    /// A batch with all its jobs.
    Batch(BatchId),
    /// Single jobs.
    Jobs(Vec<JobId>),
}

/// Shows what a purge hits, asks, and requests it.
pub(crate) async fn run(target: &Target, purged: Purged, has_consent: bool, json: bool) -> Exit {
    match request(target, &purged, has_consent).await {
        Ok(requested) => {
            if json {
                print_text(&format!("{}\n", json!({"requested": requested})));
            }
            print_verdict(true, &format!("{requested} purges requested; the stack erases in the background"));
            Exit::Done
        }
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

/// Returns the number of requested purges.
async fn request(target: &Target, purged: &Purged, has_consent: bool) -> Result<usize, CommandError> {
    let client = Client::open(target).await?;
    let paths: Vec<String> = match purged {
        Purged::Batch(batch_id) => {
            let path = format!("/batches/{batch_id}");
            let batch = client.get(&path).await?.ok_or_else(|| no_such_batch(batch_id))?;
            let counts = &batch["request_counts"];
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            print_status(&format!(
                "batch {batch_id}: {} jobs, {} complete, {} failed, {} cancelled, {} unfinished",
                count("total"),
                count("complete"),
                count("failed"),
                count("cancelled"),
                count("pending") + count("processing"),
            ));
            confirm(
                &format!(
                    "Purge the batch {batch_id}? The documents, results, metadata and dead letters of its {} jobs are \
                     erased, and cannot be restored.",
                    count("total")
                ),
                has_consent,
            )?;
            vec![path]
        }
        Purged::Jobs(ids) => {
            let mut jobs = Vec::new();
            for id in ids {
                let missing = || CommandError::Failed(format!("there is no job {id}"));
                jobs.push(client.get(&format!("/jobs/{id}")).await?.ok_or_else(missing)?);
            }
            show(&jobs);
            confirm(
                &format!(
                    "Purge {} jobs? Their documents, results, metadata and dead letters are erased, and cannot be \
                     restored.",
                    jobs.len()
                ),
                has_consent,
            )?;
            ids.iter().map(|id| format!("/jobs/{id}")).collect()
        }
    };
    for path in &paths {
        client.ask("DELETE", &format!("{path}?purge=true"), None, &[202]).await?;
    }
    Ok(paths.len())
}

fn show(jobs: &[Value]) {
    let text = |job: &Value, pointer: &str| printable(job.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    let row = |job| ["/job_id", "/status", "/batch_id", "/document/name"].map(|pointer| text(job, pointer)).to_vec();
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
    table(&["job", "status", "batch", "name"], &rows).lines().for_each(print_status);
}
