//! `docket ui` in use, without a browser: the real binary, with a small API behind it.

mod support;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::page::{CREDENTIALS, Page};
use crate::support::run_docket;

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
    test_support::eventually("the retry", async || (page.count_calls("/batches/b/retry") == 1).then_some(())).await;
    let ended = async || page.get("/batches/b", &cookie).await.body.contains("1 of 1 jobs retried").then_some(());
    test_support::eventually("the end of the retry", ended).await;
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
