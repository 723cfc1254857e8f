//! Decodes text of any common encoding to UTF-8.

/// The characters of the bytes 0x80 to 0x9F in Windows-1252. Five of these bytes are
/// unassigned, and decode to control characters as in Latin-1.
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

/// Decodes text; `None` if the bytes are not text. The first matching rule decides:
///
/// 1. A byte order mark names the encoding.
/// 2. The pattern of zero bytes shows UTF-16.
/// 3. Valid UTF-8 is UTF-8.
/// 4. Bytes without unusual control characters are Latin-1 (Windows-1252).
pub(super) fn decode(mut bytes: Vec<u8>) -> Option<String> {
    let text = if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
        String::from_utf8(bytes).ok()?
    } else if let Some(text) = bytes.strip_prefix(b"\xff\xfe") {
        decode_utf_16(text, ByteOrder::Little)?
    } else if let Some(text) = bytes.strip_prefix(b"\xfe\xff") {
        decode_utf_16(text, ByteOrder::Big)?
    } else if let Some(order) = detect_utf_16(&bytes) {
        decode_utf_16(&bytes, order)?
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => decode_latin_1(error.as_bytes())?,
        }
    };
    is_text(&text).then_some(text)
}

/// Detects UTF-16 text that is mostly ASCII: most high bytes are zero, and no low byte
/// is. Text in other encodings has almost no zero bytes.
fn detect_utf_16(bytes: &[u8]) -> Option<ByteOrder> {
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

/// Decodes UTF-16; `None` if half of a code unit or of a surrogate pair is missing.
fn decode_utf_16(bytes: &[u8], order: ByteOrder) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match order {
        ByteOrder::Little => u16::from_le_bytes(*pair),
        ByteOrder::Big => u16::from_be_bytes(*pair),
    });
    let text = char::decode_utf16(units).collect::<Result<_, _>>().ok();
    text.filter(|_| rest.is_empty())
}

/// Decodes Windows-1252; `None` if a control character occurs that text does not have.
fn decode_latin_1(bytes: &[u8]) -> Option<String> {
    let decode = |byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    };
    let text: String = bytes.iter().map(decode).collect();
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c')).then_some(text)
}

/// Whether at most one byte in a hundred is zero. Some texts have a stray zero; an
/// archive of texts has many.
fn is_text(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == 0).count() * 100 <= text.len()
}
