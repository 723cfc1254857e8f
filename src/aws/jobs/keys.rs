//! The indexes of the jobs table, and the attributes that are their keys.
//!
//! | index | keys | items |
//! | --- | --- | --- |
//! | `batch-index` | `batch_shard`, `job_id` | the jobs of batches |
//! | `status-index` | `batch_shard`, `ended` | the ended jobs of batches |
//! | `unfinished-index` | `unfinished`, `job_id` | the jobs that are `pending` or `processing` |
//! | `batch-list-index` | `batch_list`, `batch_list_key` | the stored batches |
//! | `waiting-index` | `waiting_for`, `job_id` | the jobs that wait for a hold or a paused batch, and the holds |
//! | `fingerprint-index` | `fingerprint` | the results that deduplication can reuse |
//!
//! An item without one of the keys is not in the index, and costs it nothing. A job of a
//! batch costs six index writes: three of `batch-index`, one of `status-index`, and two
//! of `unfinished-index`. A job outside batches costs the last two.
//!
//! A global secondary index is eventually consistent. It may miss the newest writes
//! to the table.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>

use aws_sdk_dynamodb::types::AttributeValue;

use crate::aws::update::{Update, text};
use crate::domain::batch::shard::Group;
use crate::domain::ids::JobId;
use crate::domain::job::stored::Status;

/// The index over the jobs of each batch, in the order of their ids.
pub const BATCH_INDEX: &str = "batch-index";
/// The index over the ended jobs of each batch, by status.
pub const STATUS_INDEX: &str = "status-index";
/// The index over unfinished jobs, in the order of their ids.
pub const UNFINISHED_INDEX: &str = "unfinished-index";
/// The index over stored batches, in the order of their creation.
pub const BATCH_LIST_INDEX: &str = "batch-list-index";
/// The index over `waiting_for`.
pub const WAITING_INDEX: &str = "waiting-index";
/// The index over `fingerprint`.
pub const FINGERPRINT_INDEX: &str = "fingerprint-index";

/// The partition key of [`UNFINISHED_INDEX`]: the job's partition in its group.
pub(super) const UNFINISHED: &str = "unfinished";
/// The sort key of [`STATUS_INDEX`]; see [`ended_key`].
pub(super) const ENDED: &str = "ended";
/// The only value of `batch_list`. One partition accepts 1,000 new batches a second.
pub(super) const BATCH_LIST: &str = "batches";

/// The value of [`ENDED`]: the status, `/`, and the job id. The jobs of one status are
/// thus in the order of their ids.
pub(super) fn ended_key(status: Status, job_id: &JobId) -> AttributeValue {
    text(format!("{}{job_id}", ended_prefix(status)))
}

/// The start of [`ended_key`] for all jobs with a status.
pub(super) fn ended_prefix(status: Status) -> String {
    format!("{}/", status.as_str())
}

/// Marks a stored job unfinished. The mark names the partition of the stored batch, if
/// any; otherwise `group` decides, for a job that is not stored yet.
pub(super) fn mark_unfinished(update: Update, group: Group<'_>, job_id: &JobId) -> Update {
    update.set_from(UNFINISHED, "batch_shard", text(group.partition_of(job_id))).remove(&[ENDED, "error_code"])
}
