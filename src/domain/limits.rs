//! Every limit of Docket, by name and unit. A limit that comes from an AWS service
//! links the service's page.

use std::time::Duration;

mod batch;
mod call;
mod evidence;
mod hold;
mod input;
mod reading;
mod sweep;

pub use self::batch::*;
pub use self::call::*;
pub use self::evidence::*;
pub use self::hold::*;
pub use self::input::*;
pub use self::reading::*;
pub use self::sweep::*;

/// Longest `job_id` and `batch_id`, in bytes. The API and the consumer check it.
///
/// An id becomes part of an S3 key and of Converse's `requestMetadata`, whose values
/// have at most 256 characters.
pub const ID_MAX_BYTES: usize = 128;

/// Longest `Idempotency-Key` header of the API, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;

/// Largest document in one Converse request, in bytes (4.5 MB). The API and the
/// consumer check it.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>
pub const DOCUMENT_MAX_BYTES: usize = 4_500_000;

/// Largest image in one Converse request, in bytes (3.75 MB). The consumer checks it.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>
pub const IMAGE_MAX_BYTES: usize = 3_750_000;

/// Most chunks of one text. The longest text is this number times `ChunkMaxBytes`;
/// the producer and the consumer check it.
pub const CHUNKS_MAX: usize = 32;

/// Most concurrent model calls for the chunks of one document, in the consumer.
pub const CONCURRENT_CHUNKS: usize = 4;

/// Time-out of the consumer for storing or reading the result of one chunk.
pub const CHUNK_STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Memory that a document uses during its analysis, as a multiple of its size. The
/// consumer's memory budget is computed with it.
pub const MEMORY_PER_DOCUMENT: u32 = 5;

/// Memory of the consumer that documents never use, in MB.
pub const MEMORY_RESERVE_MB: u32 = 64;

/// Most documents that one environment of the consumer reads from S3 at the same time.
pub const CONCURRENT_READS: usize = 16;

/// Time that the consumer keeps for reading a document that waited for memory.
///
/// It is also the shortest time after which an unanswered read charges the job.
pub const FETCH_RESERVE: Duration = Duration::from_secs(2);

/// Largest body of an API request, in bytes.
///
/// Lambda limits a request to 6 MB, and the event around the body needs the remainder.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const REQUEST_MAX_BYTES: usize = 5_800_000;

/// Largest SQS message, in bytes of body and attributes (1 MiB). A dead letter or a
/// poll omits attributes that exceed it.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MESSAGE_MAX_BYTES: usize = 1_048_576;

/// Most attributes of an SQS message. A dead letter or a poll omits further
/// attributes.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
pub const MESSAGE_MAX_ATTRIBUTES: usize = 10;

/// Longest visibility time-out that the consumer sets for a retried message (12 h,
/// counted from the receive).
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Longest bucket name in a queue message or an S3 event, in bytes.
pub const BUCKET_MAX_BYTES: usize = 255;

/// Longest object key or version id in a queue message or an S3 event, in bytes.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub const KEY_MAX_BYTES: usize = 1_024;

/// Longest `model_id` of a job or an analysis, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
pub const MODEL_ID_MAX_BYTES: usize = 2_048;

/// Largest `metadata` of a job or a batch, in bytes of JSON.
pub const METADATA_MAX_BYTES: usize = 4_096;

/// Largest `analysis` that is sent to a model, in bytes of JSON. The analysis is part of
/// the queue message.
pub const ANALYSIS_MAX_BYTES: usize = 65_536;

/// Longest `analysis.instructions`, in bytes.
pub const INSTRUCTIONS_MAX_BYTES: usize = 16_384;

/// Most labels in `analysis.labels`.
pub const LABELS_MAX: usize = 100;

/// Longest label in `analysis.labels`, in bytes.
pub const LABEL_MAX_BYTES: usize = 100;

/// Most levels of an answer, a schema or metadata.
///
/// DynamoDB stores at most 32 levels, and an item has some levels above the value.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const RESULT_MAX_DEPTH: usize = 24;

/// Largest result on the stored job, in bytes as DynamoDB counts them. The consumer
/// stores a larger result in the bucket. The limit also applies to the `analysis` of a
/// queue message.
///
/// An item has at most 400 KB, and also holds the analysis, the metadata and the other
/// attributes.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const INLINE_RESULT_MAX_BYTES: usize = 350_000 - ANALYSIS_MAX_BYTES - METADATA_MAX_BYTES;

/// Largest answer, in bytes as DynamoDB would count them. The consumer checks it after
/// the call.
///
/// A response of the API has at most 6 MB, and contains the answer as escaped text.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const RESULT_MAX_BYTES: usize = 2_000_000;

/// Largest magnitude of a number that is stored; its inverse is the smallest. The range
/// of a DynamoDB number is slightly larger.
pub const RESULT_MAX_NUMBER: f64 = 1e125;

/// Longest message of a failure, in bytes, on the stored job and in the dead-letter
/// queue. Longer messages are cut.
pub const FAILURE_MESSAGE_MAX_BYTES: usize = 1_024;

/// Time from the invocation's deadline to the end of the lease. It covers the difference
/// between clocks.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Time between the response of the consumer or the notifier and the invocation's
/// deadline. Records that have not ended by then are retried.
pub const RESPONSE_MARGIN: Duration = Duration::from_millis(750);

/// Time that the consumer keeps after the model's time-out for storing the result.
pub const STORE_RESERVE: Duration = Duration::from_secs(4);

/// Longest delay of a message that returns to the queue because a suspect of its batch runs
/// alone.
pub const SUSPECT_DELAY: Duration = Duration::from_secs(4);

