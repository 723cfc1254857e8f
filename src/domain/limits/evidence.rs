//! The limits of evidence.

/// Most values of one result whose evidence is stored and checked. Further ones count as
/// unverified.
pub const EVIDENCE_LEAVES_MAX: usize = 500;

/// Longest passage that a model may name for a value, in bytes. A longer one counts as none.
pub const EVIDENCE_QUOTE_MAX_BYTES: usize = 1_000;

/// Letters and digits of the shortest passage that is one word.
pub const EVIDENCE_QUOTE_MIN_CHARS: usize = 4;

/// Longest text in which passages are searched, in bytes. The consumer treats a longer one as
/// unverifiable.
pub const EVIDENCE_TEXT_MAX_BYTES: usize = 16_000_000;

/// Most values that one repair names to the model.
pub const EVIDENCE_ASKED_MAX: usize = 50;

/// Largest evidence on a stored job, in bytes of JSON. Larger evidence is stored without its
/// quotes; the places in the text remain.
pub const EVIDENCE_MAX_BYTES: usize = 60_000;
