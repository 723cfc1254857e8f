//! One job: its document next to its result.

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Shell, page};
use super::parts::{button, name_of, status};
use crate::jobs::explain::{facts, timeline};
use crate::ui::document::Shown;
use crate::ui::evidence::{mark, mark_passages, verified_passages};

/// The page of a job. `bucket` is the stack's bucket, if it is known.
pub fn job(shell: &Shell, job: &Value, document: &Shown, bucket: Option<&str>) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let (id, name) = (text("job_id"), name_of(job));
    let content = html! {
        nav aria-label="Breadcrumb" {
            a href="/" { "Batches" }
            @if let Some(batch) = job["batch_id"].as_str() { " / " a href={ "/batches/" (batch) } { (batch) } }
        }
        h1 #title data-region="" { (name) " " (status(text("status"))) }
        @if shell.is_writable {
            div.actions #job-actions data-region="" {
                @match text("status") {
                    "failed" => (button(&format!("/jobs/{id}/retry"), "Retry", "primary")),
                    "pending" | "processing" => (button(&format!("/jobs/{id}/cancel"), "Cancel", "danger")),
                    _ => {}
                }
            }
        }
        div.sides #sides data-region="" {
            section aria-labelledby="document-title" {
                h2 #document-title { "Document" }
                (document_view(id, name, document, job))
            }
            section aria-labelledby="result-title" {
                h2 #result-title { "Result" }
                @if job["result"].is_null() { p.empty { "There is no result." } } @else { (result_view(&job["result"])) }
            }
        }
        section aria-labelledby="facts-title" {
            h2 #facts-title { "Explanation" }
            div #facts data-region="" {
                dl.explanation { @for (name, value) in facts(job, bucket) { dt { (name) } dd { (value) } } }
                @let attempts: Vec<String> = timeline(job).collect();
                @if !attempts.is_empty() { h3 { "Attempts" } ol.attempts { @for line in attempts { li { (line) } } } }
            }
        }
    };
    page(shell, name, Some(&format!("/events/jobs/{id}")), &content)
}

fn document_view(id: &str, name: &str, document: &Shown, job: &Value) -> Markup {
    let address = format!("/jobs/{id}/document");
    let link =
        html! { p { a href=(address) target="_blank" rel="noopener noreferrer" { "Open or save the document" } } };
    match document {
        Shown::Text(text) => {
            let (pieces, hint) = match verified_passages(&job["evidence"]) {
                Some(passages) => (
                    mark_passages(text, &passages),
                    "Marked: passages that contain a value of the result, as Docket checked.",
                ),
                None => (mark(text, &job["result"]), "Marked: passages that the result quotes word for word."),
            };
            let has_evidence = pieces.iter().any(|piece| piece.is_evidence);
            html! {
                @if has_evidence { p.hint { (hint) } }
                pre.document tabindex="0" aria-label="Text of the document" {
                    @for piece in pieces { @if piece.is_evidence { mark { (piece.text) } } @else { (piece.text) } }
                }
                (link)
            }
        }
        Shown::Image { url, .. } => html! { img.document src=(url) alt=(name); (link) },
        Shown::Link => link,
        Shown::Missing(reason) => html! { p.empty { (reason) } },
    }
}

/// A result of any schema: objects as lists of fields, everything else as text.
fn result_view(value: &Value) -> Markup {
    match value {
        Value::Object(fields) => html! {
            dl.result { @for (name, field) in fields { dt { (name) } dd { (result_view(field)) } } }
        },
        Value::Array(items) if items.is_empty() => html! { "–" },
        Value::Array(items) => html! { ul { @for item in items { li { (result_view(item)) } } } },
        Value::String(text) => html! { (text) },
        other => html! { (other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn document_and_result_are_text() {
        let attack = "<script>alert(1)</script>";
        let one = json!({
            "job_id": "j", "batch_id": "b", "status": "complete", "document": {"name": attack},
            "result": {"summary": attack, "<b>": [attack, {"deep": null}]},
        });
        let html = job(&Shell::default(), &one, &Shown::Text(format!("Dear Sir, {attack}")), None);
        assert!(!html.contains(attack) && !html.contains("<b>"), "{html}");
        assert!(html.contains("<mark>&lt;script&gt;alert(1)&lt;/script&gt;</mark>"), "{html}");
    }

    #[test]
    fn failed_job_has_the_texts_of_the_command_and_a_retry() {
        let one = json!({
            "job_id": "j", "status": "failed", "error": {"code": "document_encrypted", "message": "locked"},
            "attempts": [{"attempt": 1, "ended_at": "2026-11-22T10:00:00Z", "end": "failed"}],
        });
        let shell = Shell { place: String::new(), is_writable: true };
        let html = job(&shell, &one, &Shown::Missing("gone".into()), None);
        for (name, value) in facts(&one, None) {
            let value = html! { (value) }.into_string();
            assert!(html.contains(&format!("<dt>{name}</dt><dd>{value}</dd>")), "{name}: {value}\n{html}");
        }
        assert!(html.contains("Remove the password.") && html.contains("attempt 1  failed"), "{html}");
        assert!(html.contains("action=\"/jobs/j/retry\""), "{html}");
        assert!(!job(&Shell::default(), &one, &Shown::Link, None).contains("<form"));
    }

    #[test]
    fn link_of_a_document_gives_no_access_to_the_page() {
        let html = job(&Shell::default(), &json!({"job_id": "j"}), &Shown::Link, None);
        assert!(html.contains("href=\"/jobs/j/document\" target=\"_blank\" rel=\"noopener noreferrer\""), "{html}");
    }
}
