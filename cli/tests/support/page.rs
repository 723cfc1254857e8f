//! A running `docket ui` with a small API behind it, and requests with exact headers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Running, serve};

/// The credentials of the page.
pub const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLEOFTHETEST"),
    ("AWS_SECRET_ACCESS_KEY", "secretexampleofthetest"),
    ("AWS_REGION", "us-east-1"),
];
/// Text that a browser would execute as HTML.
pub const ATTACK: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>";

/// A served page, and the requests that reached the API.
pub struct Page {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The token of the printed address.
    pub token: String,
    calls: Arc<Mutex<Vec<String>>>,
    /// The process.
    pub running: Running,
}

/// A response: status, headers in lower case, and body.
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Page {
    /// Starts `docket ui` with further arguments.
    pub async fn start(arguments: &[&str]) -> Self {
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = calls.clone();
        let api = serve(move |path, _| {
            seen.lock().unwrap().push(path.to_owned());
            answer(path)
        })
        .await;
        let mut running = Running::start(&[&["ui", "--port", "0", "--api", &api], arguments].concat(), &CREDENTIALS);
        let line = running.read_line();
        let (address, token) = line.trim().split_once("/open?token=").expect("the address of the page");
        let port = address.strip_prefix("http://127.0.0.1:").expect("loopback").parse().expect("a port");
        Self { port, token: token.to_owned(), calls, running }
    }

    /// The `Host` that a browser sends.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends a request with exactly these headers.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the page answers");
        let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.expect("the request is sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("a response");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Reply { status, headers, body: body.to_owned() }
    }

    /// Opens the printed address, and returns the cookie.
    pub async fn open(&self) -> String {
        let host = self.host();
        let reply = self.send("GET", &format!("/open?token={}", self.token), &[("host", &host)], "").await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let cookie = &reply.headers["set-cookie"];
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    /// Reads a page as a browser does, without the headers of fetch metadata.
    pub async fn get(&self, target: &str, cookie: &str) -> Reply {
        self.send("GET", target, &[("host", &self.host()), ("cookie", cookie)], "").await
    }

    /// Sends a write as the page's own form does.
    pub async fn post(&self, target: &str, cookie: &str, body: &str) -> Reply {
        let (host, origin) = (self.host(), format!("http://{}", self.host()));
        let headers = [
            ("host", host.as_str()),
            ("origin", &origin),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", cookie),
        ];
        self.send("POST", target, &headers, body).await
    }

    /// The requests that reached the API and have this part in their path.
    pub fn count_calls(&self, part: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|path| path.contains(part)).count()
    }
}

/// The small API: a batch `b` with one complete and one failed job.
fn answer(path: &str) -> Answer {
    let counts = json!({"total": 2, "pending": 0, "processing": 0, "complete": 1, "failed": 1, "cancelled": 0});
    let usage = json!({"input_tokens": 7, "output_tokens": 3});
    let batch = json!({
        "batch_id": "b", "status": "complete", "request_counts": counts, "usage": usage,
        "created_at": "2026-11-22T10:00:00Z",
    });
    let result = json!({"summary": ATTACK, "classification": {"label": ATTACK, "confidence": 0.9}});
    let complete = json!({
        "job_id": "one", "batch_id": "b", "status": "complete", "document": {"name": ATTACK}, "result": result,
    });
    let failed = json!({
        "job_id": "two", "batch_id": "b", "status": "failed", "document": {"name": "=two.txt"},
        "error": {"code": "document_empty", "message": ATTACK},
    });
    let list = |data: Value| json!({"data": data, "has_more": false}).to_string();
    match path {
        "/batches" => (200, "", list(json!([{"batch_id": "b"}]))),
        "/batches/b" | "/batches/b/pause" => (200, "", batch.to_string()),
        "/batches/b/jobs" => (200, "", list(json!([failed]))),
        "/batches/b/results" => (200, "", format!("{complete}\n{failed}\n")),
        "/jobs/one" => (200, "", complete.to_string()),
        "/jobs/two" => (200, "", failed.to_string()),
        "/batches/b/retry" => {
            let body = json!({"batch_id": "b", "retried": 1, "not_retried": [], "continues": false});
            (202, "", body.to_string())
        }
        "/jobs/two/retry" => (202, "", json!({"job_id": "two", "status": "pending"}).to_string()),
        "/jobs/image/document" => {
            let place = json!({"content_type": "image/png", "size_bytes": 5, "name": "a.png", "url": "https://bucket.example/a.png?X=1"});
            (200, "", place.to_string())
        }
        "/jobs/image" => (200, "", json!({"job_id": "image", "status": "pending"}).to_string()),
        _ => (404, "", json!({"detail": "nothing has this id"}).to_string()),
    }
}
