//! One batch: its filter, its distributions and its jobs.

use maud::{Markup, html};
use serde_json::Value;

use super::batches::{pause_button, summary};
use super::layout::{Shell, page};
use super::parts::{button, name_of, number, status, time};
use super::pictures::{histogram, ranking};
use crate::batch::Batch;
use crate::changes::Change;
use crate::query::encode;
use crate::ui::filter::{Filter, STATUSES};
use crate::ui::operations::Operation;
use crate::ui::statistics::Statistics;

/// Names of a ranking; the others are added up.
const RANKED_MAX: usize = 12;
/// Characters of a summary in the table.
const SUMMARY_CHARS: usize = 160;

/// The content of the page of a batch.
pub struct BatchPage<'a> {
    pub batch: &'a Batch,
    pub filter: &'a Filter,
    pub jobs: &'a [Value],
    /// The cursor of this page; `None` for the first one.
    pub cursor: Option<&'a str>,
    /// The cursor of the next page.
    pub next: Option<&'a str>,
    pub statistics: &'a Statistics,
    pub operations: &'a [Operation],
}

/// The page of a batch.
pub fn batch(shell: &Shell, view: &BatchPage<'_>) -> String {
    let id = view.batch.json["batch_id"].as_str().unwrap_or_default();
    let content = html! {
        nav aria-label="Breadcrumb" { a href="/" { "Batches" } }
        h1 { (id) }
        div #summary data-region="" {
            (summary(view.batch))
            @for operation in view.operations { (progress(operation)) }
        }
        @if shell.is_writable {
            div.actions #batch-actions data-region="" {
                (pause_button(view.batch))
                @if !view.batch.has_ended() {
                    a.button.danger href={ "/batches/" (id) "/cancel" } { "Cancel the batch…" }
                }
            }
        }
        div #distribution data-region="" { (distribution(id, view)) }
        section aria-labelledby="jobs-title" {
            h2 #jobs-title { "Jobs" }
            (filter_form(id, view.filter))
            (tools(shell, id, view.filter))
            div #jobs data-region="" { (table(view.jobs)) }
            (pager(id, view))
        }
    };
    page(shell, id, Some(&format!("/events/batches/{id}")), &content)
}

fn progress(operation: &Operation) -> Markup {
    let (doing, done) = match operation.change {
        Change::Retry => ("Retrying", "retried"),
        Change::Cancel => ("Cancelling", "cancelled"),
    };
    html! {
        div.operation role="status" {
            @if let Some(error) = &operation.error {
                p.error { (doing) " stopped after " (number(operation.changed)) " of " (number(operation.total)) " jobs: " (error) }
            } @else if !operation.has_ended {
                p { (doing) " " (number(operation.total)) " jobs" }
                progress aria-label=(doing) {}
            } @else if operation.continues {
                p { (number(operation.changed)) " of " (number(operation.total)) " jobs " (done) "; Docket goes on by itself" }
            } @else {
                p { (number(operation.changed)) " of " (number(operation.total)) " jobs " (done) }
            }
            @if !operation.refused.is_empty() {
                details {
                    summary { "Jobs that were not " (done) }
                    ul { @for (job, reason) in &operation.refused { li { a href={ "/jobs/" (job) } { (job) } ": " (reason) } } }
                }
            }
        }
    }
}

fn distribution(id: &str, view: &BatchPage<'_>) -> Markup {
    let address = |filter: Filter| format!("/batches/{id}?{}#jobs-title", filter.as_query());
    let label = |label: &str| address(Filter { label: label.to_owned(), ..Filter::default() });
    let error = |error: &str| address(Filter { error: error.to_owned(), ..Filter::default() });
    let statistics = view.statistics;
    let total: u64 = statistics.confidences.iter().sum();
    html! {
        @if statistics.jobs > 0 {
            div.pictures {
                @if !statistics.labels.is_empty() {
                    (ranking("Labels", "label", &ranked(statistics.labels.iter(), label)))
                }
                @if total > 0 { (histogram(&statistics.confidences)) }
                @if !statistics.errors.is_empty() {
                    (ranking("Error codes", "failed", &ranked(statistics.errors.iter(), error)))
                }
            }
            @if statistics.jobs < view.batch.finished() {
                p.hint { "The pictures have " (number(statistics.jobs)) " of " (number(view.batch.finished())) " finished jobs." }
            }
        }
    }
}

