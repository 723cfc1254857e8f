//! The index partitions over which the jobs of a batch are spread.

use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::BATCH_SHARDS;

/// The name of the index partition of a job: one of [`BATCH_SHARDS`] of its batch.
pub fn shard_of(batch_id: &BatchId, job_id: &JobId) -> String {
    shard_name(batch_id, shard_number(job_id))
}

pub(super) fn shard_number(job_id: &JobId) -> u32 {
    let hash = sha256_hex(job_id.as_str().as_bytes());
    let byte = u8::from_str_radix(&hash[..2], 16).unwrap_or_default();
    u32::from(byte) % BATCH_SHARDS
}

/// The name of a partition of a batch. `shard` is from 0 to [`BATCH_SHARDS`] − 1.
///
/// An id contains no `/`, so partitions of different batches have different names.
pub fn shard_name(batch_id: &BatchId, shard: u32) -> String {
    format!("{batch_id}/{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_batch_use_all_its_partitions() {
        let batch: BatchId = "b".parse().unwrap();
        let shards: std::collections::BTreeSet<String> =
            (0..1_000).map(|n| shard_of(&batch, &n.to_string().parse().unwrap())).collect();
        let names: std::collections::BTreeSet<String> = (0..BATCH_SHARDS).map(|n| shard_name(&batch, n)).collect();
        assert_eq!(shards, names);
    }
}
