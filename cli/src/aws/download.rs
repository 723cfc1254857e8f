//! Downloads by presigned URL.

use std::time::Duration;

use aws_sdk_sqs::config::http::HttpRequest;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use super::api::ApiError;
use super::error::join_causes;
use super::http::api_connector;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads an object of at most `max_bytes` by its presigned URL. The request has no credentials
/// of the caller.
///
/// # Errors
/// The object does not arrive, or is larger.
pub async fn download(url: &str, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let describe = |error: &(dyn std::error::Error + 'static)| ApiError::Request(join_causes(error));
    let exchange = async {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(url).map_err(|error| describe(&error))?;
        let response = api_connector().call(request).await.map_err(|error| describe(&error))?;
        if !response.status().is_success() {
            return Err(ApiError::Request(format!("the bucket answered {}", response.status().as_u16())));
        }
        let (mut body, mut bytes) = (ByteStream::new(response.into_body()), Vec::new());
        while let Some(part) = body.try_next().await.map_err(|error| describe(&error))? {
            bytes.extend_from_slice(&part);
            if bytes.len() > max_bytes {
                return Err(ApiError::Request(format!("the document has more than {max_bytes} bytes")));
            }
        }
        Ok(bytes)
    };
    let too_late = |_| ApiError::Request(format!("no document within {} s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, exchange).await.map_err(too_late)?
}
