//! The batches.

use maud::{Markup, html};

use super::layout::{Shell, page};
use super::parts::{button, number, time};
use super::pictures::counts_bar;
use crate::batch::Batch;
use crate::plan::format_duration;

/// The list of batches, newest first. `next` is the address of the next page.
pub fn batches(shell: &Shell, batches: &[Batch], next: Option<&str>, live: &str) -> String {
    let content = html! {
        h1 { "Batches" }
        @if shell.is_writable { (new_batch(batches.is_empty())) }
        div #batches data-region="" {
            @if batches.is_empty() {
                p.empty {
                    "There is no batch yet. "
                    @if shell.is_writable { "Drop a folder above, or run " } @else { "Run " }
                    code { "docket submit ./folder --batch NAME" } "."
                }
            }
            ul.batches {
                @for batch in batches { li { (card(shell, batch)) } }
            }
        }
        @if let Some(next) = next { p { a href=(next) { "Older batches" } } }
    };
    page(shell, "Batches", Some(live), &content)
}

fn card(shell: &Shell, batch: &Batch) -> Markup {
    let id = batch.json["batch_id"].as_str().unwrap_or_default();
    html! {
        article.card {
            h2 { a href={ "/batches/" (id) } { (id) } }
            (summary(batch))
            @if shell.is_writable { div.actions { (pause_button(batch)) } }
        }
    }
}

/// The counts, the rate, the tokens and the cost of a batch, and why it waits.
pub fn summary(batch: &Batch) -> Markup {
    let tokens = |name: &str| number(batch.json["usage"][name].as_u64().unwrap_or(0));
    let rate = batch.json["jobs_per_minute"].as_f64().filter(|_| !batch.has_ended());
    let text = |name: &str| batch.json[name].as_str();
    html! {
        (counts_bar(batch))
        @if let Some(reason) = batch.waits_for() { p.waits role="status" { (reason) } }
        dl.facts {
            @if let Some(at) = text("cancelled_at") { (fact("Cancelled", time(at))) }
            @if let Some(rate) = rate { (fact("Rate", html! { (format!("{rate:.1}")) " per minute" })) }
            @if let Some(seconds) = batch.remaining_seconds().filter(|_| !batch.has_ended()) {
                (fact("Done in about", html! { (format_duration(seconds)) }))
            }
            @if let Some(at) = text("estimated_completion_at").filter(|_| !batch.has_ended()) {
                (fact("Estimated completion", time(at)))
            }
            @if let Some(at) = text("completed_at") { (fact("Completed", time(at))) }
            (fact("Tokens", html! { (tokens("input_tokens")) " in, " (tokens("output_tokens")) " out" }))
            @if let Some(cost) = batch.cost() { (fact("Cost", html! { (cost) })) }
            @if let Some(at) = text("created_at") { (fact("Created", time(at))) }
        }
    }
}

fn fact(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// The button that pauses or resumes a batch with unfinished jobs.
pub fn pause_button(batch: &Batch) -> Markup {
    let id = batch.json["batch_id"].as_str().unwrap_or_default();
    html! {
        @if batch.json["paused"].is_object() {
            (button(&format!("/batches/{id}/resume"), "Resume", "plain"))
        } @else if !batch.has_ended() {
            (button(&format!("/batches/{id}/pause"), "Pause", "plain"))
        }
    }
}

/// The form that makes a batch of a folder.
fn new_batch(is_open: bool) -> Markup {
    html! {
        details.card #new open[is_open] {
            summary { "New batch: drop a folder on this page, or open this form" }
            form #upload method="post" action="/batches" data-upload="" {
                div.fields {
                    label { "Batch" input name="batch" required maxlength="128" pattern="[A-Za-z0-9._:\\-]+"
                        placeholder="leases-2026" autocomplete="off" title="Letters, digits and . _ : -"; }
                    label { "Labels, separated by commas" input name="labels" placeholder="lease, letter, other" autocomplete="off"; }
                }
                details {
                    summary { "Instructions or a JSON Schema" }
                    div.fields {
                        label { "Instructions to the model" textarea name="instructions" rows="3" {} }
                        label { "JSON Schema of the result" textarea.code name="schema" rows="3" spellcheck="false" {} }
                    }
                }
                div.drop #drop {
                    p { "Drop a folder here, or choose one:" }
                    label.button { "Choose a folder" input #folder type="file" webkitdirectory multiple; }
                    label.button { "Choose files" input #files type="file" multiple; }
                }
                p #chosen role="status" { "No file is chosen." }
                progress #progress value="0" max="1" aria-label="Uploaded files" hidden {}
                ul #problems.problems {}
                button.primary #submit { "Upload" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn running() -> Batch {
        Batch::new(
            json!({
                "batch_id": "leases", "status": "in_progress", "created_at": "2026-11-22T10:00:00Z",
                "request_counts": {"total": 4, "complete": 1, "pending": 3}, "jobs_per_minute": 30.0,
                "usage": {"input_tokens": 1200, "output_tokens": 30}, "cost_usd": 1.5,
                "hold": {"model_id": "m", "reason": "<access> denied"},
            }),
            None,
        )
    }

    #[test]
    fn card_has_counts_rate_tokens_cost_and_hold() {
        let shell = Shell { place: "local AWS".into(), is_writable: true };
        let html = batches(&shell, &[running()], Some("/?cursor=1"), "/events/batches");
        for part in [
            "1,200 in, 30 out",
            "$1.50",
            "30.0 per minute",
            "m is on hold: &lt;access&gt; denied",
            "action=\"/batches/leases/pause\"",
            "href=\"/batches/leases\"",
            "href=\"/?cursor=1\"",
            "webkitdirectory",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }

    #[test]
    fn read_only_page_has_no_form() {
        let html = batches(&Shell::default(), &[running()], None, "/events/batches");
        assert!(!html.contains("<form"), "{html}");
        assert!(html.contains("read-only"), "{html}");
    }
}
