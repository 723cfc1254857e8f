//! The frame of every page.

use maud::{DOCTYPE, Markup, html};

/// The facts of a run that the frame shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shell {
    /// The stack and its region.
    pub place: String,
    /// Whether actions are allowed.
    pub is_writable: bool,
}

/// A whole page. `live` is the address of the events after which the page is read again.
pub fn page(shell: &Shell, title: &str, live: Option<&str>, content: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body data-live=[live] {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "Docket" }
                    span.place { (shell.place) }
                    @if !shell.is_writable { span.badge { "read-only: start with --write for actions" } }
                }
                main #main tabindex="-1" { (content) }
            }
        }
    };
    markup.into_string()
}

/// A page with the reason of a refusal or a failure.
pub fn failure_page(reason: &str) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            (head("Error"))
            body {
                header { a.brand href="/" { "Docket" } }
                main { h1 { "This did not work" } p.error role="alert" { (reason) } p { a href="/" { "All batches" } } }
            }
        }
    };
    markup.into_string()
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Docket" }
            link rel="stylesheet" href="/page.css";
            link rel="icon" href="/icon.svg";
            script src="/page.js" defer {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_escaped() {
        let text = "<script>alert(1)</script>\"'";
        let shell = Shell { place: text.to_owned(), is_writable: false };
        for page in [page(&shell, text, Some(text), &html! { p { (text) } }), failure_page(text)] {
            assert!(!page.contains("<script>alert"), "{page}");
            assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
        }
    }
}
