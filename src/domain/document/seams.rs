//! The seams of a text: the places at which a chunk may end, the best kind first, and the
//! ranges within which it should not.

use std::ops::Range;

use super::format::TextFormat;
use super::table_rows::find_quoted_cells;

/// The ends of blocks of HTML, after which a chunk may end.
const BLOCK_ENDS: [&str; 18] = [
    "</p>",
    "</div>",
    "</table>",
    "</ul>",
    "</ol>",
    "</dl>",
    "</section>",
    "</article>",
    "</blockquote>",
    "</pre>",
    "</h1>",
    "</h2>",
    "</h3>",
    "</h4>",
    "</h5>",
    "</h6>",
    "</body>",
    "</head>",
];
/// The ends of parts of blocks.
const PART_ENDS: [&str; 5] = ["</tr>", "</li>", "</dd>", "<br>", "<br/>"];
/// The beginnings of lines before which a chunk of a text may end: those of a quoted mail, of
/// a slide and of a page.
const LINE_STARTS: [&str; 6] = ["-----Original Message", "From: ", "Slide ", "Subject: ", "\x0c", "________________"];

/// A place in the text, as a position in bytes.
type Places<'a> = Box<dyn DoubleEndedIterator<Item = usize> + 'a>;

/// The seams within a range, the best kind first; each kind in the order of the text.
pub(super) fn find_seams<'a>(
    format: TextFormat,
    text: &'a str,
    within: Range<usize>,
) -> impl Iterator<Item = Places<'a>> + 'a {
    let kinds: &'static [Kind] = match format {
        TextFormat::Html => &[Kind::BlockEnd, Kind::PartEnd, Kind::Paragraph, Kind::TagEnd, Kind::Line, Kind::Word],
        TextFormat::Md => &[Kind::Heading, Kind::Paragraph, Kind::Line, Kind::Word],
        TextFormat::Csv => &[Kind::Line, Kind::Word],
        TextFormat::Txt => &[Kind::LineStart, Kind::Paragraph, Kind::Line, Kind::Word],
    };
    kinds.iter().map(move |kind| kind.find(text, within.clone()))
}

#[derive(Clone, Copy)]
enum Kind {
    BlockEnd,
    PartEnd,
    TagEnd,
    Heading,
    LineStart,
    Paragraph,
    Line,
    Word,
}

impl Kind {
    fn find(self, text: &str, within: Range<usize>) -> Places<'_> {
        let window = &text[within.clone()];
        let from = within.start;
        let after = move |separator: &'static str| -> Places<'_> {
            // `rmatch_indices` and `match_indices` differ for overlapping matches: positions
            // are collected once.
            let places: Vec<usize> =
                window.rmatch_indices(separator).map(|(at, _)| from + at + separator.len()).collect();
            Box::new(places.into_iter().rev())
        };
        let ends = move |tags: &'static [&'static str]| -> Places<'_> {
            let is_end = move |at: &usize| tags.iter().any(|tag| ends_with(&window[..*at], tag));
            Box::new(
                window
                    .match_indices('>')
                    .map(|(at, _)| at + 1)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .filter(is_end)
                    .map(move |at| from + at),
            )
        };
        let line_starts = move |is_start: fn(&str) -> bool| -> Places<'_> {
            let places = window.match_indices('\n').map(|(at, _)| at + 1).collect::<Vec<_>>();
            Box::new(places.into_iter().filter(move |at| is_start(&text[from + at..])).map(move |at| from + at))
        };
        match self {
            Self::BlockEnd => ends(&BLOCK_ENDS),
            Self::PartEnd => ends(&PART_ENDS),
            Self::TagEnd => after(">"),
            Self::Heading => line_starts(is_heading),
            Self::LineStart => line_starts(|line| LINE_STARTS.iter().any(|start| line.starts_with(start))),
            Self::Paragraph => after("\n\n"),
            Self::Line => after("\n"),
            Self::Word => after(" "),
        }
    }
}

fn ends_with(text: &str, tag: &str) -> bool {
    text.len().checked_sub(tag.len()).is_some_and(|at| text.as_bytes()[at..].eq_ignore_ascii_case(tag.as_bytes()))
}

fn is_heading(line: &str) -> bool {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    (1..=6).contains(&level) && line.as_bytes().get(level) == Some(&b' ')
}

/// The ranges within which no chunk should end, in their order: quoted cells, tables, and
/// blocks of code.
pub(super) fn find_protected(format: TextFormat, text: &str) -> Vec<Range<usize>> {
    match format {
        TextFormat::Csv => find_quoted_cells(text),
        TextFormat::Html => find_elements(text),
        TextFormat::Md => find_markdown_blocks(text),
        TextFormat::Txt => Vec::new(),
    }
}

/// The outermost tables, comments, scripts and styles, and the tags between them.
fn find_elements(text: &str) -> Vec<Range<usize>> {
    const KINDS: [(&[u8], &[u8]); 4] =
        [(b"<!--", b"-->"), (b"<script", b"</script>"), (b"<style", b"</style>"), (b"<table", b"</table>")];
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    // An element without an end has none later either, so its end is searched once.
    let mut is_open = [false; KINDS.len()];
    let mut at = 0;
    while let Some(open) = find(bytes, at, b"<") {
        let begins = |tag: &[u8]| bytes[open..].get(..tag.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(tag));
        let kind = (0..KINDS.len()).find(|kind| !is_open[*kind] && begins(KINDS[*kind].0));
        let end = match kind {
            Some(3) => table_end(bytes, open),
            Some(kind) => find(bytes, open, KINDS[kind].1).map(|end| end + KINDS[kind].1.len()),
            None => None,
        };
        if let (Some(kind), None) = (kind, end) {
            is_open[kind] = true;
        }
        let Some(end) = end.or_else(|| find(bytes, open, b">").map(|end| end + 1)) else { break };
        found.push(open..end);
        at = end;
    }
    found
}

/// The end of a table and of the tables inside it.
fn table_end(bytes: &[u8], open: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, open);
    while let Some(tag) = find(bytes, at, b"<") {
        let rest = &bytes[tag..];
        if rest.get(..6).is_some_and(|begins| begins.eq_ignore_ascii_case(b"<table")) {
            depth += 1;
        } else if rest.get(..8).is_some_and(|begins| begins.eq_ignore_ascii_case(b"</table>")) {
            depth -= 1;
            if depth == 0 {
                return Some(tag + 8);
            }
        }
        at = tag + 1;
    }
    None
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let found = match wanted {
        [one] => rest.iter().position(|byte| byte == one),
        _ => rest.windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted)),
    };
    found.map(|found| from + found)
}

/// Fenced code, and tables: lines in a row that begin with `|`.
fn find_markdown_blocks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut at, mut fence, mut table) = (0, None, None);
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let words = line.trim_start();
        if let Some((begin, mark)) = fence {
            if words.starts_with(mark) {
                found.push(begin..end);
                fence = None;
            }
            continue;
        }
        if !words.starts_with('|')
            && let Some(begin) = table.take()
        {
            found.push(begin..start);
        }
        match words {
            _ if words.starts_with("```") => fence = Some((start, "```")),
            _ if words.starts_with("~~~") => fence = Some((start, "~~~")),
            _ if words.starts_with('|') => table = table.or(Some(start)),
            _ => {}
        }
    }
    found.extend(table.map(|begin| begin..text.len()));
    found
}