fn ranked<'a>(
    counts: impl Iterator<Item = (&'a String, &'a u64)>,
    address: impl Fn(&str) -> String,
) -> Vec<(String, String, u64)> {
    let mut counts: Vec<_> = counts.map(|(name, count)| (name.clone(), address(name), *count)).collect();
    counts.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    counts.truncate(RANKED_MAX);
    counts
}

fn filter_form(id: &str, filter: &Filter) -> Markup {
    html! {
        form.filter method="get" action={ "/batches/" (id) } role="search" aria-label="Filter of the jobs" {
            label { "Status" select name="status" {
                @for (value, text) in STATUSES { option value=(value) selected[filter.status == value] { (text) } }
            } }
            label { "Label" input name="label" value=(filter.label) maxlength="100"; }
            label { "Error code" input name="error" value=(filter.error) maxlength="100"; }
            label { "Name contains" input #name-filter name="name" value=(filter.name) maxlength="255"; }
            button.primary { "Filter" }
            @if *filter != Filter::default() { a.button href={ "/batches/" (id) } { "Clear" } }
        }
    }
}

fn tools(shell: &Shell, id: &str, filter: &Filter) -> Markup {
    let query = filter.as_query();
    let address = |path: &str, extra: &str| {
        let parts: Vec<&str> = [extra, &query].into_iter().filter(|part| !part.is_empty()).collect();
        format!("/batches/{id}/{path}?{}", parts.join("&"))
    };
    html! {
        div.actions {
            @if filter.has_results() || filter.status == "all" {
                a.button href=(address("export", "format=csv")) download="" { "Export CSV" }
                a.button href=(address("export", "format=jsonl")) download="" { "Export JSON Lines" }
            }
            @if shell.is_writable && !filter.failed().is_empty() {
                a.button href=(address("retry-jobs", "")) { "Retry failed jobs…" }
            }
            @if shell.is_writable && !filter.unfinished().is_empty() {
                a.button href=(address("cancel-jobs", "")) { "Cancel unfinished jobs…" }
            }
        }
    }
}

fn table(jobs: &[Value]) -> Markup {
    html! {
        @if jobs.is_empty() {
            p.empty { "No job matches." }
        } @else {
            table.jobs {
                thead { tr {
                    th scope="col" { "Document" } th scope="col" { "Status" } th scope="col" { "Label" }
                    th.number scope="col" { "Confidence" } th scope="col" { "Summary or error" }
                } }
                tbody { @for job in jobs { (row(job)) } }
            }
        }
    }
}

fn row(job: &Value) -> Markup {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str);
    let confidence = job.pointer("/result/classification/confidence").and_then(Value::as_f64);
    let error = text("/error/code").or(text("/last_error/code"));
    let message = text("/error/message").or(text("/last_error/message")).unwrap_or_default();
    html! {
        tr {
            th scope="row" { a href={ "/jobs/" (text("/job_id").unwrap_or_default()) } { (name_of(job)) } }
            td { (status(text("/status").unwrap_or_default())) }
            td { (text("/label").or(text("/result/classification/label")).unwrap_or("–")) }
            td.number { @if let Some(confidence) = confidence { (format!("{confidence:.2}")) } @else { "–" } }
            td.text {
                @if let Some(code) = error { code { (code) } ": " (shorten(message)) }
                @else { (shorten(&text("/result/summary").map_or_else(|| plain(&job["result"]), str::to_owned))) }
            }
        }
    }
}

