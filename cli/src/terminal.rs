//! Output: results on standard output, progress and errors on standard error.

use std::io::{BufRead, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::CommandError;

/// Without a terminal, progress within a phase is a line at most this often.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// ASCII alone: the console may not be UTF-8.
const BAR: &str = "[{bar:30}] {wide_msg}";
const BAR_CHARACTERS: &str = "=> ";

/// Prints a result. A closed pipe, as with `| head`, is not an error.
pub fn print_text(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// Prints progress or an error, as one line.
pub fn print_status(line: &str) {
    let _ = writeln!(std::io::stderr(), "docket: {}", printable(line));
}

/// Prints the verdict, the last line of a command, in the colour of its meaning.
pub fn print_verdict(is_good: bool, line: &str) {
    let colour = if is_good { "\u{1b}[32m" } else { "\u{1b}[31m" };
    let _ = writeln!(anstream::stderr(), "docket: {colour}{}\u{1b}[0m", printable(line));
}

/// The text on one line, without control characters: a service, a document or a model may
/// have written parts of it.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi_control(c) { ' ' } else { c }).collect()
}

/// Characters that change the order or the end of a line on the screen.
///
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Asks a question on standard error. `has_consent` is the flag `--yes`.
///
/// # Errors
/// The user says no, or standard input is no terminal.
pub fn confirm(question: &str, has_consent: bool) -> Result<(), CommandError> {
    if has_consent {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::Usage(format!("{question} Standard input is no terminal: use --yes to agree")));
    }
    let _ = write!(std::io::stderr(), "docket: {} [y/N] ", printable(question));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CommandError::Failed("not confirmed: nothing was changed".to_owned())),
    }
}

/// The progress of a command: a bar on a terminal. Elsewhere it is a line for each change of
/// the phase, and at most one line in [`LINE_INTERVAL`] within a phase.
pub struct Progress {
    bar: Option<ProgressBar>,
    phase: String,
    shown: String,
    shown_at: Instant,
}

impl Progress {
    /// Begins without any output.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR).expect("a valid template").progress_chars(BAR_CHARACTERS);
            ProgressBar::new(0).with_style(style)
        });
        Self { bar, phase: String::new(), shown: String::new(), shown_at: Instant::now() }
    }

    /// Shows the present state. `phase` changes when something other than a number changes;
    /// the empty phase is that of the beginning.
    pub fn show(&mut self, phase: &str, done: u64, total: u64, text: &str) {
        let text = printable(text);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(text);
            return;
        }
        let is_new_phase = phase != self.phase;
        if is_new_phase || (text != self.shown && self.shown_at.elapsed() >= LINE_INTERVAL) {
            print_status(&text);
            self.phase = phase.to_owned();
            self.shown = text;
            self.shown_at = Instant::now();
        }
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print_status(line)),
            None => print_status(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A table with a header. Columns are as wide as their widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let lines = || std::iter::once(&header).chain(rows);
    let width = |column: usize| lines().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for cells in lines() {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_has_no_control_characters() {
        assert_eq!(printable("a\u{1b}[31mb\nc\u{202e}d\u{2028}\u{9b}e"), "a [31mb c d  e");
        assert_eq!(printable("Grüße, 契約"), "Grüße, 契約");
    }

    #[test]
    fn table_aligns_its_columns() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["x", "count"], &rows), "x     count\na     1\nlong  22\n");
    }
}
