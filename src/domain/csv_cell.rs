//! Cells of a CSV file that a spreadsheet does not execute.

use std::borrow::Cow;

/// A text that a spreadsheet does not execute. A text that begins like a formula gets a `'`
/// in front, also after white space and invisible characters.
///
/// <https://owasp.org/www-community/attacks/CSV_Injection>
pub fn safe_cell(text: &str) -> Cow<'_, str> {
    let is_tab_or_return = text.starts_with(['\t', '\r', '\n']);
    let visible = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    let begins_a_formula = visible.starts_with(is_formula_start);
    if is_tab_or_return || begins_a_formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// OWASP's characters, and their full-width and small forms, which spreadsheets for East Asian
/// languages read like them.
fn is_formula_start(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '|' | '%')
        || matches!(c, '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}' | '\u{fe66}' | '\u{fe62}' | '\u{fe63}')
        || matches!(c, '\u{fe6b}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_that_begins_like_a_formula_is_text() {
        for text in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "\tx", " =1", "\u{a0}=1", "\u{200b}=1", "＝1", "＋1"]
                .into_iter()
                .chain(["－1", "＠x", "\u{feff}=1", "\n=1", "\u{0}=1"])
        {
            assert_eq!(safe_cell(text), format!("'{text}"), "{text:?}");
        }
        for text in ["", " ", "a=1", "Über", "1-1", "'=1", "契約"] {
            assert_eq!(safe_cell(text), text);
        }
    }
}
