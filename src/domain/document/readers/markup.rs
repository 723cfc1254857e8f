//! The text of XML: of the parts of office documents.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::domain::document::failures::{damaged, expands_too_far};
use crate::domain::document::package::attribute;
use crate::domain::failure::Failure;
use crate::domain::limits::{EXTRACTED_TEXT_MAX_BYTES, MARKUP_DEPTH_MAX};

/// How a format's elements become text, by their names without a namespace.
pub(in crate::domain::document) struct Rules {
    /// The elements with text; empty if all have it.
    pub text_in: &'static [&'static str],
    /// The elements whose content is left out.
    pub skip: &'static [&'static str],
    /// The elements that end a line.
    pub line_after: &'static [&'static str],
    /// The elements that a tab follows.
    pub tab_after: &'static [&'static str],
    /// The elements that are a space, or as many as their attribute `c` says.
    pub spaces: &'static [&'static str],
}

/// Most spaces of one element.
const SPACES_MAX: usize = 1_000;

/// Extracts the text of a part and appends it.
///
/// # Errors
/// The failure of a part that is no XML from its beginning, is too deep, or has more than
/// [`EXTRACTED_TEXT_MAX_BYTES`] of text.
pub(in crate::domain::document) fn append_text(text: &mut String, xml: &str, rules: &Rules) -> Result<(), Failure> {
    let mut reader = Reader::from_str(xml);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let (mut depth, mut skipped_at, mut text_at) = (0_usize, None, None);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                depth += 1;
                if depth > MARKUP_DEPTH_MAX {
                    return Err(expands_too_far("levels of elements", MARKUP_DEPTH_MAX));
                }
                let name = element.local_name();
                if skipped_at.is_none() && rules.skip.contains(&name.as_ref()) {
                    skipped_at = Some(depth);
                } else if text_at.is_none() && rules.text_in.contains(&name.as_ref()) {
                    text_at = Some(depth);
                }
                if skipped_at.is_none() && rules.spaces.contains(&name.as_ref()) {
                    push_spaces(text, attribute(&element, "c"));
                }
            }
            Ok(Event::Empty(element)) if skipped_at.is_none() => {
                let name = element.local_name();
                if rules.spaces.contains(&name.as_ref()) {
                    push_spaces(text, attribute(&element, "c"));
                }
                push_end(text, name.as_ref(), rules);
            }
            Ok(Event::End(element)) => {
                if skipped_at.is_none() {
                    push_end(text, element.local_name().as_ref(), rules);
                }
                skipped_at = skipped_at.filter(|at| *at < depth);
                text_at = text_at.filter(|at| *at < depth);
                depth = depth.saturating_sub(1);
            }
            Ok(Event::Text(found)) if is_kept(rules, skipped_at, text_at) => push_text(text, &found, rules),
            Ok(Event::CData(found)) if is_kept(rules, skipped_at, text_at) => text.push_str(&found),
            Ok(Event::GeneralRef(reference)) if is_kept(rules, skipped_at, text_at) => push_reference(text, &reference),
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => {}
            // The readable text stays; a part without any text is damaged.
            Err(_) if text.trim().is_empty() => return Err(damaged("the document")),
            Err(_) => return Ok(()),
        }
        if text.len() > EXTRACTED_TEXT_MAX_BYTES {
            return Err(expands_too_far("bytes of text", EXTRACTED_TEXT_MAX_BYTES));
        }
    }
}

fn is_kept(rules: &Rules, skipped_at: Option<usize>, text_at: Option<usize>) -> bool {
    skipped_at.is_none() && (rules.text_in.is_empty() || text_at.is_some())
}

/// Without elements for text, line ends between the elements are no text.
fn push_text(text: &mut String, found: &str, rules: &Rules) {
    if rules.text_in.is_empty() && found.trim().is_empty() {
        if !text.ends_with([' ', '\n', '\t']) && !found.contains('\n') && !text.is_empty() {
            text.push(' ');
        }
    } else if rules.text_in.is_empty() {
        text.push_str(&found.replace(['\n', '\r', '\t'], " "));
    } else {
        text.push_str(found);
    }
}

fn push_end(text: &mut String, name: &str, rules: &Rules) {
    if rules.line_after.contains(&name) {
        while text.ends_with('\t') {
            text.pop();
        }
        text.push('\n');
    } else if rules.tab_after.contains(&name) {
        // A cell ends with its own paragraph.
        if text.ends_with('\n') {
            text.pop();
        }
        text.push('\t');
    }
}

fn push_spaces(text: &mut String, count: Option<String>) {
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(1).min(SPACES_MAX);
    text.extend(std::iter::repeat_n(' ', count));
}

pub(super) fn push_reference(text: &mut String, reference: &BytesRef<'_>) {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        text.push(c);
        return;
    }
    match &**reference {
        "lt" => text.push('<'),
        "gt" => text.push('>'),
        "amp" => text.push('&'),
        "quot" => text.push('"'),
        "apos" => text.push('\''),
        "nbsp" => text.push('\u{a0}'),
        name => {
            text.push('&');
            text.push_str(name);
            text.push(';');
        }
    }
}