/// A result of another schema as text.
fn plain(result: &Value) -> String {
    if result.is_null() { String::new() } else { result.to_string() }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SUMMARY_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn pager(id: &str, view: &BatchPage<'_>) -> Markup {
    let query = view.filter.as_query();
    let join = if query.is_empty() { "" } else { "&" };
    html! {
        nav.pager aria-label="Pages of jobs" {
            @if view.cursor.is_some() { a.button href={ "/batches/" (id) "?" (query) "#jobs-title" } { "First page" } }
            @if let Some(next) = view.next {
                a.button href={ "/batches/" (id) "?" (query) (join) "cursor=" (encode(next)) "#jobs-title" } { "Next page" }
            }
        }
    }
}

/// The times and the button of a batch that is cancelled as a whole.
pub fn cancel_question(shell: &Shell, batch: &Batch) -> String {
    let id = batch.json["batch_id"].as_str().unwrap_or_default();
    let unfinished = batch.count("pending") + batch.count("processing");
    let content = html! {
        nav aria-label="Breadcrumb" { a href="/" { "Batches" } " / " a href={ "/batches/" (id) } { (id) } }
        h1 { "Cancel the batch " (id) "?" }
        p { strong { (number(unfinished)) " unfinished jobs" } " are cancelled, and the batch takes no more jobs. "
            "Finished jobs keep their results." }
        @if let Some(at) = batch.json["created_at"].as_str() { p { "Created " (time(at)) } }
        div.actions {
            (button(&format!("/batches/{id}/cancel"), "Cancel the batch", "danger"))
            a.button href={ "/batches/" (id) } { "Back" }
        }
    };
    page(shell, "Cancel", None, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn html_of(filter: &Filter, jobs: &[Value], is_writable: bool) -> String {
        let counts = json!({"total": 3, "complete": 1, "failed": 1, "pending": 1});
        let batch = Batch::new(json!({"batch_id": "b", "status": "in_progress", "request_counts": counts}), None);
        let mut statistics = Statistics::default();
        jobs.iter().for_each(|job| statistics.add(job));
        let view = BatchPage {
            batch: &batch,
            filter,
            jobs,
            cursor: None,
            next: Some("40.x"),
            statistics: &statistics,
            operations: &[],
        };
        super::batch(&Shell { place: String::new(), is_writable }, &view)
    }

    fn jobs() -> [Value; 2] {
        let result =
            json!({"summary": "<img src=x onerror=alert(1)>", "classification": {"label": "a&b", "confidence": 0.5}});
        [
            json!({"job_id": "j1", "status": "complete", "document": {"name": "<i>.txt"}, "result": result}),
            json!({"job_id": "j2", "status": "failed", "error": {"code": "document_empty", "message": "<b>"}}),
        ]
    }

    #[test]
    fn table_escapes_texts_of_documents_and_models() {
        let html = html_of(&Filter::default(), &jobs(), true);
        for absent in ["<img", "<i>", "<b>"] {
            assert!(!html.contains(absent), "{absent}\n{html}");
        }
        for part in ["&lt;img src=x", "/batches/b?label=a%26b#jobs-title", "/batches/b?error=document_empty#jobs-title"]
        {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }

    #[test]
    fn filter_is_in_every_address_of_the_page() {
        let filter = Filter { error: "document_empty".into(), name: "ü".into(), ..Filter::default() };
        let html = html_of(&filter, &jobs(), true);
        let query = "error=document_empty&amp;name=%C3%BC";
        assert!(!html.contains("cancel-jobs"), "no unfinished job has an error code");
        for path in ["export?format=csv&amp;", "export?format=jsonl&amp;", "retry-jobs?"] {
            assert!(html.contains(&format!("/batches/b/{path}{query}\"")), "{path}\n{html}");
        }
        assert!(html.contains(&format!("/batches/b?{query}&amp;cursor=40.x#jobs-title")), "{html}");
    }

    #[test]
    fn read_only_page_has_no_action() {
        let html = html_of(&Filter::default(), &jobs(), false);
        for absent in ["method=\"post\"", "retry-jobs", "cancel-jobs"] {
            assert!(!html.contains(absent), "{absent}");
        }
    }
}
