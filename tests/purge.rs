//! A purge: no byte of a document is left in the bucket, the table, the queues or the logs.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::{Value, json};
use test_support::aws::{World, drain_messages, receive};
use test_support::function::Function;
use test_support::{api, eventually, unique};

/// Time of an invocation. The lease of its jobs ends 5 s later.
const TIME: Duration = Duration::from_secs(14);

/// The resources of a test, with a versioned bucket, and every function.
struct Purging {
    world: World,
    producer: Function,
    consumer: Function,
    purger: Function,
    /// A text that no other test has, and that every document of this test has.
    secret: String,
}

impl Purging {
    async fn new(more: &[(&str, &str)]) -> Self {
        let world = World::new().await;
        let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let s3 = aws_sdk_s3::Client::new(&world.sdk);
        let request = s3.put_bucket_versioning().bucket(&world.bucket).versioning_configuration(versions);
        request.send().await.expect("the bucket keeps versions");
        let (producer, consumer) = (world.producer().await, world.consumer_with(more).await);
        let purger = Function::start("purger", &world.environment()).await;
        Self { producer, consumer, purger, secret: unique("confidential"), world }
    }

    fn text(&self, topic: &str) -> String {
        format!("The {topic} of {} is due on the first of each month, in full.", self.secret)
    }

    /// Sends an API request; returns status and body.
    async fn ask(&self, method: &str, route: &str, id: &str, query: &[(&str, &str)], body: Value) -> (u64, Value) {
        api::ask(&self.producer, method, route, id, query, body).await
    }

    async fn submit(&self, body: Value) {
        let (status, answer) = self.ask("POST", "/jobs", "", &[], body).await;
        assert_eq!(status, 202, "{answer}");
    }

    async fn purge(&self, route: &str, id: &str) {
        let (status, answer) = self.ask("DELETE", route, id, &[("purge", "true")], Value::Null).await;
        assert_eq!((status, &answer["purge"]), (202, &json!("requested")), "{answer}");
    }

    async fn put(&self, key: &str, text: String) -> String {
        let body = ByteStream::from(text.into_bytes());
        let s3 = aws_sdk_s3::Client::new(&self.world.sdk);
        let stored = s3.put_object().bucket(&self.world.bucket).key(key).body(body).send().await;
        stored.expect("the object is stored").version_id.expect("a version")
    }

    fn s3_event(&self, key: &str, version: &str) -> String {
        let object = json!({"key": key, "size": 7, "versionId": version, "sequencer": "0055"});
        let s3 = json!({"bucket": {"name": self.world.bucket}, "object": object});
        json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]}).to_string()
    }

    /// Delivers the messages of a queue to a function, each once, and deletes those that the
    /// function acknowledges.
    async fn deliver(&self, queue: &str, function: &Function) {
        let sqs = aws_sdk_sqs::Client::new(&self.world.sdk);
        for record in receive(&self.world.sdk, queue, 60).await {
            let answer = function.invoke(json!({"Records": [record]}), TIME).await.expect("an answer");
            if answer["batchItemFailures"] == json!([]) {
                let receipt = record["receiptHandle"].as_str().expect("a receipt");
                sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await.expect("deleted");
            }
        }
    }

    /// Delivers purges until every job is purged.
    async fn run_purges(&self, job_ids: &[&str]) {
        eventually("the purges", async || {
            self.deliver(&self.world.purges, &self.purger).await;
            for job_id in job_ids {
                self.world.row(job_id).await?.purged_at?;
            }
            Some(())
        })
        .await;
    }

    /// The places that have the secret.
    async fn places_of_secret(&self) -> Vec<String> {
        let mut places = Vec::new();
        let mut note = |place: String, text: &str| {
            if text.contains(&self.secret) {
                places.push(place);
            }
        };
        let s3 = aws_sdk_s3::Client::new(&self.world.sdk);
        let listed = s3.list_object_versions().bucket(&self.world.bucket).send().await.expect("the bucket answers");
        for version in listed.versions() {
            let (key, id) = (version.key().expect("a key"), version.version_id().expect("a version"));
            note(format!("key {key}"), key);
            let object = s3.get_object().bucket(&self.world.bucket).key(key).version_id(id).send().await;
            let bytes = object.expect("the object").body.collect().await.expect("bytes").into_bytes();
            note(format!("object {key}"), &String::from_utf8_lossy(&bytes));
        }
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.world.sdk);
        let items = dynamodb.scan().table_name(&self.world.table).send().await.expect("the table answers");
        for item in items.items() {
            note(format!("item {:?}", item["job_id"]), &format!("{item:?}"));
        }
        for queue in [&self.world.queue, &self.world.dead_letters, &self.world.purges] {
            for message in drain_messages(&self.world.sdk, queue).await {
                note(format!("message of {queue}"), &format!("{message:?}"));
            }
        }
        places
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn purged_jobs_leave_no_byte_of_their_documents() {
    let test = Purging::new(&[("CHUNK_MAX_BYTES", "1000")]).await;
    let world = &test.world;
    let long = (0..60).map(|n| test.text(&format!("rent {n}"))).collect::<Vec<_>>().join("\n");
    test.submit(json!({"job_id": "api", "document": test.text("rent"), "metadata": {"client": test.secret}})).await;
    test.submit(json!({"job_id": "long", "document": long})).await;
    let key = format!("uploads/{}.txt", test.secret);
    let version = test.put(&key, test.text("deposit")).await;
    let upload = test.s3_event(&key, &version);
    world.send(&upload).await;
    // One label is too few, so the job fails, and its dead letter has the document.
    let failing =
        json!({"job_id": "inline", "document": test.text("fee"), "analysis": {"labels": ["one"]}}).to_string();
    world.send(&failing).await;
    while world.queued().await != (0, 0) {
        test.deliver(&world.queue, &test.consumer).await;
    }
    let uploaded = {
        let row = find_upload(world, &test.secret).await;
        assert_eq!(row.state.status().as_str(), "complete");
        row.job_id.to_string()
    };
    let ids = ["api", "long", "inline", &uploaded];
    assert_eq!((world.status("api").await, world.status("long").await), ("complete", "complete"));
    assert_eq!(world.status("inline").await, "failed");

    for id in ids {
        test.purge("/jobs/{job_id}", id).await;
    }
    test.run_purges(&ids).await;
    assert_eq!(test.places_of_secret().await, Vec::<String>::new());
    for id in ids {
        let (status, view) = test.ask("GET", "/jobs/{job_id}", id, &[], Value::Null).await;
        assert_eq!((status, &view["status"]), (200, &json!("cancelled")), "{view}");
        assert!(view["purged_at"].is_string() && view.get("result").is_none(), "{view}");
    }
    // A late message of a purged job has no effect; the failure of another job with its object names the purge.
    world.send(&upload).await;
    world.send(&failing).await;
    let at = json!({"bucket": world.bucket, "key": key, "version_id": version});
    world.send(&json!({"job_id": "sibling", "document_s3": at}).to_string()).await;
    let calls = world.model.calls()["total"].clone();
    while world.queued().await != (0, 0) {
        test.deliver(&world.queue, &test.consumer).await;
    }
    assert_eq!(world.model.calls()["total"], calls);
    let (_, sibling) = test.ask("GET", "/jobs/{job_id}", "sibling", &[], Value::Null).await;
    assert_eq!(sibling["error"]["code"], "document_purged", "{sibling}");
    let Purging { producer, consumer, purger, secret, .. } = test;
    for function in [producer, consumer, purger] {
        let log = function.output().await;
        assert!(log.contains("request_id") || log.contains("job_id"), "the function logs");
        assert!(!log.contains(&secret), "{log}");
    }
}

