//! `docket ui` under attack: the real binary, with a small API behind it. Each protection of a
//! loopback page that holds credentials has a test that attacks it.

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Running, run_docket, serve};

const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLEOFTHETEST"),
    ("AWS_SECRET_ACCESS_KEY", "secretexampleofthetest"),
    ("AWS_REGION", "us-east-1"),
];
const ATTACK: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>";

/// A served page, and the requests that reached the API.
struct Page {
    port: u16,
    token: String,
    calls: Arc<Mutex<Vec<String>>>,
    running: Running,
}

/// A response: status, headers in lower case, and body.
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Page {
    async fn start(arguments: &[&str]) -> Self {
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
    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends a request with exactly these headers.
    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
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
    async fn open(&self) -> String {
        let host = self.host();
        let reply = self.send("GET", &format!("/open?token={}", self.token), &[("host", &host)], "").await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let cookie = &reply.headers["set-cookie"];
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    async fn get(&self, target: &str, cookie: &str) -> Reply {
        self.send("GET", target, &[("host", &self.host()), ("cookie", cookie)], "").await
    }

    /// Sends a write as the page's own form does.
    async fn post(&self, target: &str, cookie: &str, body: &str) -> Reply {
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

    fn count_calls(&self, part: &str) -> usize {
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
        "/jobs/two/retry" => (202, "", json!({"job_id": "two", "status": "pending"}).to_string()),
        "/jobs/image/document" => {
            let place = json!({"content_type": "image/png", "size_bytes": 5, "name": "a.png", "url": "https://bucket.example/a.png?X=1"});
            (200, "", place.to_string())
        }
        "/jobs/image" => (200, "", json!({"job_id": "image", "status": "pending"}).to_string()),
        _ => (404, "", json!({"detail": "nothing has this id"}).to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_is_bound_to_loopback_alone() {
    let page = Page::start(&[]).await;
    let hex = format!("0100007F:{:04X}", page.port);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let listening = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
    let addresses: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().filter(listening))
        .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .filter(|address| address.ends_with(&format!(":{:04X}", page.port)))
        .collect();
    // Other systems than Linux have no such table.
    assert!(addresses.is_empty() != std::path::Path::new("/proc/net/tcp").exists(), "{addresses:?}");
    assert!(addresses.iter().all(|address| *address == hex), "{addresses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rebound_host_name_reaches_no_route() {
    let page = Page::start(&["--write"]).await;
    let cookie = page.open().await;
    let port = page.port;
    let others = [format!("evil.example:{port}"), format!("127.0.0.1.evil.example:{port}"), "127.0.0.1:1".into()];
    for host in others {
        for path in ["/", "/page.css", "/batches/b", "/jobs/one", "/events/batches", "/open?token=x", "/none"] {
            let reply = page.send("GET", path, &[("host", &host), ("cookie", &cookie)], "").await;
            assert_eq!(reply.status, 421, "{host}{path}");
        }
        let origin = format!("http://{host}");
        let headers =
            [("host", host.as_str()), ("origin", &origin), ("sec-fetch-site", "same-origin"), ("cookie", &cookie)];
        assert_eq!(page.send("POST", "/batches/b/pause", &headers, "").await.status, 421);
    }
    assert_eq!(page.count_calls(""), 0, "no refused request reaches the API");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_opens_one_session_and_no_other() {
    let page = Page::start(&[]).await;
    let host = page.host();
    for path in
        ["/", "/page.css", "/page.js", "/batches/b", "/jobs/one", "/batches/b/export?format=csv", "/events/batches"]
    {
        assert_eq!(page.send("GET", path, &[("host", &host)], "").await.status, 403, "{path}");
        assert_eq!(page.get(path, &format!("docket-{}=guess", page.port)).await.status, 403, "{path}");
    }
    assert_eq!(page.send("GET", "/open?token=guess", &[("host", &host)], "").await.status, 403);
    let cookie = page.open().await;
    let again = page.send("GET", &format!("/open?token={}", page.token), &[("host", &host)], "").await;
    assert_eq!((again.status, again.headers.get("set-cookie")), (403, None));
    assert_eq!(page.get("/", &cookie).await.status, 200);
    assert_eq!(page.count_calls("/jobs"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_can_neither_read_nor_write() {
    let page = Page::start(&["--write"]).await;
    let (cookie, host) = (page.open().await, page.host());
    for site in ["cross-site", "same-site"] {
        for path in ["/", "/jobs/one", "/page.js", "/open?token=x"] {
            let headers = [("host", host.as_str()), ("cookie", &cookie), ("sec-fetch-site", site)];
            assert_eq!(page.send("GET", path, &headers, "").await.status, 403, "{site} {path}");
        }
    }
    let own = format!("http://{host}");
    let other_port = "http://127.0.0.1:1";
    for (origin, site) in [
        (None, None),
        (None, Some("same-origin")),
        (Some(own.as_str()), None),
        (Some(own.as_str()), Some("none")),
        (Some(own.as_str()), Some("cross-site")),
        (Some("null"), Some("same-origin")),
        (Some(other_port), Some("same-site")),
        (Some(other_port), Some("same-origin")),
        (Some("https://evil.example"), Some("same-origin")),
    ] {
        let mut headers = vec![("host", host.as_str()), ("cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        for path in
            ["/batches", "/batches/b/pause", "/batches/b/cancel", "/jobs/two/retry", "/batches/b/documents?path=a"]
        {
            assert_eq!(page.send("POST", path, &headers, "").await.status, 403, "{origin:?} {site:?} {path}");
        }
    }
    assert_eq!(page.count_calls(""), 0, "no refused request reaches the API");
    assert_eq!(page.post("/batches/b/pause", &cookie, "").await.status, 303);
    assert_eq!(page.count_calls("/pause"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_need_the_flag_and_the_method_post() {
    let page = Page::start(&[]).await;
    let cookie = page.open().await;
    for path in ["/batches", "/batches/b/pause", "/batches/b/cancel", "/jobs/two/retry", "/batches/b/documents?path=a"]
    {
        let reply = page.post(path, &cookie, "batch=b").await;
        assert_eq!(reply.status, 403, "{path}");
        assert!(reply.body.contains("--write"), "{}", reply.body);
    }
    assert!(!page.get("/batches/b", &cookie).await.body.contains("method=\"post\""));
    let writable = Page::start(&["--write"]).await;
    let cookie = writable.open().await;
    for path in ["/batches", "/batches/b/pause", "/jobs/two/retry", "/jobs/two/cancel", "/batches/b/documents?path=a"] {
        assert_eq!(writable.get(path, &cookie).await.status, 405, "{path}");
    }
    for path in ["/batches/b/cancel", "/batches/b/retry-jobs", "/batches/b/cancel-jobs"] {
        assert_eq!(writable.get(path, &cookie).await.status, 200, "{path}: the question");
    }
    for path in ["/retry", "/pause", "/cancel"] {
        assert_eq!(page.count_calls(path) + writable.count_calls(path), 0, "a read never writes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_the_headers_of_protection() {
    let page = Page::start(&[]).await;
    let cookie = page.open().await;
    for (target, cookie) in [
        ("/", &*cookie),
        ("/batches/b", &cookie),
        ("/jobs/one", &cookie),
        ("/page.js", &cookie),
        ("/", ""),
        ("/none", &cookie),
    ] {
        let reply = page.get(target, cookie).await;
        let policy = &reply.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("img-src 'self';"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.headers[name], value, "{target}");
        }
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
    }
    let image = page.get("/jobs/image", &cookie).await;
    let policy = &image.headers["content-security-policy"];
    assert!(policy.contains("img-src 'self' https://bucket.example;"), "{policy}");
    assert!(image.body.contains("<img class=\"document\" src=\"https://bucket.example/a.png?X=1\""), "{}", image.body);
    let link = page.get("/jobs/image/document", &cookie).await;
    assert_eq!((link.status, &*link.headers["location"]), (303, "https://bucket.example/a.png?X=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_escaped_and_credentials_stay_out() {
    let page = Page::start(&["--write"]).await;
    let cookie = page.open().await;
    for path in
        ["/", "/batches/b", "/batches/b?status=all", "/jobs/one", "/jobs/two", "/batches/b/retry-jobs", "/page.js"]
    {
        let reply = page.get(path, &cookie).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.body.contains("<script>") && !reply.body.contains("<img src=x"), "{path}: {}", reply.body);
        for (_, value) in &CREDENTIALS[..2] {
            assert!(!reply.body.contains(value), "{path} has a credential");
        }
    }
    let job = page.get("/jobs/two", &cookie).await.body;
    assert!(job.contains("Send the right document.") && job.contains("&lt;script&gt;"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn page_is_no_proxy_of_the_api() {
    let page = Page::start(&["--write"]).await;
    let cookie = page.open().await;
    for path in [
        "/batches/b/results",
        "/batches/b/jobs",
        "/jobs",
        "/uploads",
        "/jobs/..%2Fbatches",
        "/batches/b%2Fpause",
        "//evil.example/",
    ] {
        assert_eq!(page.get(path, &cookie).await.status, 404, "{path}");
        let posted = page.post(path, &cookie, "").await.status;
        assert!([404, 405].contains(&posted), "{path}: {posted}");
    }
    assert_eq!(
        page.send("CONNECT", "evil.example:443", &[("host", &page.host()), ("cookie", &cookie)], "").await.status,
        405
    );
    assert_eq!(page.count_calls(""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_hits_the_number_of_the_question() {
    let page = Page::start(&["--write"]).await;
    let cookie = page.open().await;
    let question = page.get("/batches/b/retry-jobs?error=document_empty", &cookie).await.body;
    assert!(question.contains("Retry 1 jobs of b?") && question.contains("name=\"count\" value=\"1\""), "{question}");
    let fewer = page.post("/batches/b/retry-jobs", &cookie, "error=document_empty&count=0").await;
    assert!(fewer.status == 200 && fewer.body.contains("changed from 0 to 1"), "{}", fewer.body);
    assert_eq!(page.count_calls("/retry"), 0, "more jobs than confirmed: the page asks again");
    let done = page.post("/batches/b/retry-jobs", &cookie, "error=document_empty&count=1").await;
    assert_eq!((done.status, &*done.headers["location"]), (303, "/batches/b?error=document_empty"));
    test_support::eventually("the retry", async || (page.count_calls("/jobs/two/retry") == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn export_has_the_files_of_the_results_command() {
    let page = Page::start(&[]).await;
    let cookie = page.open().await;
    let csv = page.get("/batches/b/export?format=csv", &cookie).await;
    assert_eq!(csv.headers["content-disposition"], "attachment; filename=\"b.csv\"");
    assert!(csv.body.contains("job_id,name,status,label,confidence,summary,"), "{}", csv.body);
    assert!(csv.body.contains("\r\none,") && !csv.body.contains("\r\ntwo,"), "{}", csv.body);
    let failures = page.get("/batches/b/export?format=csv&status=failed", &cookie).await.body;
    assert!(failures.contains("two,'=two.txt,failed,document_empty,"), "{failures}");
    let lines = page.get("/batches/b/export?format=jsonl", &cookie).await.body;
    assert!(lines.contains("\"job_id\":\"one\"") && !lines.contains("\"job_id\":\"two\""), "{lines}");
    assert_eq!(page.get("/batches/b/export?format=xlsx", &cookie).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_announce_a_change() {
    let page = Page::start(&[]).await;
    let cookie = page.open().await;
    let mut stream = TcpStream::connect(("127.0.0.1", page.port)).await.expect("the page answers");
    let request = format!("GET /events/batches/b HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\n\r\n", page.host());
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut text = String::new();
    while !text.contains("event: change") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await.expect("an event");
        assert!(count > 0, "the connection stays open: {text}");
        text += &String::from_utf8_lossy(&bytes[..count]);
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupt_ends_the_page_and_a_taken_port_fails() {
    let page = Page::start(&[]).await;
    let port = page.port.to_string();
    let taken = run_docket(&["ui", "--api", "http://127.0.0.1:1", "--port", &port], &CREDENTIALS).await;
    assert_eq!(taken.code, Some(1), "{}", taken.stderr);
    assert!(taken.stderr.contains("choose another port by --port"), "{}", taken.stderr);
    page.running.signal("INT");
    assert_eq!(page.running.finish().await.code, Some(0));
}
