//! The document and image formats that Converse accepts.

/// A text format that Converse accepts in a document block.
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

/// A file format that Converse accepts in a document block.
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

/// An image format that Converse accepts in an image block.
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
    /// Detects the format from the extension of a file name or an object key. Text that
    /// begins with an HTML tag is HTML, unless its extension is of Markdown or CSV.
    pub(super) fn detect(name: Option<&str>, text: &str) -> Self {
        let extension = name.and_then(|name| name.rsplit_once('.')).map(|(_, text)| text.to_ascii_lowercase());
        match extension.as_deref() {
            Some("md" | "markdown") => Self::Md,
            Some("csv") => Self::Csv,
            Some("html" | "htm" | "xhtml") => Self::Html,
            _ if begins_as_html(text) => Self::Html,
            _ => Self::Txt,
        }
    }
}

/// Whether a text begins with an HTML tag, after comments and a declaration of XML.
fn begins_as_html(text: &str) -> bool {
    let mut text = text.trim_start();
    loop {
        let end = match text {
            _ if text.starts_with("<?xml") => "?>",
            _ if text.starts_with("<!--") => "-->",
            _ => break,
        };
        let Some((_, after)) = text.split_once(end) else { return false };
        text = after.trim_start();
    }
    ["<!doctype html", "<html"].iter().any(|tag| {
        let after = text.get(tag.len()..).and_then(|rest| rest.chars().next());
        text.get(..tag.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(tag))
            && after.is_none_or(|c| c.is_whitespace() || c == '>')
    })
}
