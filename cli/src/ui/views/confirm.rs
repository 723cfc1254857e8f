//! The question before a change of many jobs.

use maud::html;

use super::layout::{Shell, page};
use super::parts::number;
use crate::changes::Change;
use crate::ui::filter::Filter;

/// Asks whether `count` jobs of a batch are changed. `previous` is the number of the question
/// before, if it is no longer right.
pub fn confirm(
    shell: &Shell,
    batch_id: &str,
    filter: &Filter,
    change: Change,
    count: u64,
    previous: Option<u64>,
) -> String {
    let (verb, path, class) = match change {
        Change::Retry => ("Retry", "retry-jobs", "primary"),
        Change::Cancel => ("Cancel", "cancel-jobs", "danger"),
    };
    let back = format!("/batches/{batch_id}?{}", filter.as_query());
    let fields = [
        ("status", filter.status.as_str()),
        ("label", &filter.label),
        ("error", &filter.error),
        ("name", &filter.name),
    ];
    let content = html! {
        nav aria-label="Breadcrumb" { a href="/" { "Batches" } " / " a href=(back) { (batch_id) } }
        h1 { (verb) " " (number(count)) " jobs of " (batch_id) "?" }
        @if let Some(previous) = previous {
            p.waits role="status" { "The number changed from " (number(previous)) " to " (number(count)) " since the question." }
        }
        ul.fields {
            @for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) { li { (name) ": " strong { (value) } } }
        }
        @if count == 0 {
            p.empty { "No job of this filter can be changed." }
        } @else {
            form method="post" action={ "/batches/" (batch_id) "/" (path) } {
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                input type="hidden" name="count" value=(count);
                div.actions {
                    button class=(class) { (verb) " " (number(count)) " jobs" }
                    a.button href=(back) { "Back" }
                }
            }
        }
    };
    page(shell, verb, None, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_has_the_number_and_the_filter() {
        let filter = Filter { name: "<north>".into(), ..Filter::default() };
        let html = confirm(&Shell::default(), "b", &filter, Change::Retry, 1_234, Some(1_200));
        for part in [
            "Retry 1,234 jobs of b?",
            "from 1,200 to 1,234",
            "name=\"count\" value=\"1234\"",
            "name=\"name\" value=\"&lt;north&gt;\"",
            "action=\"/batches/b/retry-jobs\"",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        assert!(!confirm(&Shell::default(), "b", &filter, Change::Cancel, 0, None).contains("<form"));
    }
}
