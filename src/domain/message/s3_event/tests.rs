//! Tests of the module above.

use super::*;

fn record(name: &str, key: &str, version: Option<&str>) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "b", "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::b"},
            "object": {"key": key, "size": 7, "eTag": "e", "versionId": version, "sequencer": "0055"},
        },
    })
}

fn body(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

fn upload(key: &str, version: Option<&str>) -> Upload {
    let body = body(&[record("ObjectCreated:Put", key, version)]);
    assert!(is_s3_event(&body));
    match parse(&body, "b").unwrap() {
        S3Event::Upload(upload) => upload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn url_encoded_key_is_decoded() {
    let key = |encoded: &str| upload(encoded, None).location.key;
    assert_eq!(key("uploads/my+lease+%282026%29.pdf"), "uploads/my lease (2026).pdf");
    assert_eq!(key("uploads/a%2Bb.txt"), "uploads/a+b.txt");
    assert_eq!(key("uploads/%C3%BCber/%E5%A5%91%E7%B4%84.txt"), "uploads/über/契約.txt");
    assert!(parse(&body(&[record("ObjectCreated:Put", "uploads/%FF.txt", None)]), "b").is_err());
}

#[test]
fn redelivered_s3_event_is_same_job_and_new_version_is_new_job() {
    let one = upload("uploads/a.txt", Some("v1"));
    assert_eq!(one, upload("uploads/a.txt", Some("v1")));
    assert_ne!(one.job_id, upload("uploads/a.txt", Some("v2")).job_id);
    assert_ne!(one.job_id, upload("uploads/b.txt", Some("v1")).job_id);
    assert_eq!(one.location.version_id.as_deref(), Some("v1"));
    assert_eq!(upload("uploads/a.txt", None).location.version_id, None);
}

#[test]
fn folder_with_any_name_is_a_batch() {
    let batch = |key: &str| upload(key, None).batch_id.map(String::from);
    assert_eq!(batch("uploads/a.txt"), None);
    assert_eq!(batch("uploads//a.txt"), None);
    assert_eq!(batch("elsewhere/x/a.txt"), None);
    assert_eq!(batch("uploads/leases-2026/north/a.txt").as_deref(), Some("leases-2026"));
    let (one, two) = (batch("uploads/my+leases/a.txt").unwrap(), batch("uploads/my%2Fleases/a.txt").unwrap());
    assert!(one.starts_with("my-leases-"), "{one}");
    assert_eq!(two, "my", "an encoded slash is a slash in a key");
    assert_ne!(one, batch("uploads/my%3Fleases/a.txt").unwrap());
    assert!(batch(&format!("uploads/{}/a", "x".repeat(500))).unwrap().len() <= ID_MAX_BYTES);
}

#[test]
fn presigned_upload_has_job_id_of_its_key() {
    assert_eq!(upload("incoming/j-1/a+b.pdf", Some("v")).job_id.as_str(), "j-1");
    assert_eq!(upload("incoming-high/j-2/a.pdf", None).job_id.as_str(), "j-2");
    assert!(upload("incoming/no+id/a.pdf", None).job_id.as_str().starts_with("s3-"));
}

#[test]
fn key_of_another_bucket_reserves_no_job_id() {
    for key in ["incoming/j-1/a.pdf", "incoming-high/j-1/a.pdf", "submitted/leases/file-1/a.pdf"] {
        let body = body(&[record("ObjectCreated:Put", key, Some("v"))]);
        let parsed = |own_bucket| match parse(&body, own_bucket).unwrap() {
            S3Event::Upload(upload) => upload,
            other => panic!("{other:?}"),
        };
        assert!(["j-1", "file-1"].contains(&parsed("b").job_id.as_str()), "{key}");
        let foreign = parsed("another");
        assert!(foreign.job_id.as_str().starts_with("s3-"), "{key}");
        assert_eq!((foreign.batch_id, foreign.priority), (None, None), "{key}");
    }
}

#[test]
fn submitted_document_has_job_batch_and_priority_of_its_key() {
    let one = upload("submitted/leases/file-1/north/a+b.pdf", Some("v"));
    assert_eq!((one.job_id.as_str(), one.priority), ("file-1", Some(Priority::Normal)));
    assert_eq!(one.batch_id.map(String::from).as_deref(), Some("leases"));
    assert_eq!(uploaded_name(&one.location.key), Some("north/a b.pdf"));
    assert_eq!(upload("submitted-high/leases/file-1/a.pdf", None).priority, Some(Priority::High));
    let other = upload("submitted/no+batch/file-1/a.pdf", None);
    assert!(other.batch_id.is_none() && other.job_id.as_str().starts_with("s3-"));
}

#[test]
fn incoming_key_contains_job_id_and_name() {
    let id: JobId = "j".parse().unwrap();
    for priority in [Priority::Normal, Priority::High] {
        let key = incoming_key(&id, priority, "a b.pdf");
        assert_eq!(presigned_job_id(&key), Some(id.clone()));
        assert_eq!(uploaded_name(&key), Some("a b.pdf"));
    }
    assert_eq!(uploaded_name("uploads/x/a.pdf"), Some("x/a.pdf"));
    assert_eq!(uploaded_name("documents/j/h.txt"), None);
}

#[test]
fn s3_event_without_new_object_is_ignored() {
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-01T00:00:00.000Z","Bucket":"b"}"#;
    assert!(is_s3_event(test));
    assert_eq!(parse(test, "b").unwrap(), S3Event::Nothing);
    assert_eq!(parse(&body(&[]), "b").unwrap(), S3Event::Nothing);
    for (name, key) in [
        ("ObjectRemoved:DeleteMarkerCreated", "uploads/a.txt"),
        ("ObjectRemoved:Delete", "uploads/a.txt"),
        ("ObjectCreated:Put", "uploads/folder/"),
    ] {
        assert_eq!(parse(&body(&[record(name, key, None)]), "b").unwrap(), S3Event::Nothing);
    }
}

#[test]
fn s3_event_with_several_records_is_split() {
    let (one, two) = (record("ObjectCreated:Put", "a", None), record("ObjectCreated:Copy", "b", None));
    let S3Event::Several(bodies) = parse(&body(&[one.clone(), two]), "b").unwrap() else { panic!("several") };
    assert_eq!(bodies.len(), 2);
    assert_eq!(parse(&bodies[0], "b").unwrap(), parse(&body(&[one]), "b").unwrap());
}

#[test]
fn malformed_s3_event_error_contains_no_value() {
    for broken in [json!({"SECRET": 1}), json!("SECRET"), json!({"eventName": "ObjectCreated:Put", "s3": "SECRET"})] {
        let error = parse(&body(&[broken]), "b").expect_err("malformed").to_string();
        assert!(!error.contains("SECRET"), "{error}");
    }
    assert!(!is_s3_event(r#"{"job_id": "a", "document": "x", "Records": []}"#));
    assert!(!is_s3_event(r#"{"job_id": "a", "document": "\"Records\""}"#));
    assert!(!is_s3_event("\"Records\""));
}
