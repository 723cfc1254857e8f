//! The page about models agrees with the table in the code.

use docket::domain::analysis::answer_form::{AnswerForm, FAMILIES, ModelFamily};
use test_support::read;

fn form_name(form: &AnswerForm) -> &'static str {
    match form {
        AnswerForm::Tool => "forced tool",
        AnswerForm::AnyTool => "any tool",
        AnswerForm::AutoTool => "offered tool",
        AnswerForm::JsonSchema => "structured outputs",
        AnswerForm::Text => "text",
    }
}

/// The row of a family: its name, the begin of its ids, its forms, and its sources.
fn row(family: &ModelFamily) -> String {
    let prefixes: Vec<String> =
        family.prefixes.iter().filter(|prefix| !prefix.is_empty()).map(|prefix| format!("`{prefix}`")).collect();
    let forms: Vec<&str> = family.forms.iter().map(form_name).collect();
    let sources: Vec<String> =
        family.sources.iter().enumerate().map(|(index, url)| format!("[{}]({url})", index + 1)).collect();
    let prefixes = if prefixes.is_empty() { "every other id".to_owned() } else { prefixes.join(", ") };
    format!("| {} | {prefixes} | {} | {} |", family.name, forms.join(", "), sources.join(", "))
}

#[test]
fn models_page_has_each_family_in_order() {
    let page = read("docs/operations/models.md");
    let rows: Vec<String> = FAMILIES.iter().map(row).collect();
    let found: Vec<&str> = page.lines().filter(|line| rows.iter().any(|row| row == line)).collect();
    assert_eq!(found, rows, "docs/operations/models.md must have these rows:\n{}", rows.join("\n"));
}
