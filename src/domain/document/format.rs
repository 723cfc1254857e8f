//! The formats that Converse takes.

/// A text format that Converse's document block takes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TextFormat {
    Txt,
    Md,
    Html,
    Csv,
}

/// A file format that Converse's document block takes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FileFormat {
    Pdf,
    Doc,
    Docx,
    Xls,
    Xlsx,
}

/// A format that Converse's image block takes.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ImageFormat {
    Png,
    Jpeg,
    Gif,
    Webp,
}

impl TextFormat {
    /// By the ending of a name, and HTML by its beginning too.
    pub(super) fn of(name: Option<&str>, text: &str) -> Self {
        let ending = name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase());
        match ending.as_deref() {
            Some("md" | "markdown") => Self::Md,
            Some("csv") => Self::Csv,
            Some("html" | "htm" | "xhtml") => Self::Html,
            _ if begins_as_html(text) => Self::Html,
            _ => Self::Txt,
        }
    }
}

fn begins_as_html(text: &str) -> bool {
    let text = text.trim_start();
    ["<!doctype html", "<html"].iter().any(|tag| {
        let after = text.get(tag.len()..).and_then(|rest| rest.chars().next());
        text.get(..tag.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(tag))
            && after.is_none_or(|c| c.is_whitespace() || c == '>')
    })
}
