//! Whether a passage contains a value.

use serde_json::Value;

use super::dates::{dates_in, dates_of_whole};
use super::folded::{Hyphens, fold};
use super::leaves::Leaf;
use super::numbers::{decimal_of, numbers_in, readings_in};
use super::whole::find_whole;

/// The longest text, in words, that is compared word by word. A longer one is a passage, which
/// must occur as a whole.
const WORDS_MAX: usize = 6;
/// The words of a currency.
const CURRENCIES: [&[&str]; 4] = [
    &["€", "eur", "euro", "euros"],
    &["$", "usd", "dollar", "dollars"],
    &["£", "gbp", "pound", "pounds"],
    &["chf", "franken", "francs"],
];

/// Whether a passage contains the value of a leaf. A number, a date and a text must occur; they
/// may be written in another way, such as 900 and 900.00, or 1 March 2026 and 2026-03-01. A truth
/// value, a label and the model's own words occur in no passage, so any passage will do.
pub(super) fn is_supported(leaf: &Leaf<'_>, quote: &str) -> bool {
    if leaf.is_own_words {
        return true;
    }
    match leaf.value {
        Value::Number(number) => numbers_in(&fold(quote, Hyphens::Join)).contains(&decimal_of(number)),
        Value::String(text) => [Hyphens::Join, Hyphens::Keep].iter().any(|hyphens| {
            let (text, quote) = (fold(text, *hyphens), fold(quote, *hyphens));
            has_text(&quote, text.trim())
        }),
        _ => true,
    }
}

/// Whether a folded passage has a folded text.
fn has_text(quote: &str, text: &str) -> bool {
    let dates = dates_of_whole(text);
    if !dates.is_empty() {
        let named = dates_in(quote);
        return dates.iter().any(|date| named.iter().any(|named| date.is_in(*named)));
    }
    let bare = text.trim_end_matches(['.', ',', ';', ':']);
    (!bare.is_empty() && find_whole(quote, bare).is_some()) || has_amount(quote, text)
}

/// Whether a passage has the numbers and the words of a short text with a number, such as
/// `900.00 EUR`, in any order.
fn has_amount(quote: &str, text: &str) -> bool {
    let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    if !text.contains(|c: char| c.is_ascii_digit()) || parts.len() > WORDS_MAX {
        return false;
    }
    let named = numbers_in(quote);
    let has_part = |part: &&str| {
        let has_digit = part.contains(|c: char| c.is_ascii_digit());
        // A sign of a currency may touch its number.
        let word = if has_digit { part.trim_matches(is_of_amount) } else { part };
        let is_currency = |names: &&&[&str]| names.contains(&word);
        match CURRENCIES.iter().find(is_currency) {
            Some(names) => names.iter().any(|name| has_name(quote, name)),
            None => word.is_empty() || find_whole(quote, if has_digit { part } else { word }).is_some(),
        }
    };
    // One reading of a number is enough.
    let is_named = |readings: &Vec<String>| readings.iter().any(|number| named.contains(number));
    parts.iter().all(has_part) && readings_in(text).iter().all(is_named)
}

fn is_of_amount(c: char) -> bool {
    c.is_ascii_digit() || ".,'-".contains(c)
}

/// Whether a passage names a currency. Its sign may touch the number.
fn has_name(quote: &str, name: &str) -> bool {
    if name.chars().all(char::is_alphabetic) { find_whole(quote, name).is_some() } else { quote.contains(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn supports(value: Value, quote: &str) -> bool {
        is_supported(&Leaf { path: "/a".into(), value: &value, is_own_words: false }, quote)
    }

    #[test]
    fn value_may_be_written_in_another_way() {
        for (value, quote) in [
            (json!(900), "a monthly rent of 900.00 EUR"),
            (json!(1234.56), "der Betrag von 1.234,56 Euro"),
            (json!("900.00 EUR"), "a rent of EUR 900"),
            (json!("€ 900"), "a rent of 900 euros"),
            (json!("€900"), "a rent of EUR 900.00"),
            (json!("1 234 567 EUR"), "the price is EUR 1,234,567"),
            (json!("30 days"), "within 30 calendar days"),
            (json!("2026-03-01"), "from 1 March 2026 on"),
            (json!("1 March 2026"), "ab dem 01.03.2026"),
            (json!("Ada Müller"), "between Ada\nMüller and the landlord"),
            (json!("non-exclusive licence"), "a non-\nexclusive licence"),
            (json!("ACME Ltd."), "the company ACME Ltd, of Leeds"),
            (json!(true), "pets are allowed"),
            (json!(2026), "on 2026-03-01"),
        ] {
            assert!(supports(value.clone(), quote), "{value} in {quote}");
        }
    }

    #[test]
    fn another_value_is_not_supported() {
        for (value, quote) in [
            (json!(90), "a rent of 900 euros"),
            (json!(900), "a rent of 9000 euros"),
            (json!(0.9), "a share of 90 %"),
            (json!(5), "a loss of -5 euros"),
            (json!("901.00 EUR"), "a rent of EUR 900"),
            (json!("900 USD"), "a rent of EUR 900"),
            (json!("2026-03-01"), "from 1 April 2026 on"),
            (json!("2026-03-02"), "from 1 March 2026 on"),
            (json!("Ada Miller"), "between Ada Müller and the landlord"),
            (json!("Ada"), "between Adam and the landlord"),
            (json!("may sublet"), "may not sublet"),
            (json!("B7-12"), "flats 12 and 7 of B"),
            (json!("."), "a rent."),
        ] {
            assert!(!supports(value.clone(), quote), "{value} in {quote}");
        }
    }
}
