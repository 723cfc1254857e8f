//! How a browser receives a document: its name, its type, and whether it is shown.
//!
//! A document comes from anyone. A browser must neither run its scripts nor trust the type
//! that its uploader gave, so the name selects one of a few harmless types. A document of
//! any other name is saved as a file.

use std::fmt::Write;

/// The response headers of a document's download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The file name, without folders.
    pub name: String,
    /// The header `content-type`.
    pub content_type: &'static str,
    /// The header `content-disposition`.
    pub content_disposition: String,
}

/// The types that a browser shows, by the extension of the name. None of them runs scripts
/// with the rights of the page's origin.
const SHOWN: [(&str, &str); 11] = [
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/plain; charset=utf-8"),
    ("csv", "text/plain; charset=utf-8"),
    ("json", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
];

impl Download {
    /// The headers for a document with this name. A path is reduced to its last part.
    pub fn new(path: &str) -> Self {
        let name = path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or("document");
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let shown = SHOWN.iter().find(|(known, _)| Some(*known) == extension.as_deref());
        let (kind, content_type) = match shown {
            Some((_, content_type)) => ("inline", *content_type),
            None => ("attachment", "application/octet-stream"),
        };
        let disposition = format!("{kind}; filename=\"{}\"; filename*=UTF-8''{}", to_ascii(name), to_ext_value(name));
        Self { name: name.to_owned(), content_type, content_disposition: disposition }
    }
}

/// The name with `_` in place of every character that could end the quoted text or that
/// is not ASCII.
fn to_ascii(name: &str) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || " ._-()".contains(c);
    name.chars().map(|c| if is_kept(c) { c } else { '_' }).collect()
}

/// The name as an extended parameter value.
///
/// <https://www.rfc-editor.org/rfc/rfc8187#section-3.2>
fn to_ext_value(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disposition(path: &str) -> String {
        Download::new(path).content_disposition
    }

    #[test]
    fn only_harmless_types_are_shown() {
        for (path, content_type, kind) in [
            ("a.PDF", "application/pdf", "inline"),
            ("x/b.jpeg", "image/jpeg", "inline"),
            ("notes.md", "text/plain; charset=utf-8", "inline"),
            ("page.html", "application/octet-stream", "attachment"),
            ("picture.svg", "application/octet-stream", "attachment"),
            ("mail.eml", "application/octet-stream", "attachment"),
            ("pdf", "application/octet-stream", "attachment"),
            ("a.pdf.exe", "application/octet-stream", "attachment"),
        ] {
            let download = Download::new(path);
            assert_eq!(download.content_type, content_type, "{path}");
            assert!(download.content_disposition.starts_with(&format!("{kind}; ")), "{path}");
        }
    }

    #[test]
    fn name_cannot_end_or_extend_the_header() {
        assert_eq!(disposition("a/b c.pdf"), "inline; filename=\"b c.pdf\"; filename*=UTF-8''b%20c.pdf");
        assert_eq!(
            disposition("x\"; filename=\"y.html\r\nset-cookie: z.pdf"),
            "inline; filename=\"x__ filename__y.html__set-cookie_ z.pdf\"; \
             filename*=UTF-8''x%22%3B%20filename%3D%22y.html%0D%0Aset-cookie%3A%20z.pdf"
        );
        assert_eq!(disposition("über.txt"), "inline; filename=\"_ber.txt\"; filename*=UTF-8''%C3%BCber.txt");
        assert_eq!(Download::new("folder/").name, "document");
    }
}
