//! The objects of the command line: `submitted/{batch}/{job_id}/{path}`.
//!
//! The job id follows from batch, path and bytes. A second run therefore finds the
//! objects of the first, and the same document in the same place is the same job.

use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;

/// The prefix of documents with normal priority.
pub const SUBMITTED_PREFIX: &str = "submitted/";
/// The prefix of documents with high priority.
pub const SUBMITTED_HIGH_PREFIX: &str = "submitted-high/";
/// The start of a submitted document's job id.
pub const SUBMITTED_JOB_PREFIX: &str = "file-";
/// Hexadecimal digits of the hash in a job id: 160 bits.
const HASH_DIGITS: usize = 40;

/// The key of a submitted document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedKey<'a> {
    /// The document's job.
    pub job_id: JobId,
    /// The batch of the job.
    pub batch_id: BatchId,
    /// The priority, by the prefix.
    pub priority: Priority,
    /// The path in the caller's folder, which names the document.
    pub path: &'a str,
}

/// The prefix for a priority.
pub fn submitted_prefix(priority: Priority) -> &'static str {
    match priority {
        Priority::Normal => SUBMITTED_PREFIX,
        Priority::High => SUBMITTED_HIGH_PREFIX,
    }
}

/// The job id of a document: `file-` and the first 40 hexadecimal digits of the SHA-256 of
/// batch, path and the SHA-256 of the bytes, with a zero byte after batch and path.
///
/// `path` is the relative path with `/` between its parts, in Unicode's normalisation form
/// NFC. `bytes_sha256` has 64 lower-case hexadecimal digits.
pub fn submitted_job_id(batch_id: &BatchId, path: &str, bytes_sha256: &str) -> JobId {
    let named = sha256_hex(format!("{batch_id}\0{path}\0{bytes_sha256}").as_bytes());
    let id = format!("{SUBMITTED_JOB_PREFIX}{}", &named[..HASH_DIGITS]);
    id.parse().expect("the prefix and hexadecimal digits are a valid id")
}

/// The key of a submitted document.
pub fn submitted_key(batch_id: &BatchId, job_id: &JobId, path: &str, priority: Priority) -> String {
    format!("{}{batch_id}/{job_id}/{path}", submitted_prefix(priority))
}

/// Reads the key of a submitted document; `None` for other keys.
pub fn parse_submitted_key(key: &str) -> Option<SubmittedKey<'_>> {
    let with = |priority| key.strip_prefix(submitted_prefix(priority)).map(|rest| (priority, rest));
    let (priority, rest) = with(Priority::Normal).or_else(|| with(Priority::High))?;
    let (batch_id, rest) = rest.split_once('/')?;
    let (job_id, path) = rest.split_once('/')?;
    if path.is_empty() {
        return None;
    }
    Some(SubmittedKey { job_id: job_id.parse().ok()?, batch_id: batch_id.parse().ok()?, priority, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_id_follows_from_batch_path_and_bytes() {
        let batch: BatchId = "leases-2026".parse().unwrap();
        let bytes = sha256_hex(b"Dear Sir");
        let id = submitted_job_id(&batch, "north/a.txt", &bytes);
        // docs/guide/command-line.md computes the same id in Python.
        assert_eq!(id.as_str(), "file-d31c5e3630755315490469e253db875d8e9050a4");
        let others = [
            submitted_job_id(&"leases-2027".parse().unwrap(), "north/a.txt", &bytes),
            submitted_job_id(&batch, "north/b.txt", &bytes),
            submitted_job_id(&batch, "north/a.txt", &sha256_hex(b"Dear Madam")),
        ];
        assert!(others.iter().all(|other| *other != id));
    }

    #[test]
    fn key_names_job_batch_priority_and_path() {
        let (batch_id, job_id): (BatchId, JobId) = ("b:1".parse().unwrap(), "j".parse().unwrap());
        for priority in [Priority::Normal, Priority::High] {
            let key = submitted_key(&batch_id, &job_id, "über/a b.txt", priority);
            let (batch_id, job_id) = (batch_id.clone(), job_id.clone());
            let expected = SubmittedKey { job_id, batch_id, priority, path: "über/a b.txt" };
            assert_eq!(parse_submitted_key(&key), Some(expected));
        }
        for other in ["uploads/b/j/a", "submitted/b/j", "submitted/b/j/", "submitted/b c/j/a", "submitted/b//a"] {
            assert_eq!(parse_submitted_key(other), None, "{other}");
        }
    }
}
