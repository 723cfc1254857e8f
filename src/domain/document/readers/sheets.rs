//! The sheets of a workbook as CSV.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsb, Xlsx};

use crate::domain::document::failures::{damaged, expands_too_far};
use crate::domain::document::package::Package;
use crate::domain::failure::Failure;
use crate::domain::limits::{EXTRACTED_TEXT_MAX_BYTES, SHEET_COLUMNS_MAX};

const WORKBOOK: &str = "the workbook";

/// The sheets of a workbook of Office Open XML, binary or not.
pub(in crate::domain::document) fn workbook_text(bytes: &[u8], is_binary: bool) -> Result<String, Failure> {
    Package::open(bytes)?.check_expanded()?;
    check_shared_strings(bytes)?;
    let mut csv = CsvText::default();
    if is_binary {
        let mut book: Xlsb<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).map_err(|_| damaged(WORKBOOK))?;
        for name in book.sheet_names() {
            // A sheet of charts has no cells.
            let Ok(mut cells) = book.worksheet_cells_reader(&name) else { continue };
            csv.begin_sheet(&name);
            while let Some(cell) = cells.next_cell().map_err(|_| damaged(WORKBOOK))? {
                csv.push_cell(cell.get_position(), &Data::from(cell.get_value().clone()))?;
            }
        }
    } else {
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).map_err(|_| damaged(WORKBOOK))?;
        for name in book.sheet_names() {
            let Ok(mut cells) = book.worksheet_cells_reader(&name) else { continue };
            csv.begin_sheet(&name);
            while let Some(cell) = cells.next_cell().map_err(|_| damaged(WORKBOOK))? {
                csv.push_cell(cell.get_position(), &Data::from(cell.get_value().clone()))?;
            }
        }
    }
    Ok(csv.finish())
}

/// Checks the number of shared strings that a workbook declares: calamine takes the memory for
/// as many.
fn check_shared_strings(bytes: &[u8]) -> Result<(), Failure> {
    const DECLARATION: &str = "uniqueCount";
    let mut package = Package::open(bytes)?;
    let is_list = |name: &String| name.to_ascii_lowercase().ends_with("sharedstrings.xml");
    let lists: Vec<usize> = (0..package.names.len()).filter(|index| is_list(&package.names[*index])).collect();
    for list in lists {
        let xml = package.read(list)?;
        let head = String::from_utf8_lossy(&xml);
        for (at, _) in head.match_indices(DECLARATION) {
            let digits = head[at + DECLARATION.len()..].chars().skip_while(|c| !c.is_ascii_alphanumeric());
            let count: String = digits.take(20).take_while(char::is_ascii_digit).collect();
            if count.parse().map_or(!count.is_empty(), |count: usize| count > xml.len()) {
                return Err(damaged(WORKBOOK));
            }
        }
    }
    Ok(())
}

/// Writes sheets as CSV. A workbook with several sheets names each before its rows.
#[derive(Default)]
pub(super) struct CsvText {
    text: String,
    sheets: Vec<(String, usize)>,
    row: Vec<String>,
    row_bytes: usize,
    row_number: Option<u32>,
}

impl CsvText {
    /// Begins a sheet.
    pub fn begin_sheet(&mut self, name: &str) {
        self.flush_row();
        self.sheets.push((name.to_owned(), self.text.len()));
    }

    /// Adds a cell at its row and column.
    pub fn push_cell(&mut self, (row, column): (u32, u32), value: &Data) -> Result<(), Failure> {
        if self.row_number != Some(row) {
            self.flush_row();
            self.row_number = Some(row);
        }
        let column = column as usize;
        if column >= SHEET_COLUMNS_MAX {
            return Err(expands_too_far("columns", SHEET_COLUMNS_MAX));
        }
        if column >= self.row.len() {
            self.row.resize(column + 1, String::new());
        }
        // Many cells may share one long string.
        let text = cell_text(value);
        self.row_bytes += text.len();
        self.row[column] = text;
        self.check()
    }

    /// Adds a row, without the empty cells at its end.
    pub fn push_row(&mut self, row: &[String]) -> Result<(), Failure> {
        let length = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        if length > 0 {
            let cells: Vec<String> = row[..length].iter().map(|cell| quoted(cell)).collect();
            self.text.push_str(&cells.join(","));
            self.text.push('\n');
        }
        self.check()
    }

    fn flush_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        // The size is checked at the next cell.
        let _ = self.push_row(&row);
        self.row_bytes = 0;
        self.row_number = None;
    }

    fn check(&self) -> Result<(), Failure> {
        match self.text.len() + self.row_bytes > EXTRACTED_TEXT_MAX_BYTES {
            true => Err(expands_too_far("bytes of text", EXTRACTED_TEXT_MAX_BYTES)),
            false => Ok(()),
        }
    }

    /// The text of all sheets with rows.
    pub fn finish(mut self) -> String {
        self.flush_row();
        let ends = self.sheets.iter().skip(1).map(|(_, begin)| *begin).chain([self.text.len()]);
        let sheets: Vec<(&str, &str)> =
            self.sheets.iter().zip(ends).map(|((name, begin), end)| (name.as_str(), &self.text[*begin..end])).collect();
        let filled: Vec<_> = sheets.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        match filled[..] {
            [(_, rows)] => rows.to_owned(),
            _ => filled.iter().map(|(name, rows)| format!("{}\n{rows}\n", quoted(&format!("Sheet: {name}")))).collect(),
        }
    }
}

fn cell_text(value: &Data) -> String {
    match value {
        Data::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            match (hour, minute, second) {
                (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        other => other.to_string(),
    }
}

/// A cell of CSV, in quotation marks if it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
