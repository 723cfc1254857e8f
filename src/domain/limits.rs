//! Every limit of Docket, by name. A rule of a service names its page.

use std::time::Duration;

/// Longest `job_id` and `batch_id`, in bytes. They become part of a bucket key
/// and of Converse's `requestMetadata`, whose values end at 256.
pub const ID_MAX_BYTES: usize = 128;

/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;

/// Largest document, in bytes, that one Converse request takes (4.5 MB).
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>
pub const DOCUMENT_MAX_BYTES: usize = 4_500_000;

/// Largest image, in bytes, that one Converse request takes (3.75 MB).
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>
pub const IMAGE_MAX_BYTES: usize = 3_750_000;

/// Most parts of a text that is longer than one call takes. Times the size of a
/// part it is the largest text.
pub const CHUNKS_MAX: usize = 32;

/// Most calls for the parts of one document at a time.
pub const CONCURRENT_CHUNKS: usize = 4;

/// Time-out of storing or reading a part's result.
pub const CHUNK_STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many times its size a document takes in memory while it is analysed.
pub const MEMORY_PER_DOCUMENT: u32 = 4;

/// Megabytes of a function's memory that are not for documents.
pub const MEMORY_RESERVE_MB: u32 = 64;

/// Most documents that one function reads from the bucket at a time.
pub const CONCURRENT_READS: usize = 16;

/// What is kept free for reading a document that waited for memory, and the
/// least time in which a bucket that did not answer is charged to the document.
pub const FETCH_RESERVE: Duration = Duration::from_secs(2);

/// Largest body of `POST /jobs`, in bytes: Lambda's request of 6 MB less room
/// for the event around it.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const REQUEST_MAX_BYTES: usize = 5_800_000;

/// Largest queue message, body and attributes together, in bytes (1 MiB).
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MESSAGE_MAX_BYTES: usize = 1_048_576;

/// Most attributes a queue message carries.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
pub const MESSAGE_MAX_ATTRIBUTES: usize = 10;

/// Longest wait that ChangeMessageVisibility can set, from the receipt (12 h).
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Longest name of a bucket, in bytes.
pub const BUCKET_MAX_BYTES: usize = 255;

/// Longest key of an object, in bytes, and longest version id.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub const KEY_MAX_BYTES: usize = 1_024;

/// Longest `model_id`, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
pub const MODEL_ID_MAX_BYTES: usize = 2_048;

/// Largest `metadata`, in bytes of JSON.
pub const METADATA_MAX_BYTES: usize = 4_096;

/// Largest `analysis`, in bytes of JSON: it travels in the queue message.
pub const ANALYSIS_MAX_BYTES: usize = 65_536;

/// Longest `analysis.instructions`, in bytes.
pub const INSTRUCTIONS_MAX_BYTES: usize = 16_384;

/// Most labels in `analysis.labels`.
pub const LABELS_MAX: usize = 100;

/// Longest label, in bytes.
pub const LABEL_MAX_BYTES: usize = 100;

/// Deepest JSON that may be an answer: DynamoDB nests to 32 levels, and the
/// answer lies some levels down.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const RESULT_MAX_DEPTH: usize = 24;

/// Largest answer on the row, in bytes as the table counts them; a larger one
/// lies in the bucket. An item ends at 400 KB, and beside the answer the row
/// holds an analysis, metadata and the rest.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const INLINE_RESULT_MAX_BYTES: usize = 350_000 - ANALYSIS_MAX_BYTES - METADATA_MAX_BYTES;

/// Largest answer at all, in bytes as the table would count them: the API's
/// response ends at 6 MB, in which it stands as escaped text.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const RESULT_MAX_BYTES: usize = 2_000_000;

/// Largest magnitude of a number in an answer, and the inverse of the
/// smallest: what a DynamoDB number holds is a little more.
pub const RESULT_MAX_NUMBER: f64 = 1e125;

/// Longest message of a failure, in bytes, on the row and in the dead-letter
/// queue.
pub const FAILURE_MESSAGE_MAX_BYTES: usize = 1_024;

/// How long the lease outlasts the invocation, for clocks that differ.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// How long before the invocation's deadline the response leaves, whatever
/// still runs.
pub const RESPONSE_MARGIN: Duration = Duration::from_millis(750);

/// What is kept free after the model's time-out for storing the result.
pub const STORE_RESERVE: Duration = Duration::from_secs(4);

/// First step of the backoff.
pub const BACKOFF_BASE: Duration = Duration::from_secs(2);

/// Cap of the backoff.
pub const BACKOFF_CAP: Duration = Duration::from_secs(300);

/// Longest wait of a job that was given back because the invocation had no
/// time left for it.
pub const NO_TIME_DELAY: Duration = Duration::from_secs(2);

/// How much unused time of a quota is made up for: so much more than a minute's
/// worth may begin within a minute.
pub const QUOTA_BURST: Duration = Duration::from_secs(2);

