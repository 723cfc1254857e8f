//! Text of any usual encoding, as UTF-8.

/// What the bytes from 0x80 to 0x9F are in Windows-1252. Five are not in use, and
/// are the control characters of Latin-1.
///
/// <https://encoding.spec.whatwg.org/windows-1252.html>
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

/// Reads text: by its byte order mark, else as UTF-16 when it plainly is, else
/// as UTF-8 when it is valid, else as Latin-1 (Windows-1252) when each byte is
/// one that a text has. `None` when it is none of these.
pub(super) fn decode(mut bytes: Vec<u8>) -> Option<String> {
    let text = if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
        String::from_utf8(bytes).ok()?
    } else if let Some(text) = bytes.strip_prefix(b"\xff\xfe") {
        utf_16(text, ByteOrder::Little)?
    } else if let Some(text) = bytes.strip_prefix(b"\xfe\xff") {
        utf_16(text, ByteOrder::Big)?
    } else if let Some(order) = utf_16_by_its_zeros(&bytes) {
        utf_16(&bytes, order)?
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => latin_1(error.as_bytes())?,
        }
    };
    is_text(&text).then_some(text)
}

/// In UTF-16 of the scripts that are mostly ASCII, every other byte is zero;
/// in no other encoding of a text is any.
fn utf_16_by_its_zeros(bytes: &[u8]) -> Option<ByteOrder> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    match (zeros(0), zeros(1)) {
        (0, low) if low * 2 > pairs.len() => Some(ByteOrder::Little),
        (high, 0) if high * 2 > pairs.len() => Some(ByteOrder::Big),
        _ => None,
    }
}

/// `None` when a half of a pair is missing.
fn utf_16(bytes: &[u8], order: ByteOrder) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match order {
        ByteOrder::Little => u16::from_le_bytes(*pair),
        ByteOrder::Big => u16::from_be_bytes(*pair),
    });
    let text = char::decode_utf16(units).collect::<Result<_, _>>().ok();
    text.filter(|_| rest.is_empty())
}

fn latin_1(bytes: &[u8]) -> Option<String> {
    let read = |byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    };
    let text: String = bytes.iter().map(read).collect();
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c')).then_some(text)
}

/// A stray zero stands in some texts; where more than one byte in a hundred is
/// zero, as in an archive of texts, they are not meant to be read.
fn is_text(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == 0).count() * 100 <= text.len()
}
