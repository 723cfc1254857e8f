//! The client of the stack's HTTP API. Every request is signed with AWS Signature Version 4.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::config::http::HttpRequest;
use aws_sdk_sqs::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

use super::connect::Connection;
use super::error::join_causes;
use super::http::api_connector;

/// The service in the signature.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html>
const SERVICE: &str = "execute-api";
/// API Gateway itself ends a request after 29 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
/// Attempts of one request. Every request of the command line may be repeated.
const ATTEMPTS: u32 = 5;
/// Delay before the second attempt; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(300);
/// API Gateway's reasons for credentials that it does not accept.
const CREDENTIALS_REASONS: [&str; 2] = ["EXPIRED_TOKEN", "INVALID_SIGNATURE"];
/// The header with the cursor of the next page.
const NEXT_CURSOR: &str = "next-cursor";
/// Credentials are renewed this long before they expire.
const EXPIRY_MARGIN: Duration = Duration::from_secs(300);

/// The client of one stack's API.
pub struct Api {
    base: String,
    region: String,
    connector: Connector,
    provider: Option<SharedCredentialsProvider>,
    cached: Mutex<Option<Credentials>>,
}

/// A response of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The header `next-cursor`: the cursor of the next page.
    pub next_cursor: Option<String>,
}

impl Response {
    /// Whether API Gateway does not accept the credentials.
    ///
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>
    pub fn refuses_credentials(&self) -> bool {
        let reason = self.json()["reason"].as_str().map(str::to_owned).unwrap_or_default();
        self.status == 403 && CREDENTIALS_REASONS.contains(&reason.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Why a request has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No usable credentials.
    #[error("the credentials could not be read: {0}")]
    Credentials(String),
    /// The request could not be made or sent.
    #[error("{0}")]
    Request(String),
}

impl Api {
    /// A client for the API with this base URL, the stack's output `ApiUrl`.
    pub fn new(connection: &Connection, api_url: &str) -> Self {
        Self {
            base: api_url.trim_end_matches('/').to_owned(),
            region: connection.region().to_owned(),
            connector: api_connector(),
            provider: connection.sdk.credentials_provider(),
            cached: Mutex::default(),
        }
    }

    /// Sends a request. It is repeated while the API throttles, fails or does not answer.
    ///
    /// # Errors
    /// There is no response after the last attempt.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, ApiError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut delay = FIRST_DELAY;
        for _ in 1..ATTEMPTS {
            match self.send_once(method, path, &body).await {
                Ok(response) if response.status != 429 && response.status < 500 => return Ok(response),
                Err(ApiError::Credentials(message)) => return Err(ApiError::Credentials(message)),
                Ok(_) | Err(ApiError::Request(_)) => tokio::time::sleep(delay).await,
            }
            delay *= 2;
        }
        self.send_once(method, path, &body).await
    }

    async fn send_once(&self, method: &str, path: &str, body: &str) -> Result<Response, ApiError> {
        let request = self.signed_request(method, &format!("{}{path}", self.base), body).await?;
        let exchange = async {
            let response = self.connector.call(request).await.map_err(|error| describe(&error))?;
            let status = response.status().as_u16();
            let next_cursor = response.headers().get(NEXT_CURSOR).map(str::to_owned);
            let bytes = ByteStream::new(response.into_body()).collect().await.map_err(|error| describe(&error))?;
            Ok(Response { status, body: String::from_utf8_lossy(&bytes.into_bytes()).into_owned(), next_cursor })
        };
        let too_late = |_| ApiError::Request(format!("no response within {} s", REQUEST_TIMEOUT.as_secs()));
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.map_err(too_late)?
    }

    async fn signed_request(&self, method: &str, url: &str, body: &str) -> Result<HttpRequest, ApiError> {
        let invalid = |error: &(dyn std::error::Error + 'static)| describe(error);
        let identity = self.credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| invalid(&error))?
            .into();
        let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
        let signable = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()));
        let signature = sign(signable.map_err(|error| invalid(&error))?, &parameters);
        let (instructions, _) = signature.map_err(|error| invalid(&error))?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method).map_err(|error| invalid(&error))?;
        request.set_uri(url).map_err(|error| invalid(&error))?;
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }

    /// The credentials, renewed before they expire.
    async fn credentials(&self) -> Result<Credentials, ApiError> {
        let cached = self.cached.lock().expect("no holder panics").clone();
        let is_fresh = |credentials: &Credentials| {
            credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + EXPIRY_MARGIN)
        };
        if let Some(credentials) = cached.filter(is_fresh) {
            return Ok(credentials);
        }
        let provider = self.provider.as_ref().ok_or_else(|| ApiError::Credentials("none are configured".to_owned()))?;
        let renewed = provider.provide_credentials().await;
        let renewed = renewed.map_err(|error| ApiError::Credentials(join_causes(&error)))?;
        *self.cached.lock().expect("no holder panics") = Some(renewed.clone());
        Ok(renewed)
    }
}

fn describe(error: &(dyn std::error::Error + 'static)) -> ApiError {
    ApiError::Request(join_causes(error))
}
