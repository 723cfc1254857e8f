//! Parts that several views share.

use maud::{Markup, html};
use serde_json::Value;

/// A time of the API, to the second.
pub fn time(text: &str) -> Markup {
    let short = text.get(..19).unwrap_or(text).replace('T', " ");
    html! { time datetime=(text) { (short) " UTC" } }
}

/// A number with a separator of thousands.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A status with its colour.
pub fn status(name: &str) -> Markup {
    html! { span class={ "status " (name) } { (name) } }
}

/// The name of a job's document, or else the job's id.
pub fn name_of(job: &Value) -> &str {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str);
    text("/document/name").filter(|name| !name.is_empty()).or(text("/job_id")).unwrap_or_default()
}

/// A form of one button.
pub fn button(action: &str, text: &str, class: &str) -> Markup {
    html! { form method="post" action=(action) { button class=(class) { (text) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        let texts = [0, 999, 1_000, 1_234_567].map(number);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn time_is_short_and_never_fails() {
        assert!(time("2026-11-22T10:00:00.123Z").into_string().contains(">2026-11-22 10:00:00 UTC<"));
        assert!(time("später").into_string().contains("später"));
    }
}
