//! The index partitions over which the jobs that wait for one target are spread.
//!
//! A stored job is in the index only while it waits, so jobs that never wait cost nothing.

use super::HoldTarget;
use crate::domain::document::sha256_hex;
use crate::domain::ids::JobId;
use crate::domain::limits::WAITING_SHARDS;

/// The partition of a waiting job, which is the value of its attribute `waiting_for`.
pub fn waiting_shard(target: &HoldTarget, job_id: &JobId) -> String {
    let hash = sha256_hex(job_id.as_str().as_bytes());
    let byte = u8::from_str_radix(&hash[..2], 16).unwrap_or_default();
    shard_name(target, u32::from(byte) % WAITING_SHARDS)
}

/// The name of partition `shard`, from 0 to [`WAITING_SHARDS`] − 1.
pub fn shard_name(target: &HoldTarget, shard: u32) -> String {
    format!("{target}/{shard}")
}

/// The target of a partition; `None` if the text names none.
pub fn target_of(shard: &str) -> Option<HoldTarget> {
    let (target, number) = shard.rsplit_once('/')?;
    number.parse::<u32>().ok()?;
    target.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_names_its_target() {
        for target in [HoldTarget::Store, HoldTarget::Model("a/b:0".into()), HoldTarget::Batch("b".parse().unwrap())] {
            let shards: std::collections::BTreeSet<String> =
                (0..100).map(|n| waiting_shard(&target, &n.to_string().parse().unwrap())).collect();
            assert_eq!(shards, (0..WAITING_SHARDS).map(|n| shard_name(&target, n)).collect());
            assert!(shards.iter().all(|shard| target_of(shard).as_ref() == Some(&target)));
        }
        assert_eq!(target_of("store"), None);
        assert_eq!(target_of("store/x"), None);
    }
}
