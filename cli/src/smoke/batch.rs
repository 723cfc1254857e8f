//! The batch of a run: sending its documents, and waiting for them.

use std::time::Duration;

use serde_json::Value;

use super::deployment::Deployment;
use super::documents::{Submission, Way};
use crate::aws::{bucket, queues};
use crate::error::CommandError;
use crate::terminal::print_status;

/// Time between two looks at the batch.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const STATUSES: [&str; 5] = ["pending", "processing", "complete", "failed", "cancelled"];

/// Sends every document.
pub(super) async fn submit(deployment: &Deployment, submissions: &[Submission]) -> Result<(), CommandError> {
    let (connection, bucket_name) = (deployment.connection(), &deployment.bucket);
    for submission in submissions {
        match submission.way {
            Way::Api => {
                let mut body = submission.body();
                body["priority"] = submission.priority.into();
                deployment.ask("POST", "/jobs", Some(&body), &[202]).await?;
            }
            Way::Upload => {
                let key = format!("uploads/{}", submission.key);
                bucket::put(connection, bucket_name, &key, submission.bytes).await?;
            }
            Way::Queue => {
                let body = submission.body().to_string();
                queues::send(connection, queue_of(deployment, submission), body, submission.priority).await?;
            }
        }
    }
    Ok(())
}

/// The URL of the queue for a submission's priority.
pub(super) fn queue_of<'a>(deployment: &'a Deployment, submission: &Submission) -> &'a str {
    if submission.priority == "high" { &deployment.high_priority_queue } else { &deployment.jobs_queue }
}

/// Waits until `total` jobs have finished. Returns `false` if the time-out passes first.
pub(super) async fn wait_for_end(deployment: &Deployment, total: u64) -> Result<bool, CommandError> {
    let path = format!("/batches/{}", deployment.run);
    let mut shown = String::new();
    loop {
        // The batch begins to exist with its first job.
        let (_, batch) = deployment.ask("GET", &path, None, &[200, 404]).await?;
        let count = |name: &str| batch["request_counts"][name].as_u64().unwrap_or(0);
        let counts = STATUSES.iter().filter(|name| count(name) > 0).map(|name| format!("{} {name}", count(name)));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let line =
            format!("{} of {total} jobs exist: {}", count("total"), if counts.is_empty() { "none" } else { &counts });
        if line != shown {
            print_status(&line);
            shown = line;
        }
        if count("total") >= total && count("pending") + count("processing") == 0 {
            return Ok(true);
        }
        if deployment.remaining().is_zero() {
            return Ok(false);
        }
        tokio::time::sleep(POLL_INTERVAL.min(deployment.remaining())).await;
    }
}

/// A job of a submission, and its view by the API; null if there is no such job.
#[derive(Debug, Clone)]
pub(super) struct FoundJob {
    /// The job's id; empty if there is no such job.
    pub job_id: String,
    /// The API's view.
    pub view: Value,
}

/// Reads the job of each submission, in their order.
pub(super) async fn read_jobs(
    deployment: &Deployment,
    submissions: &[Submission],
) -> Result<Vec<FoundJob>, CommandError> {
    let path = format!("/batches/{}/jobs?limit=500", deployment.run);
    let (_, page) = deployment.ask("GET", &path, None, &[200, 404]).await?;
    let listed = page["data"].as_array().cloned().unwrap_or_default();
    let mut jobs = Vec::new();
    for submission in submissions {
        let found = listed.iter().find(|job| match submission.way {
            Way::Upload => job["document"]["name"] == submission.key.as_str(),
            Way::Api | Way::Queue => job["job_id"] == submission.key.as_str(),
        });
        let job_id = found.and_then(|job| job["job_id"].as_str()).unwrap_or_default().to_owned();
        let view = if job_id.is_empty() { Value::Null } else { read_job(deployment, &job_id).await? };
        jobs.push(FoundJob { job_id, view });
    }
    Ok(jobs)
}

/// Reads a job with its result; null if there is no such job.
pub(super) async fn read_job(deployment: &Deployment, job_id: &str) -> Result<Value, CommandError> {
    let (status, view) = deployment.ask("GET", &format!("/jobs/{job_id}"), None, &[200, 404]).await?;
    Ok(if status == 200 { view } else { Value::Null })
}
