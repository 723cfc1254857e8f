//! The text of OpenDocument: of texts, presentations and sheets.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::markup::{Rules, append_text};
use super::sheets::CsvText;
use crate::domain::document::failures::{damaged, encrypted, expands_too_far};
use crate::domain::document::package::{Package, attribute};
use crate::domain::failure::Failure;
use crate::domain::limits::{EXTRACTED_TEXT_MAX_BYTES, SHEET_COLUMNS_MAX, SHEET_REPEATS_MAX};

const TEXT: Rules = Rules {
    text_in: &["p", "h"],
    skip: &["tracked-changes", "binary-data", "meta", "styles", "automatic-styles", "scripts", "font-face-decls"],
    line_after: &["p", "h", "line-break", "table-row", "page"],
    tab_after: &["table-cell", "tab"],
    spaces: &["s"],
};

/// The text of an OpenDocument text or presentation.
pub(in crate::domain::document) fn open_document_text(bytes: &[u8]) -> Result<String, Failure> {
    let mut text = String::new();
    append_text(&mut text, &content(bytes)?, &TEXT)?;
    Ok(text)
}

fn content(bytes: &[u8]) -> Result<String, Failure> {
    let mut package = Package::open(bytes)?;
    if let Some(manifest) = package.find("META-INF/manifest.xml")
        && package.read_text(manifest)?.contains("encryption-data")
    {
        return Err(encrypted());
    }
    let content = package.find("content.xml").ok_or_else(|| damaged("the OpenDocument file"))?;
    package.read_text(content)
}

/// The sheets of an OpenDocument spreadsheet as CSV.
pub(in crate::domain::document) fn open_sheets_text(bytes: &[u8]) -> Result<String, Failure> {
    let xml = content(bytes)?;
    let mut reader = Reader::from_str(&xml);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    reader.config_mut().allow_dangling_amp = true;
    let mut csv = CsvText::default();
    let (mut row, mut cell, mut is_in_text, mut repeated) = (Vec::new(), String::new(), 0_usize, 1);
    let mut row_repeated = 1;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => match element.local_name().as_ref() {
                "table" => csv.begin_sheet(&attribute(&element, "name").unwrap_or_default()),
                "table-row" => (row, row_repeated) = (Vec::new(), repeats(&element, "number-rows-repeated")),
                "table-cell" | "covered-table-cell" => {
                    cell.clear();
                    repeated = repeats(&element, "number-columns-repeated");
                }
                "annotation" => is_in_text += 1_000,
                "p" => {
                    if !cell.is_empty() {
                        cell.push('\n');
                    }
                    is_in_text += 1;
                }
                _ => {}
            },
            Ok(Event::Empty(element)) => match element.local_name().as_ref() {
                "table-cell" | "covered-table-cell" => {
                    push_cells(&mut row, "", repeats(&element, "number-columns-repeated"))?;
                }
                "s" => cell.push(' '),
                "tab" => cell.push('\t'),
                "line-break" => cell.push('\n'),
                _ => {}
            },
            Ok(Event::End(element)) => match element.local_name().as_ref() {
                "p" => is_in_text = is_in_text.saturating_sub(1),
                "annotation" => is_in_text = is_in_text.saturating_sub(1_000),
                "table-cell" | "covered-table-cell" => push_cells(&mut row, &cell, repeated)?,
                "table-row" => {
                    let is_empty = row.iter().all(String::is_empty);
                    for _ in 0..if is_empty { 1 } else { row_repeated } {
                        csv.push_row(&row)?;
                    }
                }
                _ => {}
            },
            Ok(Event::Text(text)) if (1..1_000).contains(&is_in_text) => cell.push_str(&text),
            Ok(Event::CData(text)) if (1..1_000).contains(&is_in_text) => cell.push_str(&text),
            Ok(Event::GeneralRef(reference)) if (1..1_000).contains(&is_in_text) => {
                super::markup::push_reference(&mut cell, &reference);
            }
            Ok(Event::Eof) => return Ok(csv.finish()),
            Err(_) => return Err(damaged("the OpenDocument file")),
            Ok(_) => {}
        }
    }
}

/// How often a cell or a row is repeated. An empty rest of a sheet is repeated a million times.
fn repeats(element: &BytesStart<'_>, name: &str) -> usize {
    attribute(element, name).and_then(|count| count.parse().ok()).unwrap_or(1).clamp(1, SHEET_REPEATS_MAX)
}

fn push_cells(row: &mut Vec<String>, cell: &str, repeated: usize) -> Result<(), Failure> {
    let repeated = repeated.min(SHEET_COLUMNS_MAX.saturating_sub(row.len()));
    let filled: usize = if cell.is_empty() { 0 } else { row.iter().map(String::len).sum() };
    if filled.saturating_add(cell.len().saturating_mul(repeated)) > EXTRACTED_TEXT_MAX_BYTES {
        return Err(expands_too_far("bytes of text", EXTRACTED_TEXT_MAX_BYTES));
    }
    row.extend(std::iter::repeat_n(cell.to_owned(), repeated));
    Ok(())
}
