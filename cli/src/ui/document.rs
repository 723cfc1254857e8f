//! The document of a job, by the presigned URL of `GET /jobs/{job_id}/document`.

use docket::domain::document::{Content, Document};
use docket::domain::ids::JobId;

use crate::aws::download::download;
use crate::client::Client;
use crate::error::CommandError;
use crate::jobs::read_document_url;

/// Bytes of the longest document that the page shows as text.
const TEXT_MAX_BYTES: u64 = 1_000_000;

/// How the page shows a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// As text.
    Text(String),
    /// As an image from the bucket.
    Image {
        /// The presigned URL.
        url: String,
        /// Its scheme and host.
        origin: String,
    },
    /// By a link that opens or saves it.
    Link,
    /// Not at all, with the reason.
    Missing(String),
}

/// Reads the document of a job as far as the page shows it.
pub(super) async fn read_document(client: &Client, job_id: &JobId) -> Result<Shown, CommandError> {
    let place = match read_document_url(client, job_id).await? {
        Ok(place) => place,
        Err(reason) => return Ok(Shown::Missing(reason)),
    };
    let kind = place["content_type"].as_str().unwrap_or_default();
    let url = place["url"].as_str().unwrap_or_default();
    let Some(origin) = origin_of(url) else {
        return Ok(Shown::Missing("the API returned no URL of the document".to_owned()));
    };
    if kind.starts_with("image/") {
        return Ok(Shown::Image { url: url.to_owned(), origin });
    }
    if kind == "application/pdf" || place["size_bytes"].as_u64().is_none_or(|size| size > TEXT_MAX_BYTES) {
        return Ok(Shown::Link);
    }
    let bytes = match download(url, TEXT_MAX_BYTES as usize).await {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Shown::Missing(error.to_string())),
    };
    // The bytes decide, as in the consumer.
    let document = Document::new(place["name"].as_str(), bytes).map(Document::into_content);
    Ok(match document {
        Ok(Content::Text { text, .. }) => Shown::Text(text),
        _ => Shown::Link,
    })
}

/// Scheme and host of a URL over HTTP; `None` for another text.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    (["http", "https"].contains(&scheme) && is_host).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_a_plain_host_over_http() {
        assert_eq!(origin_of("https://b.s3.amazonaws.com/k?X=1").as_deref(), Some("https://b.s3.amazonaws.com"));
        assert_eq!(origin_of("http://127.0.0.1:4566/b/k").as_deref(), Some("http://127.0.0.1:4566"));
        for url in ["javascript://x", "https://", "https://a;b/", "https://a *", "no"] {
            assert_eq!(origin_of(url), None, "{url}");
        }
    }
}
