//! Dates in a text, as people write them.

/// A day. `day` is 0 if only the month is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

/// The begins of the names of months in English, German, French, Spanish and Italian, with the
/// number of the month. The first that fits counts.
const MONTHS: [(&str, u32); 36] = [
    ("jan", 1),
    ("jän", 1),
    ("ene", 1),
    ("gen", 1),
    ("feb", 2),
    ("fév", 2),
    ("fev", 2),
    ("mar", 3),
    ("mär", 3),
    ("mrz", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("juin", 6),
    ("jun", 6),
    ("giu", 6),
    ("juil", 7),
    ("jul", 7),
    ("lug", 7),
    ("aug", 8),
    ("août", 8),
    ("aou", 8),
    ("ago", 8),
    ("sep", 9),
    ("set", 9),
    ("oct", 10),
    ("okt", 10),
    ("ott", 10),
    ("nov", 11),
    ("dec", 12),
    ("dez", 12),
    ("déc", 12),
    ("dic", 12),
];
/// The longest name of a month.
const MONTH_MAX_CHARS: usize = 10;
/// Words within a date.
const JOINING: [&str; 8] = ["of", "de", "del", "di", "the", "den", "le", "el"];
/// The endings of the number of a day.
const ORDINALS: [&str; 7] = ["st", "nd", "rd", "th", "er", "º", "o"];

impl Date {
    fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let year = match year {
            0..=69 => year + 2000,
            70..=99 => year + 1900,
            _ => year,
        };
        ((1000..=9999).contains(&year) && (1..=12).contains(&month) && day <= 31).then_some(Self { year, month, day })
    }

    /// Whether a date of a text is this one. A month of a result is in each of its days.
    pub fn is_in(self, text: Self) -> bool {
        (self.year, self.month) == (text.year, text.month) && (self.day == 0 || self.day == text.day)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Number(u32, usize),
    Month(u32),
    Other(&'a str),
    Sign(char),
}

/// Every date that a folded text can mean. `03/04/2026` can mean two.
pub(super) fn dates_in(text: &str) -> Vec<Date> {
    let tokens = tokens_of(text);
    (0..tokens.len()).flat_map(|at| dates_at(&tokens[at..], at.checked_sub(1).map(|before| tokens[before]))).collect()
}

/// The dates that a folded text is, and no other word; empty for other texts.
pub(super) fn dates_of_whole(text: &str) -> Vec<Date> {
    let day = match text.split_once('t') {
        // The date of an ISO time.
        Some((day, time)) if day.len() == 10 && time.starts_with(|c: char| c.is_ascii_digit()) => day,
        _ => text,
    };
    let tokens = tokens_of(day);
    let is_part = |token: &Token| match token {
        Token::Number(..) | Token::Month(_) => true,
        Token::Other(word) => JOINING.contains(word) || ORDINALS.contains(word),
        Token::Sign(sign) => ".,-/ ".contains(*sign),
    };
    let numbers = tokens.iter().filter(|token| matches!(token, Token::Number(..))).count();
    if numbers <= 3 && tokens.iter().all(is_part) { dates_in(day) } else { Vec::new() }
}

fn tokens_of(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let is_same: fn(char) -> bool = match c {
            '0'..='9' => |c| c.is_ascii_digit(),
            c if c.is_alphabetic() || c == 'º' => |c| c.is_alphabetic() || c == 'º',
            _ => |_| false,
        };
        let length = rest.find(|c| !is_same(c)).unwrap_or(rest.len()).max(if is_same(c) { 0 } else { c.len_utf8() });
        let part = &rest[..length];
        rest = &rest[length..];
        tokens.push(match c {
            '0'..='9' => part.parse().map_or(Token::Other(part), |number| Token::Number(number, part.len())),
            c if is_same(c) => month_of(part).map_or(Token::Other(part), Token::Month),
            c => Token::Sign(c),
        });
    }
    // Spaces, commas and small words separate no parts of a date.
    tokens.retain(|token| {
        !matches!(token, Token::Sign(' ' | ',')) && !matches!(token, Token::Other(word) if JOINING.contains(word))
    });
    tokens
}

fn month_of(word: &str) -> Option<u32> {
    let is_name = word.chars().count() <= MONTH_MAX_CHARS;
    MONTHS.iter().find(|(begin, _)| is_name && word.starts_with(begin)).map(|(_, month)| *month)
}

/// The dates that begin with the first token.
fn dates_at(tokens: &[Token<'_>], before: Option<Token<'_>>) -> Vec<Date> {
    // The parts of a longer number, such as those of a version, are no date.
    let is_inner = matches!(before, Some(Token::Sign('.' | '/' | '-')));
    let skip_ending = |at: usize| match tokens.get(at) {
        Some(Token::Sign('.')) => at + 1,
        Some(Token::Other(ending)) if ORDINALS.contains(ending) => at + 1,
        _ => at,
    };
    let number = |at: usize| match tokens.get(at) {
        Some(Token::Number(number, digits)) => Some((*number, *digits)),
        _ => None,
    };
    match tokens {
        [Token::Number(a, 4), Token::Sign(x), Token::Number(b, 1 | 2), Token::Sign(y), Token::Number(c, 1 | 2), ..]
            if x == y && "-/.".contains(*x) && !is_inner =>
        {
            Date::new(*a, *b, *c).into_iter().collect()
        }
        [
            Token::Number(a, 1 | 2),
            Token::Sign(x),
            Token::Number(b, 1 | 2),
            Token::Sign(y),
            Token::Number(c, 2 | 4),
            ..,
        ] if x == y && "-/.".contains(*x) && !is_inner => {
            let american = (*x != '.').then(|| Date::new(*c, *a, *b)).flatten();
            Date::new(*c, *b, *a).into_iter().chain(american).collect()
        }
        [Token::Number(year, 4), Token::Sign('-'), Token::Number(month, 2), ..] if !is_inner => {
            Date::new(*year, *month, 0).into_iter().collect()
        }
        [Token::Number(day, 1 | 2), ..] => {
            let at = skip_ending(1);
            let Some(Token::Month(month)) = tokens.get(at) else { return Vec::new() };
            let year = number(skip_ending(at + 1)).filter(|(_, digits)| *digits == 4);
            year.and_then(|(year, _)| Date::new(year, *month, *day)).into_iter().collect()
        }
        [Token::Month(month), ..] => {
            let at = skip_ending(1);
            match (number(at), number(skip_ending(at + 1))) {
                (Some((day, 1 | 2)), Some((year, 4))) => Date::new(year, *month, day).into_iter().collect(),
                (Some((year, 4)), _) if !matches!(before, Some(Token::Number(_, 1 | 2))) => {
                    Date::new(year, *month, 0).into_iter().collect()
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u32, month: u32, day: u32) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn one_day_is_read_in_many_forms() {
        for text in [
            "2026-03-01",
            "01.03.2026",
            "1.3.2026",
            "1. märz 2026",
            "1 march 2026",
            "march 1, 2026",
            "1st of march, 2026",
            "1st march 2026",
            "le 1er mars 2026",
            "1 de marzo de 2026",
            "01/03/2026",
            "2026/03/01",
            "mar. 1, 2026",
            "1.3.26",
            "2026-03-01t10:00:00z",
        ] {
            let (within, whole) = (dates_in(&format!("due on {text}. the next")), dates_of_whole(text));
            assert!(within.contains(&date(2026, 3, 1)), "{text}: {within:?}");
            assert!(whole.contains(&date(2026, 3, 1)), "{text}: {whole:?}");
        }
    }

    #[test]
    fn ambiguous_dates_have_two_readings_and_other_texts_none() {
        assert_eq!(dates_in("03/04/2026"), [date(2026, 4, 3), date(2026, 3, 4)]);
        assert_eq!(dates_in("31.03.2026"), [date(2026, 3, 31)]);
        assert_eq!(dates_in("march 2026"), [date(2026, 3, 0)]);
        for text in
            ["rent of 900 euros", "version 1.2.3.4", "clause 3.4.1", "may the tenant", "12 may be 2026 pages", ""]
        {
            assert_eq!(dates_in(text), [], "{text}");
        }
        assert!(dates_of_whole("1 march 2026 to 2 march 2027").is_empty());
        assert!(dates_of_whole("until 1 march 2026").is_empty());
    }

    #[test]
    fn month_of_a_result_is_in_its_days() {
        assert!(date(2026, 3, 0).is_in(date(2026, 3, 9)) && date(2026, 3, 9).is_in(date(2026, 3, 9)));
        assert!(!date(2026, 3, 9).is_in(date(2026, 3, 0)) && !date(2026, 3, 0).is_in(date(2026, 4, 1)));
    }
}