/// The job of the only upload.
async fn find_upload(world: &World, secret: &str) -> docket::domain::job::stored::StoredJob {
    let dynamodb = aws_sdk_dynamodb::Client::new(&world.sdk);
    let items = dynamodb.scan().table_name(&world.table).send().await.expect("the table answers");
    let is_upload = |item: &&HashMap<String, aws_sdk_dynamodb::types::AttributeValue>| {
        item["job_id"].as_s().is_ok_and(|id| id.starts_with("s3-")) && format!("{item:?}").contains(secret)
    };
    let item = items.items().iter().find(is_upload).expect("the job of the upload").clone();
    world.row(item["job_id"].as_s().expect("a text")).await.expect("a stored job")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn job_that_runs_during_its_purge_leaves_nothing() {
    let test = Purging::new(&[("CHUNK_MAX_BYTES", "1000")]).await;
    let world = &test.world;
    let long = (0..60).map(|n| test.text(&format!("rent {n}"))).collect::<Vec<_>>().join("\n");
    test.submit(json!({"job_id": "running", "document": long})).await;
    world.model.behave(json!({"latency_ms": 700}));
    let calls = async || world.model.calls_of("running") > 0;
    let running = test.deliver(&world.queue, &test.consumer);
    let purging = async {
        eventually("a call", async || calls().await.then_some(())).await;
        test.purge("/jobs/{job_id}", "running").await;
        test.deliver(&world.purges, &test.purger).await;
        assert_eq!(world.row("running").await.expect("a stored job").purged_at, None, "a worker still runs");
    };
    tokio::join!(running, purging);
    test.run_purges(&["running"]).await;
    assert_eq!(test.places_of_secret().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn purged_batch_leaves_no_byte_of_its_documents() {
    let test = Purging::new(&[]).await;
    let world = &test.world;
    let settings = json!({"batch_id": "case", "metadata": {"client": test.secret}});
    assert_eq!(test.ask("POST", "/batches", "", &[], settings).await.0, 201);
    for n in 0..3 {
        test.submit(json!({"job_id": format!("case-{n}"), "batch_id": "case", "document": test.text("rent")})).await;
    }
    test.submit(json!({"job_id": "other", "batch_id": "case-2", "document": "Another letter."})).await;
    // Files that no event named yet, of both priorities, and a file of results.
    let files = ["submitted/case/file-1/a.txt", "submitted-high/case/file-2/a.txt", "uploads/case/a.txt"];
    for key in files.into_iter().chain(["exports/case/1/output.jsonl"]) {
        test.put(key, test.text("file")).await;
        test.put(key, test.text("newer file")).await;
    }
    test.put("submitted/case-2/file-3/a.txt", "Another file.".to_owned()).await;
    test.deliver(&world.queue, &test.consumer).await;
    test.purge("/batches/{batch_id}", "case").await;
    test.run_purges(&["case-0", "case-1", "case-2"]).await;
    while world.queued().await.0 > 0 {
        test.deliver(&world.queue, &test.consumer).await;
    }
    assert_eq!(test.places_of_secret().await, Vec::<String>::new());
    let kept = world.row("other").await.expect("the job of another batch");
    assert_eq!((kept.purge_until, kept.purged_at), (None, None));
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let other = s3.get_object().bucket(&world.bucket).key("submitted/case-2/file-3/a.txt").send().await;
    assert!(other.is_ok(), "a batch with a longer name keeps its files");
}
