//! The rows and the quoted cells of CSV, with any separator.

use std::ops::Range;

/// The header of a table: its first row. A text of several sheets has one for each, after the
/// name of the sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub rows: Range<usize>,
}

/// The beginning of the row that names a sheet.
const SHEET_NAMES: [&str; 2] = ["Sheet: ", "\"Sheet: "];

/// The headers of a text, in their order.
pub(super) fn find_headers(text: &str) -> Vec<Header> {
    let names_sheet = |row: &str| SHEET_NAMES.iter().any(|name| row.starts_with(name));
    let has_sheets = names_sheet(text);
    let mut rows = Rows { text, at: 0 };
    let mut found = Vec::new();
    while let Some(row) = rows.next() {
        if !has_sheets {
            return vec![Header { rows: row }];
        }
        if names_sheet(&text[row.clone()]) {
            let end = rows.next().map_or(row.end, |first| first.end);
            found.push(Header { rows: row.start..end });
        }
    }
    found
}

/// The quoted cells with line ends in them, in their order.
pub(super) fn find_quoted_cells(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(cell) = next_quoted_cell(text, at, text.len()) {
        at = cell.end;
        found.push(cell);
    }
    found
}

/// The rows of a text. A row ends at a line end outside quoted cells.
struct Rows<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Rows<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let begin = self.at;
        if begin >= self.text.len() {
            return None;
        }
        let mut from = begin;
        loop {
            let line_end = self.text[from..].find('\n').map_or(self.text.len(), |at| from + at + 1);
            match next_crossing_cell(self.text, from, line_end) {
                Some(cell) => from = cell.end,
                None => {
                    self.at = line_end;
                    return Some(begin..line_end);
                }
            }
        }
    }
}

/// The quoted cell that begins before `line_end` and ends after it.
fn next_crossing_cell(text: &str, from: usize, line_end: usize) -> Option<Range<usize>> {
    let mut at = from;
    while let Some(cell) = next_quoted_cell(text, at, line_end) {
        if cell.end > line_end {
            return Some(cell);
        }
        at = cell.end;
    }
    None
}

/// The next quoted cell that begins before `until`: quotation marks at the beginning of a
/// cell, to the mark that a separator or a line end follows. Without such a mark, the cell is
/// not quoted.
fn next_quoted_cell(text: &str, from: usize, until: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        let open = at + bytes.get(at..until)?.iter().position(|byte| *byte == b'"')?;
        let begins_cell = open == 0 || b",;\t|\n".contains(&bytes[open - 1]);
        if !begins_cell {
            at = open + 1;
            continue;
        }
        match close_of(bytes, open) {
            Ok(end) => return Some(open..end),
            // No mark until there ends a cell.
            Err(searched) => at = searched,
        }
    }
}

/// Longest quoted cell. A mark that is no quotation would otherwise take the rest of the text.
const CELL_MAX_BYTES: usize = 100_000;

/// The end of a quoted cell; `Err` with the end of the search if there is none.
fn close_of(bytes: &[u8], open: usize) -> Result<usize, usize> {
    let limit = bytes.len().min(open + CELL_MAX_BYTES);
    let mut at = open + 1;
    while at < limit {
        let Some(mark) = bytes[at..limit].iter().position(|byte| *byte == b'"').map(|found| at + found) else { break };
        match bytes.get(mark + 1) {
            Some(b'"') => at = mark + 2,
            None | Some(b',' | b';' | b'\t' | b'|' | b'\n' | b'\r') => return Ok(mark + 1),
            Some(_) => at = mark + 1,
        }
    }
    Err(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_ends_outside_quoted_cells() {
        let text = "name,note\n\"Ada, Example\",\"a\nb \"\"c\"\" d\",1\n5\" pipe,x\nlast";
        let rows: Vec<&str> = Rows { text, at: 0 }.map(|row| &text[row]).collect();
        assert_eq!(rows, ["name,note\n", "\"Ada, Example\",\"a\nb \"\"c\"\" d\",1\n", "5\" pipe,x\n", "last"]);
        let unbalanced = ",\"x".repeat(200_000);
        assert!(find_quoted_cells(&unbalanced).is_empty());
    }

    #[test]
    fn each_sheet_has_its_header() {
        let text = "Sheet: A\nunit,rent\n1,2\n\nSheet: B\nname\nx\n";
        let headers: Vec<&str> = find_headers(text).into_iter().map(|header| &text[header.rows]).collect();
        assert_eq!(headers, ["Sheet: A\nunit,rent\n", "Sheet: B\nname\n"]);
        assert_eq!(find_headers("a,b\n1,2\n"), [Header { rows: 0..4 }]);
        assert!(find_headers("").is_empty());
    }
}
