//! `docket ui` under attack: the real binary, with a small API behind it. Each protection of a
//! loopback page that holds credentials has a test that attacks it.

mod support;

use crate::support::page::{CREDENTIALS, Page};

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
        (Some("null"), Some("cross-site")),
        (Some("null"), None),
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
            ("referrer-policy", "no-referrer"),
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
