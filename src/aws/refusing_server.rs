//! A server for tests that records the requests of a client and rejects all of them.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::config::{Credentials, SharedCredentialsProvider};
use axum::body::Bytes;
use axum::http::header::DATE;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::task::JoinHandle;

use super::{AwsConfig, sdk_config};

/// The wrong date in every response.
const RESPONSE_DATE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

/// One received request.
pub struct Received {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The server ends when it is dropped.
pub struct RefusingServer {
    pub url: String,
    /// The settings of clients for this server, with the SDK's credentials for tests.
    pub config: SdkConfig,
    received: Receiver<Received>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl RefusingServer {
    pub async fn start() -> Self {
        let (sender, received) = channel();
        let reject = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            sender.send(Received { uri, headers, body }).expect("the test holds the receiver");
            (StatusCode::BAD_REQUEST, [(DATE, RESPONSE_DATE)])
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let serving = tokio::spawn(axum::serve(listener, axum::Router::new().fallback(reject)).into_future());
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

    /// The received request; a second one fails the test.
    pub fn only_request(&self) -> Received {
        let request = self.next_request();
        assert!(self.received.try_recv().is_err(), "the client sent a second request");
        request
    }

    /// The next received request, in the order of arrival.
    pub fn next_request(&self) -> Received {
        self.received.try_recv().expect("the client sent a request")
    }
}

impl Drop for RefusingServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
