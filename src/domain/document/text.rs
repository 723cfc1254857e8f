//! Text of any usual encoding, as UTF-8.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Reads text: by its byte order mark, else as UTF-16 when it plainly is, else
/// as UTF-8 when it is valid, else as Latin-1 (Windows-1252) when each byte is
/// one that a text has. `None` when it is none of these.
pub(super) fn decode(mut bytes: Vec<u8>) -> Option<String> {
    let told = Encoding::for_bom(&bytes).or_else(|| utf_16_by_its_zeros(&bytes).map(|encoding| (encoding, 0)));
    let text = match told {
        Some((encoding, mark)) if encoding == UTF_8 => {
            bytes.drain(..mark);
            String::from_utf8(bytes).ok()?
        }
        Some((utf_16, mark)) => {
            utf_16.decode_without_bom_handling_and_without_replacement(&bytes[mark..])?.into_owned()
        }
        None => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => latin_1(error.as_bytes())?,
        },
    };
    is_text(&text).then_some(text)
}

/// In UTF-16 of the scripts that are mostly ASCII, every other byte is zero;
/// in no other encoding of a text is any.
fn utf_16_by_its_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    match (zeros(0), zeros(1)) {
        (0, low) if low * 2 > pairs.len() => Some(UTF_16LE),
        (high, 0) if high * 2 > pairs.len() => Some(UTF_16BE),
        _ => None,
    }
}

fn latin_1(bytes: &[u8]) -> Option<String> {
    let text = WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned();
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c')).then_some(text)
}

/// A stray zero stands in some texts; where more than one byte in a hundred is
/// zero, as in an archive of texts, they are not meant to be read.
fn is_text(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == 0).count() * 100 <= text.len()
}
