//! Whether a text shows anything.

use super::encoding::is_invisible;
use super::format::TextFormat;

/// Entities of HTML that show nothing.
const INVISIBLE_ENTITIES: [&str; 17] = [
    "nbsp", "#160", "#xa0", "ensp", "emsp", "thinsp", "zwnj", "zwj", "shy", "lrm", "rlm", "#8203", "#x200b", "#8205",
    "#8204", "#32", "#xfeff",
];
/// Longest entity that is looked up.
const ENTITY_MAX_BYTES: usize = 10;

/// Whether a text has a visible character outside its tags, scripts and styles.
pub(super) fn is_visible(format: TextFormat, text: &str) -> bool {
    match format {
        TextFormat::Html => has_visible_html(text),
        TextFormat::Txt | TextFormat::Md | TextFormat::Csv => !text.chars().all(is_invisible),
    }
}

fn has_visible_html(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '<' if rest.starts_with("<!--") => "-->",
            '<' if begins_with_tag(rest, "<script") => "</script",
            '<' if begins_with_tag(rest, "<style") => "</style",
            '<' => ">",
            '&' => {
                let entity = rest[1..].split(';').next().filter(|name| name.len() <= ENTITY_MAX_BYTES);
                match entity {
                    Some(name) if INVISIBLE_ENTITIES.contains(&name.to_ascii_lowercase().as_str()) => ";",
                    _ => return true,
                }
            }
            c if is_invisible(c) => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            _ => return true,
        };
        match find_ignoring_case(&rest[c.len_utf8()..], end) {
            Some(at) => rest = &rest[c.len_utf8() + at + if end.starts_with("</") { 0 } else { end.len() }..],
            None => return false,
        }
    }
    false
}

fn begins_with_tag(text: &str, tag: &str) -> bool {
    text.get(..tag.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(tag))
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    text.as_bytes().windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_shows_its_words_alone() {
        let empty = [
            "<!DOCTYPE html><html><head><style>a{b}</style><script>var x = '<p>y';</script></head><body>\n</body></html>",
            "<p>&nbsp;&#160; &ZWNJ;\u{200b}</p><!-- words -->",
            "<img src=x>",
            "<p",
        ];
        for text in empty {
            assert!(!is_visible(TextFormat::Html, text), "{text}");
        }
        for text in ["<p>&amp;</p>", "<p>é", "<style>a</STYLE>x", "a < b"] {
            assert!(is_visible(TextFormat::Html, text), "{text}");
        }
        assert!(!is_visible(TextFormat::Txt, "\u{200b}\u{200d}\u{feff}\u{2060} \u{ad}\u{3164}"));
        assert!(is_visible(TextFormat::Md, "<!-- shown -->"));
    }
}
