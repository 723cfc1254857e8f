//! Large results on the stored job: zlib, then base64. The consumer stores a large result so if
//! the bucket does not store it, because the call is paid for.

use std::io::{Read, Write};

use aws_smithy_types::base64;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde_json::Value;

use crate::domain::limits::{INLINE_RESULT_MAX_BYTES, RESULT_MAX_BYTES};

/// The longest JSON that is read, in bytes. The JSON of a result may be longer than
/// [`RESULT_MAX_BYTES`], which counts bytes as DynamoDB does.
const JSON_MAX_BYTES: u64 = 8 * RESULT_MAX_BYTES as u64;

/// Packs a result; `None` if it does not fit the stored job.
pub fn pack(result: &Value) -> Option<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(result.to_string().as_bytes()).ok()?;
    let packed = base64::encode(encoder.finish().ok()?);
    (packed.len() <= INLINE_RESULT_MAX_BYTES).then_some(packed)
}

/// Reads a packed result; `None` if the text is none.
pub(super) fn unpack(packed: &str) -> Option<Value> {
    let bytes = base64::decode(packed).ok()?;
    let mut json = Vec::new();
    ZlibDecoder::new(&bytes[..]).take(JSON_MAX_BYTES).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn packed_result_is_read_back_exactly() {
        let text = "The tenant pays a rent of 900 euros for the flat in Mill Lane. ".repeat(20_000);
        let result = json!({"summary": text, "confidence": 0.1, "key_points": ["\u{e9}", -7, null]});
        let packed = pack(&result).expect("prose is compressed to a small part");
        assert!(packed.len() < 100_000, "{}", packed.len());
        assert_eq!(unpack(&packed), Some(result));
    }

    #[test]
    fn result_that_cannot_be_compressed_does_not_fit() {
        let mut random = fastrand::Rng::with_seed(7);
        let text: String = (0..400_000).map(|_| random.alphanumeric()).collect();
        assert_eq!(pack(&json!({"summary": text})), None);
        assert!(["", "!", "AAAA"].iter().all(|wrong| unpack(wrong).is_none()));
    }
}
