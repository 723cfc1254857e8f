//! Uploads on the deployed stack: S3 events of the bucket become jobs.

use std::io::{Cursor, Write};
use std::time::Duration;

use docket::domain::job::stored::State;
use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, file, unique};

/// One record of an S3 event, as S3 sends it for a created version of an object.
fn s3_record(bucket: &str, key: &str, version: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-11-22T10:00:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "uploads",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": key, "size": 7, "eTag": "e", "versionId": version, "sequencer": "0055AED6DCD90281E5"},
        },
    })
}

/// The jobs of a batch, as the API lists them.
fn list_jobs(stack: &Stack, batch_id: &str) -> Vec<Value> {
    let (status, page) = stack.ask("GET", &format!("/batches/{batch_id}/jobs?limit=500"), Value::Null);
    assert_eq!(status, 200, "{page}");
    page["data"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn folder_of_uploads_is_a_batch_and_each_version_a_job() {
    let stack = Stack::new().await;
    let batch = unique("folder");
    for name in ["my lease (2026)+.txt", "über/契約.txt", "%41.txt"] {
        stack.put(&format!("uploads/{batch}/{name}"), "Dear Sir, the rent is due.").await;
    }
    stack.put(&format!("uploads/{batch}/"), "").await;
    stack.wait_for_batch_end(&batch, 3).await;
    let mut names: Vec<String> =
        list_jobs(&stack, &batch).iter().map(|job| job["document"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let expected = ["%41.txt", "my lease (2026)+.txt", "über/契約.txt"].map(|name| format!("{batch}/{name}"));
    assert_eq!(names, expected);
    // Other bytes under the same key are another version, and another job.
    stack.put(&format!("uploads/{batch}/%41.txt"), "Dear Madam, the rent is paid.").await;
    let ended = stack.wait_for_batch_end(&batch, 4).await;
    assert_eq!(ended["status"], "complete");
    assert_eq!(ended["request_counts"]["complete"], 4);
    assert_eq!(stack.calls()["total"], 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn repeated_and_reordered_s3_events_make_one_call_a_version() {
    let stack = Stack::new().await;
    let bucket = stack.outputs["DocumentsBucketName"].clone();
    // S3 sends no events for this prefix, so the only events are those of this test.
    let key = |name: &str| format!("no-events/{}-{name}.txt", stack.outputs["JobsTableName"]);
    let (one, two) = (stack.put(&key("a"), "The first letter.").await, stack.put(&key("a"), "The second.").await);
    let other = stack.put(&key("b"), "Another letter.").await;
    let records = [
        s3_record(&bucket, &key("a"), &one),
        s3_record(&bucket, &key("a"), &two),
        s3_record(&bucket, &key("b"), &other),
    ];
    let combined = json!({"Records": records}).to_string();
    let single = |n: usize| json!({"Records": [records[n]]}).to_string();
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}).to_string();
    let mut deleted = records[0].clone();
    deleted["eventName"] = json!("ObjectRemoved:DeleteMarkerCreated");
    let deleted = json!({"Records": [deleted]}).to_string();
    stack.send(&[single(1), combined.clone(), test, single(0), deleted, combined, single(2)]).await;
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.calls()["total"], 3, "{}", stack.calls());
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn missing_or_unreadable_object_fails_with_its_reason() {
    let stack = Stack::new().await;
    let bucket = stack.outputs["DocumentsBucketName"].clone();
    let batch = unique("bad");
    let missing = json!({"Records": [s3_record(&bucket, &format!("uploads/{batch}/missing.txt"), "no-such-version")]});
    stack.send(&[missing.to_string()]).await;
    stack.put(&format!("uploads/{batch}/empty.txt"), "").await;
    stack.put(&format!("uploads/{batch}/noise.bin"), vec![0u8, 159, 146, 150, 0, 1, 2, 3, 255]).await;
    let ended = stack.wait_for_batch_end(&batch, 3).await;
    assert_eq!(ended["request_counts"]["failed"], 3);
    let reasons: Vec<String> = list_jobs(&stack, &batch)
        .iter()
        .map(|job| format!("{}: {}", job["document"]["name"].as_str().unwrap(), job["error"]["code"].as_str().unwrap()))
        .collect();
    assert!(reasons.contains(&format!("{batch}/missing.txt: document_not_found")), "{reasons:?}");
    assert!(reasons.contains(&format!("{batch}/empty.txt: document_empty")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.starts_with(&format!("{batch}/noise.bin: document_"))), "{reasons:?}");
    assert_eq!(stack.calls()["total"], 0);
    assert_eq!(stack.drain_dead_letters().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn presigned_upload_waits_for_its_document_and_accepts_one() {
    let stack = Stack::new().await;
    let id = unique("upload");
    let text = std::fs::read(file("events/documents/lease.txt")).unwrap();
    let request = json!({
        "filename": "my lease.txt", "size": text.len(), "job_id": id, "priority": "high",
        "analysis": {"labels": ["residential lease", "other"]}, "metadata": {"case": 7},
    });
    let (status, created) = stack.ask("POST", "/uploads", request.clone());
    assert_eq!((status, created["status"].as_str()), (201, Some("pending")), "{created}");
    assert_eq!(stack.status(&id).await, "pending");
    let headers = json!({"content-length": text.len().to_string(), "if-none-match": "*"});
    assert_eq!(created["upload"]["headers"], headers, "the signed headers and no others");
    assert_eq!(stack.ask("POST", "/uploads", request.clone()).0, 201, "a request may be repeated before the upload");
    let upload = |headers: &Value| {
        let mut put = ureq::put(created["upload"]["url"].as_str().unwrap());
        for (name, value) in headers.as_object().unwrap() {
            put = put.header(name, value.as_str().unwrap());
        }
        put.config().http_status_as_error(false).build().send(&text[..]).expect("the bucket answers").status().as_u16()
    };
    assert_eq!(upload(&created["upload"]["headers"]), 200);
    let job = eventually("the result", async || {
        let (_, job) = stack.ask("GET", &format!("/jobs/{id}"), Value::Null);
        (job["status"] == "complete").then_some(job)
    })
    .await;
    assert_eq!(job["document"]["name"], "my lease.txt");
    assert_eq!((&job["priority"], &job["metadata"]), (&json!("high"), &json!({"case": 7})));
    assert!(["residential lease", "other"].contains(&job["result"]["classification"]["label"].as_str().unwrap()));
    assert_eq!(stack.ask("POST", "/uploads", request).0, 409, "the document is already uploaded");
    assert_eq!(stack.calls()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn two_thousand_uploads_with_repeated_events_call_once_each() {
    const FILES: u64 = 2_000;
    let stack = Stack::new().await;
    let bucket = stack.outputs["DocumentsBucketName"].clone();
    let batch = unique("many");
    let s3 = aws_sdk_s3::Client::new(&stack.sdk);
    let mut highest = 0;
    for ten in (0..FILES).collect::<Vec<_>>().chunks(10) {
        let puts = ten.iter().map(|n| {
            let key = format!("uploads/{batch}/{n:04}.txt");
            let text = format!("Letter {n}. Dear Sir, the rent of unit {n} is due on the first. It is {n} crowns.");
            let put = s3.put_object().bucket(&bucket).key(&key).body(text.into_bytes().into()).send();
            async move { (key, put.await.expect("the bucket answers").version_id.unwrap_or_default()) }
        });
        let versions = futures_util::future::join_all(puts).await;
        // The test sends the event of one file in ten a second time.
        let (key, version) = &versions[3];
        stack.send(&[json!({"Records": [s3_record(&bucket, key, version)]}).to_string()]).await;
        if ten[0] % 200 == 0 {
            highest = highest.max(count_jobs(&stack, &batch));
            assert!(highest <= FILES);
        }
    }
    let mut counts = Value::Null;
    for _ in 0..600 {
        counts = stack.batch(&batch)["request_counts"].clone();
        let sum: u64 = ["pending", "processing", "complete", "failed", "cancelled"]
            .iter()
            .map(|name| counts[name].as_u64().unwrap())
            .sum();
        assert!(sum == counts["total"].as_u64().unwrap() && sum <= FILES, "{counts}");
        if counts["complete"] == FILES {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let exact = json!({"total": FILES, "pending": 0, "processing": 0, "complete": FILES, "failed": 0, "cancelled": 0});
    assert_eq!(counts, exact);
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.calls()["total"], FILES);
    let State::Complete(_) = stack.row(list_jobs(&stack, &batch)[0]["job_id"].as_str().unwrap()).await.unwrap().state
    else {
        panic!("the job is not complete")
    };
}

fn count_jobs(stack: &Stack, batch: &str) -> u64 {
    stack.batch(batch)["request_counts"]["total"].as_u64().unwrap_or(0)
}

/// A mail with one attachment, in base64.
fn mail(attachment: &str, base64: &str) -> String {
    format!(
        "From: ada@example.org\r\nTo: office@example.org\r\nSubject: lease\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThe tenant pays the rent.\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename={attachment}\r\n\r\n{base64}\r\n--b--\r\n"
    )
}

fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("an entry");
        writer.write_all(content.as_bytes()).expect("its content");
    }
    writer.finish().expect("a ZIP file").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn documents_in_mails_and_zip_files_become_jobs() {
    let stack = Stack::new().await;
    let batch = unique("inside");
    // The attachments: "A lease of unit 7." and "A letter."
    let inner = mail("letter.txt", "QSBsZXR0ZXIu");
    let folder = zip(&[("a/lease.txt", "Dear Sir, the rent is due."), ("../b.eml", &inner), ("__MACOSX/._a", "x")]);
    stack.put(&format!("uploads/{batch}/mail.eml"), mail("lease.txt", "QSBsZWFzZSBvZiB1bml0IDcu")).await;
    stack.put(&format!("uploads/{batch}/folder.zip"), folder).await;
    stack.put(&format!("uploads/{batch}/.DS_Store"), "x").await;
    let ended = stack.wait_for_batch_end(&batch, 7).await;
    assert_eq!((&ended["request_counts"]["complete"], &ended["request_counts"]["failed"]), (&json!(6), &json!(1)));
    let jobs = list_jobs(&stack, &batch);
    let mut names: Vec<&str> = jobs.iter().map(|job| job["document"]["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        ".DS_Store",
        "folder.zip",
        "folder.zip/a/lease.txt",
        "folder.zip/b.eml",
        "folder.zip/b.eml/letter.txt",
        "mail.eml",
        "mail.eml/lease.txt",
    ];
    assert_eq!(names, expected.map(|name| format!("{batch}/{name}")));
    // The ZIP file costs no call, and neither does litter.
    assert_eq!(stack.calls()["total"], 5, "{}", stack.calls());
    let find =
        |name: &str| jobs.iter().find(|job| job["document"]["name"] == format!("{batch}/{name}")).expect("a job");
    let folder = find("folder.zip")["job_id"].as_str().unwrap();
    assert_eq!(find("folder.zip/b.eml/letter.txt")["job_id"], format!("{folder}.2.1"));
    let (_, complete) = stack.ask("GET", &format!("/jobs/{folder}"), Value::Null);
    assert_eq!(complete["document"]["children"], 2, "{complete}");
    assert_eq!(complete["result"]["children"][1], json!({"job_id": format!("{folder}.2"), "name": "b.eml"}));
    let (_, failed) =
        stack.ask("GET", &format!("/jobs/{}", find(".DS_Store")["job_id"].as_str().unwrap()), Value::Null);
    assert_eq!(failed["error"]["code"], "document_litter", "{failed}");
    assert_eq!(stack.drain_dead_letters().await, 1);
}
