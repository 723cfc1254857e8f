//! The index partitions over which jobs are spread.
//!
//! | jobs | partitions | key |
//! | --- | --- | --- |
//! | of one batch | [`BATCH_SHARDS`] | batch id, `/`, number |
//! | outside batches | [`OUTSIDE_SHARDS`] | `/`, number |
//!
//! An id contains no `/` and is not empty, so partitions of different batches, and those
//! outside batches, have different keys.

use crate::domain::document::sha256_hex;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{BATCH_SHARDS, OUTSIDE_SHARDS};

/// Jobs that share index partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group<'a> {
    /// The jobs of a batch.
    Batch(&'a BatchId),
    /// The jobs without a batch.
    OutsideBatches,
}

impl<'a> Group<'a> {
    /// The group of a job, by its batch.
    pub fn from_batch(batch_id: Option<&'a BatchId>) -> Self {
        batch_id.map_or(Self::OutsideBatches, Self::Batch)
    }

    /// The number of the group's partitions.
    pub fn shards(self) -> u32 {
        match self {
            Self::Batch(_) => BATCH_SHARDS,
            Self::OutsideBatches => OUTSIDE_SHARDS,
        }
    }

    /// The key of a partition. `shard` is from 0 to [`shards`](Self::shards) − 1.
    pub fn partition(self, shard: u32) -> String {
        match self {
            Self::Batch(batch_id) => format!("{batch_id}/{shard}"),
            Self::OutsideBatches => format!("/{shard}"),
        }
    }

    /// The key of a job's partition.
    pub fn partition_of(self, job_id: &JobId) -> String {
        self.partition(self.shard_of(job_id))
    }

    /// The number of a job's partition.
    pub(super) fn shard_of(self, job_id: &JobId) -> u32 {
        let hash = sha256_hex(job_id.as_str().as_bytes());
        u32::from(u8::from_str_radix(&hash[..2], 16).unwrap_or_default()) % self.shards()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn jobs_use_all_partitions_of_their_group_evenly() {
        let batch = "b".parse().unwrap();
        for group in [Group::Batch(&batch), Group::OutsideBatches] {
            let mut jobs: BTreeMap<String, u32> = (0..group.shards()).map(|n| (group.partition(n), 0)).collect();
            for n in 0..20_000 {
                *jobs.get_mut(&group.partition_of(&format!("job-{n}").parse().unwrap())).unwrap() += 1;
            }
            let even = 20_000 / group.shards();
            assert!(jobs.values().all(|count| (even * 3 / 4..=even * 5 / 4).contains(count)), "{jobs:?}");
        }
    }

    #[test]
    fn partitions_of_different_groups_differ() {
        let (b, b1) = ("b".parse().unwrap(), "b1".parse().unwrap());
        let keys = [Group::Batch(&b).partition(11), Group::Batch(&b1).partition(1), Group::OutsideBatches.partition(1)];
        assert_eq!(keys, ["b/11", "b1/1", "/1"]);
    }
}
