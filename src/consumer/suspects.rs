//! Finds the suspects of a batch: jobs whose worker fell silent together with other jobs.
//!
//! Nobody knows which of the jobs in flight ended their worker, for example by its memory. So
//! none of them is charged for it, and each runs alone from then on. A job that falls silent
//! alone is charged.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tracing::warn;

use super::record::Record;
use crate::aws::jobs::Jobs;
use crate::domain::ids::JobId;
use crate::domain::job::suspect::is_suspect;

/// The place of the record that must run alone; `None` if the batch has no suspect.
///
/// Only redelivered messages can be those of suspects, so a batch of new messages costs no
/// read. A suspect whose message came alone is found, too: its message must return when its
/// lease ends. If the table does not answer, the claim of each job still finds the suspects.
pub(super) async fn find_suspect(jobs: &Jobs, records: &[Record], now: Timestamp) -> Option<usize> {
    let redelivered: BTreeSet<&JobId> =
        records.iter().filter(|record| record.receive_count > 1).filter_map(Record::job_id).collect();
    if redelivered.is_empty() {
        return None;
    }
    let redelivered: Vec<JobId> = redelivered.into_iter().cloned().collect();
    let stored = match jobs.get_many_without_results(&redelivered).await {
        Ok(stored) => stored,
        Err(error) => {
            warn!(service = error.service, code = error.code, "the redelivered jobs could not be read");
            return None;
        }
    };
    let suspects: BTreeSet<JobId> =
        stored.into_iter().filter(|job| is_suspect(job, now)).map(|job| job.job_id).collect();
    let places =
        records.iter().enumerate().filter(|(_, record)| record.job_id().is_some_and(|id| suspects.contains(id)));
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    // Any of them: a suspect that cannot run now must not keep the others waiting.
    (!places.is_empty()).then(|| places[fastrand::usize(..places.len())])
}
