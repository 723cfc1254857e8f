//! Numbers in a text, as people write them.

/// Words that multiply the number before them, with the power of ten.
const SCALES: [(&str, usize); 13] = [
    ("thousand", 3),
    ("tausend", 3),
    ("tsd", 3),
    ("million", 6),
    ("millions", 6),
    ("millionen", 6),
    ("mio", 6),
    ("mn", 6),
    ("billion", 9),
    ("billions", 9),
    ("milliarde", 9),
    ("milliarden", 9),
    ("mrd", 9),
];

/// The decimal form of a JSON number, such as `-900.5`, without zeros that say nothing.
pub(super) fn decimal_of(number: &serde_json::Number) -> String {
    let text = number.to_string();
    // An exponent is written out; 64 bits hold every number of a result.
    let plain = match number.as_f64().filter(|_| text.contains(['e', 'E'])) {
        Some(float) => format!("{float}"),
        None => text,
    };
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |digits| ("-", digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    normal(sign, whole, part)
}

/// Every number that a folded text can mean, in decimal form.
pub(super) fn numbers_in(text: &str) -> Vec<String> {
    readings_in(text).concat()
}

/// For each number of a folded text, what it can mean: `1.234` can mean two numbers.
pub(super) fn readings_in(text: &str) -> Vec<Vec<String>> {
    let bytes = text.as_bytes();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = end_of_number(bytes, at);
        let before = text[..at].chars().next_back();
        let further = text[..at].chars().rev().nth(1);
        let is_negative = before == Some('-') && further.is_none_or(|c| c.is_whitespace() || "(:=".contains(c));
        let is_bracketed = before == Some('(') && text[end..].starts_with(')');
        let power = scale_after(&text[end..]);
        let mut found = Vec::new();
        for (whole, part) in readings(&text[at..end]) {
            let signs: &[&str] = match (is_negative, is_bracketed) {
                (true, _) => &["-"],
                (false, true) => &["", "-"],
                (false, false) => &[""],
            };
            for sign in signs {
                found.push(normal(sign, &whole, &part));
                if let Some(power) = power {
                    let (whole, part) = shift(&whole, &part, power);
                    found.push(normal(sign, &whole, &part));
                }
            }
        }
        all.push(found);
        at = end;
    }
    all
}

/// The end of a number with separators. A space separates three digits after at most three.
fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = start + digits(start);
    let mut group = end - start;
    while let Some(separator) = bytes.get(end) {
        let next = if end + 1 < bytes.len() { digits(end + 1) } else { 0 };
        let continues = match separator {
            b'.' | b',' | b'\'' => next > 0,
            b' ' => next == 3 && group <= 3,
            _ => false,
        };
        if !continues {
            break;
        }
        (end, group) = (end + 1 + next, next);
    }
    end
}

/// The readings of digits with separators: the digits before and after the decimal point.
fn readings(text: &str) -> Vec<(String, String)> {
    let separators: Vec<char> = text.chars().filter(|c| !c.is_ascii_digit()).collect();
    let groups: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).collect();
    let alone = |groups: &[&str]| groups.iter().map(|group| ((*group).to_owned(), String::new())).collect::<Vec<_>>();
    let Some(last) = separators.last() else { return alone(&groups) };
    let are_thousands = |groups: &[&str]| groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    let head = &groups[..groups.len() - 1];
    let mut found = Vec::new();
    let is_uniform = separators.iter().all(|separator| separator == last);
    if is_uniform && are_thousands(&groups) {
        found.push((groups.concat(), String::new()));
    }
    let is_point = |c: &char| *c == '.' || *c == ',';
    let head_separators = &separators[..separators.len() - 1];
    let has_one_kind = head_separators.windows(2).all(|pair| pair[0] == pair[1]) && !head_separators.contains(last);
    if is_point(last) && has_one_kind && (head.len() == 1 || are_thousands(head)) {
        found.push((head.concat(), groups[groups.len() - 1].to_owned()));
    }
    // Numbers next to each other, such as the parts of a date or of a list. Several groups of three
    // digits are one number.
    let spaces = separators.iter().filter(|separator| **separator == ' ').count();
    if found.is_empty() || (spaces == 1 && separators.len() == 1) {
        found.extend(alone(&groups));
    }
    found
}

/// The power of ten of the word after a number.
fn scale_after(text: &str) -> Option<usize> {
    let word: String = text.trim_start_matches([' ', '-']).chars().take_while(|c| c.is_alphabetic()).collect();
    SCALES.iter().find(|(scale, _)| *scale == word).map(|(_, power)| *power)
}

/// Moves the decimal point to the right.
fn shift(whole: &str, part: &str, power: usize) -> (String, String) {
    let padded = format!("{part:0<power$}");
    (format!("{whole}{}", &padded[..power]), padded[power..].to_owned())
}

fn normal(sign: &str, whole: &str, part: &str) -> String {
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    match (whole, part) {
        ("", "") => "0".to_owned(),
        (_, "") => format!("{sign}{whole}"),
        ("", _) => format!("{sign}0.{part}"),
        _ => format!("{sign}{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, has, lacks) in [
            ("eur 900.00", vec!["900"], vec!["90", "90000", "-900"]),
            ("1,234.56 and 1.234,56", vec!["1234.56"], vec!["1.23456", "234"]),
            ("1.234", vec!["1234", "1.234"], vec!["234"]),
            ("12 345 678,90", vec!["12345678.9"], vec!["345"]),
            ("1'250'000", vec!["1250000"], vec!["1.25"]),
            ("on 2026-03-01", vec!["2026", "3", "1"], vec!["-3"]),
            ("on 01.03.2026, at 10:30", vec!["1", "3", "2026", "10", "30"], vec!["1.3"]),
            ("a loss of -5.50, or (7)", vec!["-5.5", "-7", "7"], vec!["5.5"]),
            ("from 3-5 days", vec!["3", "5"], vec!["-5"]),
            ("1.5 million, 2 mio. and 3 thousand", vec!["1500000", "2000000", "3000", "1.5"], vec!["15"]),
            ("in 2026 100 people", vec!["2026", "100"], vec!["2026100"]),
            ("§ 5a, 90 %", vec!["5", "90"], vec!["0.9"]),
            ("0.10", vec!["0.1"], vec!["0.01", "10"]),
            ("clause 3.4.1", vec!["3", "4", "1"], vec!["3.4"]),
            ("9 0", vec!["9", "0"], vec!["90"]),
        ] {
            let found = numbers_in(text);
            for wanted in has {
                assert!(found.iter().any(|number| number == wanted), "{text}: {found:?} lacks {wanted}");
            }
            for wrong in lacks {
                assert!(!found.iter().any(|number| number == wrong), "{text}: {found:?} has {wrong}");
            }
        }
    }

    #[test]
    fn numbers_of_json_have_one_decimal_form() {
        for (number, decimal) in [
            (json!(900), "900"),
            (json!(900.0), "900"),
            (json!(-0.50), "-0.5"),
            (json!(0), "0"),
            (json!(1e3), "1000"),
            (json!(18_446_744_073_709_551_615_u64), "18446744073709551615"),
        ] {
            assert_eq!(decimal_of(number.as_number().unwrap()), decimal);
        }
    }
}
