//! The encoding that a text declares itself: the meta element of HTML, and the declaration of
//! XML.

use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};

/// The bytes in which a declaration must be. A browser reads 1,024; some pages have a longer
/// head.
const DECLARED_WITHIN: usize = 8_192;

/// The label of the encoding that a text declares.
pub(super) fn declared_label(bytes: &[u8]) -> Option<String> {
    let range = find_labels(bytes).into_iter().next()?;
    Some(String::from_utf8_lossy(&bytes[range]).into_owned())
}

/// Whether no declaration of a text names another encoding than UTF-8.
pub(super) fn declares_utf_8(text: &str) -> bool {
    find_labels(text.as_bytes()).into_iter().all(|range| Encoding::for_label(&text.as_bytes()[range]) == Some(UTF_8))
}

/// Changes every declaration of a text to UTF-8, in which it is sent.
pub(super) fn declare_utf_8(text: &mut String) {
    if declares_utf_8(text) {
        return;
    }
    for range in find_labels(text.as_bytes()).into_iter().rev() {
        if text.is_char_boundary(range.start) && text.is_char_boundary(range.end) {
            text.replace_range(range, "utf-8");
        }
    }
}

/// The positions of the labels in the head of a text that begins with markup.
fn find_labels(bytes: &[u8]) -> Vec<Range<usize>> {
    let head = &bytes[..bytes.len().min(DECLARED_WITHIN)];
    let lower = head.to_ascii_lowercase();
    if lower.trim_ascii_start().first() != Some(&b'<') {
        return Vec::new();
    }
    let mut labels = Vec::new();
    let mut at = 0;
    while let Some(open) = find(&lower, at, b"<") {
        let rest = &lower[open..];
        if rest.starts_with(b"<!--") {
            match find(&lower, open, b"-->") {
                Some(end) => at = end + 3,
                None => break,
            }
            continue;
        }
        let Some(end) = find(&lower, open, b">") else { break };
        if rest.starts_with(b"<?xml") && labels.is_empty() {
            labels.extend(value_after(&lower, open..end, b"encoding"));
        } else if rest.starts_with(b"<meta") && rest.get(5).is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
            labels.extend(value_after(&lower, open..end, b"charset"));
        } else if rest.starts_with(b"<body") {
            break;
        }
        at = end + 1;
    }
    labels
}

/// The position of the value after `name` and `=`, with or without quotation marks.
fn value_after(bytes: &[u8], within: Range<usize>, name: &[u8]) -> Option<Range<usize>> {
    let mut at = within.start;
    loop {
        let found = find(&bytes[..within.end], at, name)?;
        at = found + name.len();
        let mut begin = at + bytes[at..within.end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if bytes.get(begin) != Some(&b'=') || begin >= within.end {
            continue;
        }
        begin += 1;
        let is_before = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b'"' || **byte == b'\'';
        begin += bytes[begin..within.end].iter().take_while(is_before).count();
        let is_label = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_:.+()".contains(byte);
        let length = bytes[begin..within.end].iter().take_while(is_label).count();
        return (length > 0).then_some(begin..begin + length);
    }
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let found = bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declaration_is_found_in_every_form() {
        for (text, label) in [
            ("<meta charset=windows-1251>", Some("windows-1251")),
            ("<HTML><META CHARSET = 'KOI8-R' />", Some("koi8-r")),
            ("<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\">", Some("iso-8859-1")),
            ("<?xml version='1.0' encoding='UTF-16'?>", Some("utf-16")),
            ("<!-- <meta charset=utf-7> --><meta charset=\"gbk\">", Some("gbk")),
            ("<p>about charset=koi8-r</p>", None),
            ("about <meta charset=koi8-r>", None),
            ("<body><meta charset=koi8-r>", None),
            ("<meta name=charset content=koi8-r>", None),
            ("<meta charset=", None),
            ("<metal charset=koi8-r>", None),
        ] {
            assert_eq!(
                declared_label(text.as_bytes()).as_deref().map(str::to_ascii_lowercase).as_deref(),
                label,
                "{text}"
            );
        }
    }

    #[test]
    fn every_declaration_becomes_utf_8() {
        let mut text =
            "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<title>Müll</title><meta charset='latin1'>ü".to_owned();
        declare_utf_8(&mut text);
        assert_eq!(text, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<title>Müll</title><meta charset='utf-8'>ü");
        assert!(declares_utf_8(&text) && declares_utf_8("plain"));
    }
}
