//! An HTTP server between a function and a service: it answers a request itself, changes
//! it, forwards it, or closes the connection without a response.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// A request with its complete body.
pub type Request = hyper::Request<Bytes>;

/// A response with its complete body.
pub type Response = hyper::Response<Bytes>;

/// Serves requests on a free port, and returns the address, such as
/// `http://127.0.0.1:1234`. A handler that returns `None` closes the connection.
pub async fn serve<F>(handle: impl Fn(Request) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = Option<Response>> + Send,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let handle = Arc::new(handle);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let handle = handle.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
                    let handle = handle.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map_err(|_| "the request is incomplete")?.to_bytes();
                        let response = handle(Request::from_parts(head, body)).await;
                        response.map(|response| response.map(Full::new)).ok_or("no response")
                    }
                });
                // An error of the service closes the connection.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    format!("http://{address}")
}

/// Forwards requests. Clones share their connections.
#[derive(Clone)]
pub struct Forwarder(Client<HttpConnector, Full<Bytes>>);

impl Default for Forwarder {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Forwarder {
    /// Sends a request to the service at `base`. `None` if no complete response comes.
    pub async fn forward(&self, base: &str, request: Request) -> Option<Response> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut forwarded = hyper::Request::builder().method(head.method).uri(format!("{base}{path}"));
        for (name, value) in
            head.headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        {
            forwarded = forwarded.header(name, value);
        }
        let response = self.0.request(forwarded.body(Full::new(body)).expect("a valid request")).await.ok()?;
        let (mut head, body) = response.into_parts();
        // The server sets the length of the body that it sends.
        head.headers.remove("content-length");
        head.headers.remove("transfer-encoding");
        Some(Response::from_parts(head, body.collect().await.ok()?.to_bytes()))
    }
}
