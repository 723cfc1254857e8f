//! The index partitions over which the jobs of a batch are spread.

use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::BATCH_SHARDS;

/// The index's partition of a job: one of [`BATCH_SHARDS`] of its batch.
pub fn shard_of(batch_id: &BatchId, job_id: &JobId) -> String {
    shard_name(batch_id, shard_number(job_id))
}

pub(super) fn shard_number(job_id: &JobId) -> u32 {
    let hash = sha256_hex(job_id.as_str().as_bytes());
    let byte = u8::from_str_radix(&hash[..2], 16).unwrap_or_default();
    u32::from(byte) % BATCH_SHARDS
}

/// The name of a batch's partition: from 0 to [`BATCH_SHARDS`] − 1. An id has no
/// `/`, so that no batch's partition is another's.
pub fn shard_name(batch_id: &BatchId, shard: u32) -> String {
    format!("{batch_id}/{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batchs_jobs_are_spread_over_all_its_partitions() {
        let batch: BatchId = "b".parse().unwrap();
        let shards: std::collections::BTreeSet<String> =
            (0..1_000).map(|n| shard_of(&batch, &n.to_string().parse().unwrap())).collect();
        let names: std::collections::BTreeSet<String> = (0..BATCH_SHARDS).map(|n| shard_name(&batch, n)).collect();
        assert_eq!(shards, names);
    }
}
