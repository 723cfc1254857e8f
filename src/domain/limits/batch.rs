//! The limits of batches: their indexes, their pages, and the requests for many jobs.

use std::time::Duration;

/// Partitions of one batch in the indexes over its jobs. Three measures set the number:
///
/// - Writes: a partition of an index accepts 1,000 writes a second, and a job causes up to
///   3 in one index. 64 partitions accept 20,000 jobs a second, also while DynamoDB has
///   not split the partitions of a new batch.
/// - Large reads: a query returns 1 MB, about 4,000 entries. The counts of a million jobs
///   take 4 queries of each partition, and the partitions are read in parallel.
/// - Small reads: counts, and the end of a list, need a query of every partition. With
///   [`CONCURRENT_SHARD_READS`], 64 queries are 4 round trips. A query of an empty
///   partition costs half a read unit, so the counts of a small batch cost 32.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub const BATCH_SHARDS: u32 = 64;

/// Partitions of the jobs outside batches in the index over unfinished jobs. A job causes
/// two writes, so that 8 partitions accept 4,000 jobs a second.
pub const OUTSIDE_SHARDS: u32 = 8;

/// Most index partitions that one request or one check reads at the same time. Each
/// needs a connection to DynamoDB.
pub const CONCURRENT_SHARD_READS: usize = 16;

/// Batches that one environment of the consumer remembers as stored.
pub const STORED_BATCHES_MAX: usize = 1_000;

/// Unfinished jobs of a batch that the notifier reads from the table at a time, when it
/// checks whether the batch has finished.
///
/// The index is eventually consistent, so the notifier reads the table. The first job
/// that is still unfinished ends the check.
pub const FINISH_CHECK_JOBS: usize = 10;

/// Most finished jobs of a batch that the index may still show as unfinished. With more
/// jobs, the notifier checks the batch again later.
pub const INDEX_BEHIND_MAX: usize = 1_000;

/// Time over which the rate of a batch (`jobs_per_minute`) is measured.
pub const RATE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Most BatchGetItem requests for one group of keys. DynamoDB may return unprocessed keys,
/// which the next request reads.
pub const BATCH_GET_ROUNDS: u32 = 20;

/// Most jobs in one `POST /batches/{batch_id}/jobs`.
pub const BATCH_REQUEST_JOBS_MAX: usize = 500;

/// Most jobs of a page: the largest `limit` of the API.
pub const PAGE_MAX: usize = 500;

/// Jobs of a page if the request has no `limit`.
pub const PAGE_DEFAULT: usize = 100;

/// Largest page of results, in bytes, unless its first job alone is larger. A response of
/// Lambda has at most 6 MB.
pub const PAGE_MAX_BYTES: usize = 4_500_000;

/// Longest `error_code` in a filter of jobs, in bytes.
pub const FILTER_CODE_MAX_BYTES: usize = 100;

/// Most jobs of one API request that the producer handles concurrently.
pub const CONCURRENT_REQUEST_JOBS: usize = 32;

/// Longest time in which one API request cancels or retries jobs of a batch. The caller
/// repeats the request for the remaining jobs.
///
/// API Gateway waits 29 s for a response.
pub const CHANGE_TIME: Duration = Duration::from_secs(15);
