//! The limits of what a caller sends: its JSON, and the schema of an analysis. They bound
//! processor time and memory before a value is built or a schema is compiled.

use std::time::Duration;

/// Most JSON values of one API request. The producer counts them before it builds a value.
///
/// An object with one field takes about 700 bytes of memory, and 7 bytes of JSON.
pub const REQUEST_VALUES_MAX: usize = 200_000;

/// Most JSON values of one job: of the body of a queue message, or of one job of an API
/// request. They are counted before a value is built.
pub const JOB_VALUES_MAX: usize = 20_000;

/// Most JSON values of all messages that one invocation of the consumer builds. The consumer
/// retries further messages of the batch; their jobs do not change.
pub const BATCH_VALUES_MAX: usize = 200_000;

/// Most JSON values of `analysis.schema`.
pub const SCHEMA_VALUES_MAX: usize = 10_000;

/// Most rules of `analysis.schema`: objects and booleans that are schemas themselves.
pub const SCHEMA_RULES_MAX: usize = 2_000;

/// Longest text in an `enum`, a `const` or a `required`, and longest field name in
/// `analysis.schema`, in bytes.
pub const SCHEMA_TEXT_MAX_BYTES: usize = 1_024;

/// Most values in one `enum` of `analysis.schema`.
pub const SCHEMA_ENUM_MAX: usize = 1_000;

/// Most rules that `analysis.schema` may apply to one value of an answer. References are
/// followed, and a recursion counts to the depth of an answer
/// ([`RESULT_MAX_DEPTH`](super::RESULT_MAX_DEPTH)).
///
/// Doubling references, for example, apply 2ⁿ rules.
pub const SCHEMA_RULES_PER_VALUE_MAX: u64 = 5_000;

/// Most rules of `analysis.schema` that are applied inside each other. The stack of the
/// validation grows with them; [`HEAVY_WORK_STACK_BYTES`] holds them.
pub const SCHEMA_CHAIN_MAX: u64 = 500;

/// Most rules that all `unevaluatedProperties` and `unevaluatedItems` of `analysis.schema`
/// follow together. The validator compiles them once for each path.
pub const SCHEMA_UNEVALUATED_MAX: u64 = 2_000;

/// Most regular expressions in `analysis.schema`: values of `pattern` and names in
/// `patternProperties`.
pub const PATTERNS_MAX: usize = 50;

/// Longest regular expression in `analysis.schema`, in bytes.
pub const PATTERN_MAX_BYTES: usize = 512;

/// Largest size of all regular expressions of `analysis.schema` after compilation, in bytes
/// of their automata.
pub const PATTERNS_COMPILED_MAX_BYTES: usize = 512 * 1_024;

/// Largest search cache of one compiled regular expression, in bytes.
pub const PATTERN_CACHE_MAX_BYTES: usize = 64 * 1_024;

/// Most rules that the validation of one answer may apply: the answer's JSON values times
/// the rules that the schema applies to one value. It takes up to about a second of
/// processor time.
pub const VALIDATION_RULES_MAX: u64 = 20_000_000;

/// Most rules that a validation applies to find the place of a mismatch. The validator
/// collects the errors of all branches, which takes memory. Above the limit, the failure
/// names no place.
pub const VALIDATION_DETAIL_MAX: u64 = 200_000;

/// Most rules that a schema applies to one value, if its answers are repaired. An answer to a
/// more complex schema is taken as it is, or rejected.
pub const REPAIR_RULES_MAX: u64 = 500;

/// Longest duration of one compilation, one validation, or the parsing of one batch, in the
/// consumer. It does not include the wait for a thread.
pub const HEAVY_WORK_TIME: Duration = Duration::from_secs(3);

/// Threads of one execution environment that compile, validate and parse.
pub const HEAVY_WORK_THREADS: usize = 4;

/// Stack of a thread that compiles, validates or parses, in bytes. The system allocates only
/// the used part.
pub const HEAVY_WORK_STACK_BYTES: usize = 32 * 1_024 * 1_024;

/// Most compiled analyses that an execution environment of the consumer keeps.
pub const ANALYSES_CACHED: usize = 16;
