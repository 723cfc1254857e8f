//! A purge: which objects belong to a job or to a batch, and how long a purge must wait for
//! work that still runs.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::batch::cursor::Cursor;
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{State, StoredJob};
use crate::domain::job::stranded::awaits_upload;
use crate::domain::limits::{ASYNC_MAX_AGE, ASYNC_POLL_MARGIN, LEASE_MARGIN, UPLOAD_MARGIN, UPLOAD_TIME};
use crate::domain::message::submitted::parse_submitted_key;

/// A message of the purge queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purge", rename_all = "snake_case")]
pub enum PurgeMessage {
    /// Erase the content of a job.
    Job {
        /// The job.
        job_id: JobId,
    },
    /// Erase the objects and the settings of a batch, and send a message for each job.
    Batch {
        /// The batch.
        batch_id: BatchId,
        /// Whether the walk over the jobs is the second one, for jobs that the index did not
        /// show to the first.
        #[serde(default)]
        is_repeated: bool,
        /// The position of the next job; `None` for the first one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
    },
}

/// The prefixes of the stack's bucket that have objects of one job only.
pub fn job_prefixes(job_id: &JobId) -> Vec<String> {
    ["documents", "incoming", "incoming-high", "chunks", "results"].map(|name| format!("{name}/{job_id}/")).into()
}

/// The prefixes of the stack's bucket that have objects of one batch only.
pub fn batch_prefixes(batch_id: &BatchId) -> Vec<String> {
    ["uploads", "submitted", "submitted-high", "exports"].map(|name| format!("{name}/{batch_id}/")).into()
}

/// The versions of an object that a purge erases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// All versions: the key has the job's id.
    All,
    /// This version: each version of the key is the document of another job. `None` is the
    /// only version of a bucket without versions.
    One(Option<String>),
}

/// The versions of a job's document to erase; `None` if it is not in the stack's bucket.
pub fn document_versions(row: &StoredJob, own_bucket: &str) -> Option<(S3Location, Versions)> {
    let at = row.document.location().filter(|at| at.bucket == own_bucket)?;
    let is_named = parse_submitted_key(&at.key).is_some_and(|key| key.job_id == row.job_id);
    let versions = if is_named { Versions::All } else { Versions::One(at.version_id.clone()) };
    Some((at, versions))
}

/// The time from which nothing works on a job any more that was cancelled now. A worker may
/// store objects until its lease ends, and Bedrock until an invocation ends.
pub fn end_of_work(row: &StoredJob, now: Timestamp) -> Timestamp {
    let lease = match row.state {
        State::Processing { lease_until } => lease_until + LEASE_MARGIN,
        _ => now,
    };
    let is_ended = matches!(row.state, State::Complete(_) | State::Failed { .. });
    let invocation = row.invocation.as_ref().filter(|_| !is_ended);
    let invocation = invocation.map(|started| started.started_at + ASYNC_MAX_AGE + ASYNC_POLL_MARGIN);
    // A caller may still upload the document.
    let upload = awaits_upload(row).then(|| row.updated_at + UPLOAD_TIME + UPLOAD_MARGIN);
    lease.max(invocation.unwrap_or(now)).max(upload.unwrap_or(now)).max(now)
}

/// The delay before a purge looks again; `None` once nothing works on the job any more.
pub fn wait_for_work(until: Timestamp, now: Timestamp) -> Option<Duration> {
    (until > now).then(|| Duration::try_from(until.duration_since(now)).unwrap_or_default() + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::async_invocation::request::{InvocationArn, StartedInvocation};
    use crate::domain::document::DocumentRecord;
    use crate::domain::message::s3_event::{INCOMING_HIGH_PREFIX, INCOMING_PREFIX, UPLOADS_PREFIX};
    use crate::domain::message::submitted::{SUBMITTED_HIGH_PREFIX, SUBMITTED_PREFIX};

    fn row(key: &str) -> StoredJob {
        let at = S3Location { bucket: "b".into(), key: key.into(), version_id: Some("1".into()), sha256: None };
        StoredJob {
            document: DocumentRecord::unread(&at),
            ..StoredJob::new("j".parse().unwrap(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn every_prefix_of_documents_is_erased() {
        let all = [job_prefixes(&"j".parse().unwrap()), batch_prefixes(&"b".parse().unwrap())].concat();
        let named =
            [INCOMING_PREFIX, INCOMING_HIGH_PREFIX, UPLOADS_PREFIX, SUBMITTED_PREFIX, SUBMITTED_HIGH_PREFIX].iter();
        for prefix in named.chain(&["documents/", "chunks/", "results/", "exports/"]) {
            assert!(all.iter().any(|full| full.starts_with(prefix)), "{prefix}");
        }
        assert!(all.iter().all(|prefix| prefix.ends_with('/')), "the job j must not erase those of j-2");
    }

    #[test]
    fn version_of_another_job_is_not_erased() {
        let versions = |key: &str, bucket: &str| document_versions(&row(key), bucket).map(|(_, versions)| versions);
        assert_eq!(versions("uploads/x/a.txt", "b"), Some(Versions::One(Some("1".into()))));
        assert_eq!(versions("submitted/x/j/a.txt", "b"), Some(Versions::All));
        assert_eq!(versions("submitted-high/x/j/a.txt", "b"), Some(Versions::All));
        assert_eq!(versions("submitted/x/another/a.txt", "b"), Some(Versions::One(Some("1".into()))));
        assert_eq!(versions("uploads/x/a.txt", "another bucket"), None);
    }

    #[test]
    fn purge_waits_for_the_lease_and_the_invocation() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(end_of_work(&row("k"), now), now);
        assert_eq!(wait_for_work(now, now), None);
        let lease_until = now + Duration::from_secs(60);
        let running = StoredJob { state: State::Processing { lease_until }, ..row("k") };
        assert_eq!(end_of_work(&running, now), lease_until + LEASE_MARGIN);
        let arn = InvocationArn::new("arn");
        let invocation = Some(StartedInvocation { arn, started_at: now, poll: 1, is_waiting: true });
        let invoked = StoredJob { invocation, ..running };
        assert_eq!(end_of_work(&invoked, now), now + ASYNC_MAX_AGE + ASYNC_POLL_MARGIN);
        let error = crate::domain::failure::Failure::new("c", "m");
        let ended = StoredJob { state: State::Failed { error, completed_at: now }, ..invoked };
        assert_eq!(end_of_work(&ended, now), now);
    }

    #[test]
    fn purge_message_survives_its_body() {
        for message in [
            PurgeMessage::Job { job_id: "j".parse().unwrap() },
            PurgeMessage::Batch { batch_id: "b".parse().unwrap(), is_repeated: true, cursor: None },
        ] {
            let body = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<PurgeMessage>(&body).unwrap(), message);
        }
    }
}
