//! Deletion of the objects of a run.

use super::batch::FoundJob;
use super::deployment::Deployment;
use crate::aws::bucket::delete_prefix;

/// Deletes the documents and results of a run. Returns the number of deleted versions, and
/// the first error.
pub(super) async fn delete_objects(deployment: &Deployment, jobs: &[FoundJob]) -> (usize, Option<String>) {
    let (connection, Deployment { bucket, run, .. }) = (deployment.connection(), deployment);
    let of_jobs = jobs.iter().filter(|job| !job.job_id.is_empty()).map(|job| &job.job_id);
    let prefixes =
        of_jobs.flat_map(|job_id| ["documents", "results", "chunks"].map(|kind| format!("{kind}/{job_id}/")));
    let mut deleted = 0;
    for prefix in prefixes.chain([format!("uploads/{run}/")]) {
        match delete_prefix(connection, bucket, &prefix).await {
            Ok(count) => deleted += count,
            Err(error) => return (deleted, Some(format!("{error}: allow {} for this caller", error.action))),
        }
    }
    (deleted, None)
}
