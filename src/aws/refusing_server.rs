//! A server for tests that shows what a client sent: it refuses every request.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::config::{Credentials, SharedCredentialsProvider};
use axum::body::Bytes;
use axum::http::header::DATE;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::task::JoinHandle;

use super::{AwsConfig, sdk_config};

/// A date that is not now.
const DATE_OF_ANSWERS: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

/// One request, as it came.
pub struct Received {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Ends when it is dropped.
pub struct RefusingServer {
    pub url: String,
    /// Of clients that come here, with the SDK's credentials for tests.
    pub config: SdkConfig,
    received: Receiver<Received>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl RefusingServer {
    pub async fn start() -> Self {
        let (told, received) = channel();
        let answer = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            told.send(Received { uri, headers, body }).expect("the test waits");
            (StatusCode::BAD_REQUEST, [(DATE, DATE_OF_ANSWERS)])
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let serving = tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        let config = sdk_config(AwsConfig {
            region: "us-east-1".to_owned(),
            endpoint_url: Some(url.clone()),
            endpoint_urls: HashMap::new(),
            use_fips: false,
            use_dual_stack: false,
        });
        let credentials = SharedCredentialsProvider::new(Credentials::for_tests());
        let config = config.into_builder().credentials_provider(credentials).build();
        Self { url, config, received, serving }
    }

    /// What came, of which there must be one.
    pub fn only_request(&self) -> Received {
        let request = self.next_request();
        assert!(self.received.try_recv().is_err(), "a second request came");
        request
    }

    /// What came, in its order.
    pub fn next_request(&self) -> Received {
        self.received.try_recv().expect("a request came")
    }
}

impl Drop for RefusingServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