/// How much of a quota calls in flight may hold back together that they will not
/// use: half of the minute's worth that a quota holds.
pub const QUOTA_UNUSED_WINDOW: Duration = Duration::from_secs(30);

/// How long a document may wait in the function for the quota. One that would
/// wait longer is given back to the queue.
pub const QUOTA_MAX_WAIT: Duration = Duration::from_secs(4);

/// How long a document may wait behind one that reserves for it: longer than that
/// one waits, so that it is still there when the calls may begin.
pub const QUOTA_TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Most of a quota's time that one reservation takes, unless a single call takes
/// more.
pub const RESERVATION_MAX: Duration = Duration::from_secs(2);

/// For how many calls a function reserves at least, so that the next few
/// documents find what they need.
pub const RESERVATION_CALLS: i32 = 8;

/// How long a function keeps what it reserved and did not use.
pub const RESERVATION_POOL_TTL: Duration = Duration::from_secs(60);

/// Longest wait in the queue for the quota, so that what comes free unexpectedly
/// is found.
pub const QUOTA_RETRY_MAX: Duration = Duration::from_secs(900);

/// For how long it is known how many messages wait in a queue.
pub const BACKLOG_TTL: Duration = Duration::from_secs(10);

/// Input tokens of a document whose size is not known before it is read, until
/// others have told.
pub const INPUT_TOKENS_ASSUMED: u64 = 2_000;

/// Partitions of a batch in the index over batch and status. One partition of
/// an index takes 1,000 writes a second, and a job makes about four there.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub const BATCH_SHARDS: u32 = 8;

/// Jobs of a batch whose rows are looked at first, when the index shows them as
/// unfinished: one that is says that the batch has not finished.
pub const LOOKED_AT_FIRST: usize = 10;

/// Most jobs of a batch that have ended and that the index may still show as
/// unfinished. It follows the table by moments; with more, it is asked again.
pub const INDEX_BEHIND_MAX: usize = 1_000;

/// Most entries of one PutEvents.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub const PUT_EVENTS_MAX: usize = 10;

/// Most bytes of one PutEvents, all its entries together.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
pub const PUT_EVENTS_MAX_BYTES: usize = 256 * 1_024;

/// The time over which a batch's rate is taken.
pub const RATE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Most requests for one page of rows, when the table answers in pieces.
pub const BATCH_GET_ROUNDS: u32 = 20;

/// Most tokens that may be asked of an answer.
pub const OUTPUT_TOKENS_MAX: i32 = 64_000;

/// Most jobs of one request to a batch.
pub const BATCH_REQUEST_JOBS_MAX: usize = 500;

/// Most jobs of a page, and how many there are unless the caller says.
pub const PAGE_MAX: usize = 500;
/// See [`PAGE_MAX`].
pub const PAGE_DEFAULT: usize = 100;

/// Where a page of results ends, in bytes: a response ends at 6 MB.
pub const PAGE_MAX_BYTES: usize = 4_500_000;

/// Jobs of one request that are handled side by side.
pub const REQUEST_SIDE_BY_SIDE: usize = 32;

/// How long one request may go on changing a batch's jobs; API Gateway waits
/// 29 s. What is left is for the next request.
pub const CHANGE_TIME: Duration = Duration::from_secs(15);

/// How long a presigned upload may begin.
pub const UPLOAD_TIME: Duration = Duration::from_secs(15 * 60);

/// Longest file name of a presigned upload, in bytes.
pub const FILE_NAME_MAX_BYTES: usize = 255;

/// Largest `async_invoke.model_input`, in bytes of JSON: it travels in the queue
/// message with all that goes beside it, and Bedrock takes 25 MB. A video or a
/// long text lies in a bucket, and the input names it.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-marengo.html>
pub const ASYNC_INPUT_MAX_BYTES: usize = 900_000;

/// Longest `async_invoke.model_id`, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>
pub const ASYNC_MODEL_ID_MAX_BYTES: usize = 256;

/// Most tags of an invocation.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>
pub const ASYNC_TAGS_MAX: usize = 200;

/// Longest key of a tag, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Tag.html>
pub const ASYNC_TAG_KEY_MAX_BYTES: usize = 128;

/// Longest value of a tag, in bytes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Tag.html>
pub const ASYNC_TAG_VALUE_MAX_BYTES: usize = 256;

/// How long after its start an invocation is checked first.
pub const ASYNC_POLL_FIRST: Duration = Duration::from_secs(5);

/// Longest wait between two checks of an invocation: a message's longest delay.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub const ASYNC_POLL_CAP: Duration = Duration::from_secs(900);

/// How late a check may be before it counts as lost.
pub const ASYNC_POLL_MARGIN: Duration = Duration::from_secs(15 * 60);

/// Most objects of an output that a result names: one page of S3's list.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub const ASYNC_OBJECTS_MAX: usize = 1_000;

/// How long an invocation may take in all. One that has no end by then is given
/// up, and its ARN is told for looking up.
pub const ASYNC_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
