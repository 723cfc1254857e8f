//! Pictures as inline SVG. A text next to each picture has the same numbers.

use maud::{Markup, html};

use super::parts::number;
use crate::batch::Batch;

/// The statuses of a bar, in their order.
const STATUSES: [&str; 5] = ["complete", "failed", "cancelled", "processing", "pending"];
/// Width of every bar in units of its picture.
const WIDTH: f64 = 100.0;
/// Height of the tallest bar of confidences.
const HEIGHT: f64 = 80.0;

/// The counts of a batch as one bar, with the numbers below.
pub fn counts_bar(batch: &Batch) -> Markup {
    let total = batch.expected().max(1) as f64;
    let mut at = 0.0;
    let mut parts = Vec::new();
    for status in STATUSES {
        let width = batch.count(status) as f64 / total * WIDTH;
        if width > 0.0 {
            parts.push((status, at, width));
        }
        at += width;
    }
    let percent = 100 * batch.finished() / batch.expected().max(1);
    let counts: Vec<(&str, u64)> =
        STATUSES.iter().map(|status| (*status, batch.count(status))).filter(|(_, count)| *count > 0).collect();
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" role="img"
            aria-label={ (number(batch.finished())) " of " (number(batch.expected())) " jobs finished" } {
            rect.track width="100" height="8" {}
            @for (status, at, width) in parts {
                rect class=(status) x=(format!("{at:.2}")) width=(format!("{width:.2}")) height="8" {}
            }
        }
        p.counts {
            strong { (percent) "%" } " of " (number(batch.expected())) " jobs"
            @for (status, count) in counts { span class={ "swatch " (status) } { (number(count)) " " (status) } }
        }
    }
}

/// Counts by a name, each with a bar and a link.
pub fn ranking(caption: &str, class: &str, counts: &[(String, String, u64)]) -> Markup {
    let most = counts.iter().map(|(.., count)| *count).max().unwrap_or(0).max(1) as f64;
    html! {
        table.ranking {
            caption { (caption) }
            tbody {
                @for (name, address, count) in counts {
                    tr {
                        th scope="row" { a href=(address) { (name) } }
                        td.picture {
                            svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
                                rect class=(class) width=(format!("{:.2}", *count as f64 / most * WIDTH)) height="8" {}
                            }
                        }
                        td.number { (number(*count)) }
                    }
                }
            }
        }
    }
}

/// The distribution of confidences as columns.
pub fn histogram(bins: &[u64]) -> Markup {
    let most = bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let step = 200.0 / bins.len() as f64;
    let total: u64 = bins.iter().sum();
    let high: u64 = bins.iter().skip(bins.len() - bins.len() / 5).sum();
    let label = format!("Confidence of {total} results; {high} have 0.8 or more");
    html! {
        figure.histogram {
            figcaption { "Confidence" }
            svg viewBox="0 0 200 110" role="img" aria-label=(label) {
                @for (index, count) in bins.iter().enumerate() {
                    @let height = *count as f64 / most * HEIGHT;
                    @let left = index as f64 * step;
                    rect.confidence x=(format!("{:.1}", left + 1.0)) y=(format!("{:.1}", 12.0 + HEIGHT - height))
                        width=(format!("{:.1}", step - 2.0)) height=(format!("{height:.1}")) {}
                    @if *count > 0 {
                        text x=(format!("{:.1}", left + step / 2.0)) y=(format!("{:.1}", 10.0 + HEIGHT - height)) { (count) }
                    }
                }
                line x1="0" x2="200" y1="92.5" y2="92.5" {}
                text x="6" y="105" { "0" }
                text x="100" y="105" { "0.5" }
                text x="194" y="105" { "1" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bar_has_the_share_of_each_status() {
        let counts = json!({"total": 8, "complete": 4, "failed": 2, "pending": 2});
        let svg = counts_bar(&Batch::new(json!({"request_counts": counts}), None)).into_string();
        for part in [
            "aria-label=\"6 of 8 jobs finished\"",
            "<rect class=\"complete\" x=\"0.00\" width=\"50.00\"",
            "<rect class=\"failed\" x=\"50.00\" width=\"25.00\"",
            "<rect class=\"pending\" x=\"75.00\" width=\"25.00\"",
            "75%",
        ] {
            assert!(svg.contains(part), "{part}\n{svg}");
        }
    }

    #[test]
    fn histogram_scales_to_the_largest_count() {
        let svg = histogram(&[0, 0, 0, 0, 0, 0, 0, 0, 5, 10]).into_string();
        assert!(svg.contains("height=\"80.0\"") && svg.contains("height=\"40.0\""), "{svg}");
        assert!(svg.contains("15 results; 15 have 0.8 or more"), "{svg}");
    }

    #[test]
    fn ranking_escapes_names() {
        let counts = [("<b>".to_owned(), "/x?label=%3Cb%3E".to_owned(), 3)];
        let table = ranking("Labels", "label", &counts).into_string();
        assert!(table.contains("&lt;b&gt;") && !table.contains("<b>"), "{table}");
    }
}