/// Delay of a message that has a newer version than the function reads. Its 1,000 receives
/// last longer than its retention.
pub const NEWER_VERSION_DELAY: Duration = Duration::from_secs(15 * 60);

/// Objects that a purge erases at the same time.
pub const CONCURRENT_ERASURES: usize = 16;
/// Delay of a purge that a service interrupted, or that ran out of time.
pub const PURGE_RETRY_DELAY: Duration = Duration::from_secs(30);
/// Delay of the second walk over the jobs of a purged batch: SQS's longest.
pub const PURGE_REPEAT_DELAY: Duration = Duration::from_secs(15 * 60);
/// Time that a purge keeps before the deadline of its invocation.
pub const PURGE_RESERVE: Duration = Duration::from_secs(10);
/// Time that must remain before the purge of a batch reads a further page of jobs.
pub const PURGE_BATCH_RESERVE: Duration = Duration::from_secs(60);
/// Visibility of dead letters while a purge looks through them.
pub const PURGE_SCAN_VISIBILITY: Duration = Duration::from_secs(120);

/// First step of the backoff: the longest delay after one failure.
pub const BACKOFF_BASE: Duration = Duration::from_secs(2);

/// Largest step of the backoff: the longest delay after any number of failures.
pub const BACKOFF_CAP: Duration = Duration::from_secs(300);

/// Longest delay of a message that the invocation had no time for.
pub const NO_TIME_DELAY: Duration = Duration::from_secs(2);

/// Time by which calls may begin before `used_until`. Reservations may therefore exceed
/// the rate by at most this much quota time.
pub const QUOTA_BURST: Duration = Duration::from_secs(2);

/// Most quota time that all calls in flight may withhold without using it: half of the
/// minute that a quota holds.
pub const QUOTA_UNUSED_WINDOW: Duration = Duration::from_secs(30);

/// Longest wait of a document between a reservation and its call. The consumer retries
/// the message of a document that would wait longer.
pub const QUOTA_MAX_WAIT: Duration = Duration::from_secs(4);

/// Longest wait for the reservation of another document in the same environment. It is
/// longer than [`QUOTA_MAX_WAIT`], so that the calls of that reservation can begin.
pub const QUOTA_TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest reservation in quota time, unless a single call needs more.
pub const RESERVATION_MAX: Duration = Duration::from_secs(2);

/// Fewest calls that one reservation serves, within [`RESERVATION_MAX`]. The next documents
/// then need no reservation.
pub const RESERVATION_CALLS: i32 = 8;

/// Time after the last reservation at which the pool of an execution environment drops
/// its balance. Bedrock counts by the minute, so older quota is no longer free.
pub const RESERVATION_POOL_TTL: Duration = Duration::from_secs(60);

/// Longest delay of a message that waits for the quota, so that the message finds quota
/// that became free earlier than expected.
pub const QUOTA_RETRY_MAX: Duration = Duration::from_secs(900);

/// Cache TTL of the backlog estimate of a queue, in the consumer.
pub const BACKLOG_TTL: Duration = Duration::from_secs(10);

/// Assumed input tokens of a document of unknown size, until a call of the execution
/// environment was answered.
pub const INPUT_TOKENS_ASSUMED: u64 = 2_000;

/// Most entries of one PutEvents request of the notifier.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub const PUT_EVENTS_MAX: usize = 10;

/// Largest PutEvents request of the notifier, in bytes of all entries.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
pub const PUT_EVENTS_MAX_BYTES: usize = 256 * 1_024;

/// Largest `analysis.max_tokens`, in tokens.
pub const OUTPUT_TOKENS_MAX: i32 = 64_000;

/// Time within which a presigned upload must begin.
pub const UPLOAD_TIME: Duration = Duration::from_secs(15 * 60);

/// Time within which a presigned download must begin.
pub const DOWNLOAD_TIME: Duration = Duration::from_secs(5 * 60);

/// Longest `filename` of `POST /uploads`, in bytes.
pub const FILE_NAME_MAX_BYTES: usize = 255;

/// Largest `async_invoke.model_input`, in bytes of JSON.
///
/// The input is part of the queue message; Bedrock would accept 25 MB. The input names
/// the S3 object of a video or a long text.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-marengo.html>
pub const ASYNC_INPUT_MAX_BYTES: usize = 900_000;

/// Longest `async_invoke.model_id`, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>
pub const ASYNC_MODEL_ID_MAX_BYTES: usize = 256;

/// Most tags in `async_invoke.tags`.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>
pub const ASYNC_TAGS_MAX: usize = 200;

/// Longest key in `async_invoke.tags`, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Tag.html>
pub const ASYNC_TAG_KEY_MAX_BYTES: usize = 128;

/// Longest value in `async_invoke.tags`, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Tag.html>
pub const ASYNC_TAG_VALUE_MAX_BYTES: usize = 256;

/// Time from the start of an async invocation to its first poll.
pub const ASYNC_POLL_FIRST: Duration = Duration::from_secs(5);

/// Longest time between two polls of an async invocation: the longest delay of an SQS
/// message.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub const ASYNC_POLL_CAP: Duration = Duration::from_secs(900);

/// Time after its due time at which a poll of an async invocation counts as lost.
pub const ASYNC_POLL_MARGIN: Duration = Duration::from_secs(15 * 60);

/// Most output objects that the result of an async invocation names: one page of
/// ListObjectsV2.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub const ASYNC_OBJECTS_MAX: usize = 1_000;

/// Longest duration of an async invocation. The consumer fails the job of an older one,
/// with the invocation's ARN in the message.
pub const ASYNC_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
