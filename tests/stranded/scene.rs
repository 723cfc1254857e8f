//! A consumer and a producer over the queues, the table and the bucket of one test.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use docket::domain::job::{DocumentSource, Job, Work};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::api;
use test_support::aws::{World, receive};
use test_support::event_source::deliver_records;
use test_support::function::Function;

pub const TIME: Duration = Duration::from_secs(30);
/// Longest wait for the end of jobs, for slow machines.
const PATIENCE: Duration = Duration::from_secs(240);
const TEXT: &str = "The tenant pays a rent of 900 euros for the flat in Mill Lane.";

pub struct Scene {
    pub world: World,
    pub consumer: Function,
    pub producer: Function,
    /// The URL of the queue for high priority, which has the control messages.
    high: String,
}

impl Scene {
    pub async fn start() -> Self {
        let world = World::new().await;
        let sqs = aws_sdk_sqs::Client::new(&world.sdk);
        let high = sqs.create_queue().queue_name(test_support::unique("high")).send().await.expect("a queue");
        let high = high.queue_url.expect("a queue URL");
        let consumer = world.consumer_with(&[("HIGH_PRIORITY_QUEUE_URL", &high)]).await;
        let mut environment = world.environment();
        environment.insert("HIGH_PRIORITY_QUEUE_URL".into(), high.clone());
        environment.insert("ALLOWED_MODEL_IDS".into(), "test.model-v1:0".into());
        environment.insert("ALLOWED_ASYNC_MODEL_IDS".into(), "amazon.nova-reel-v1:1".into());
        let producer = Function::start("producer", &environment).await;
        Self { world, consumer, producer, high }
    }

    /// Sends a request to the producer. `resource` is the path with the name of its parameter,
    /// and `query` such as `status=failed`. Returns the status and the body.
    pub async fn ask(&self, method: &str, resource: &str, id: &str, query: &str, body: Value) -> (u64, Value) {
        let query: Vec<(&str, &str)> = query.split_once('=').into_iter().collect();
        api::ask(&self.producer, method, resource, id, &query, body).await
    }

    /// The job of a document that `submit` sends.
    pub fn submitted_job(job_id: &str) -> Job {
        let text = format!("{TEXT} {job_id}");
        Job { work: Work::Document(DocumentSource::Inline(text)), ..test_support::inline_job(job_id) }
    }

    /// Submits a document by `POST /jobs`.
    pub async fn submit(&self, job_id: &str) {
        self.submit_with(job_id, "normal").await;
    }

    /// Submits a document with a priority.
    pub async fn submit_with(&self, job_id: &str, priority: &str) {
        let body = json!({"job_id": job_id, "document": format!("{TEXT} {job_id}"), "priority": priority});
        assert_eq!(self.ask("POST", "/jobs", "", "", body).await.0, 202);
    }

    /// Creates an upload, and puts its object if `arrives`. The bucket of a test sends no S3
    /// events, so the event of each upload is lost.
    pub async fn upload(&self, job_id: &str, batch_id: Option<&str>, arrives: bool) {
        let body = json!({"job_id": job_id, "filename": "a lease.txt", "size": 100, "batch_id": batch_id});
        assert_eq!(self.ask("POST", "/uploads", "", "", body).await.0, 201);
        if arrives {
            self.put_object(&format!("incoming/{job_id}/a lease.txt")).await;
        }
    }

    /// Stores a document, and sends no S3 event.
    pub async fn put_object(&self, key: &str) {
        let s3 = aws_sdk_s3::Client::new(&self.world.sdk);
        let body = format!("{TEXT} {key}").into_bytes().into();
        s3.put_object().bucket(&self.world.bucket).key(key).body(body).send().await.expect("the object is stored");
    }

    /// The S3 event of a stored document.
    pub fn s3_event(&self, key: &str) -> String {
        // S3 encodes the keys of events like the values of forms.
        let object = json!({"key": key.replace(' ', "+"), "size": 100, "sequencer": "0055"});
        let s3 = json!({"bucket": {"name": self.world.bucket}, "object": object});
        json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]}).to_string()
    }

    /// Submits documents of a batch.
    pub async fn submit_batch(&self, batch_id: &str, ids: &[String]) {
        for ids in ids.chunks(100) {
            let jobs: Vec<Value> =
                ids.iter().map(|id| json!({"job_id": id, "document": format!("{TEXT} {id}")})).collect();
            let answer = self.ask("POST", "/batches/{batch_id}/jobs", batch_id, "", json!({"jobs": jobs})).await;
            assert_eq!((answer.0, &answer.1["accepted"]), (202, &json!(ids.len())));
        }
    }

    /// Starts a new environment of the consumer, which knows no hold.
    pub async fn restart_consumer(&mut self) {
        self.consumer = self.world.consumer_with(&[("HIGH_PRIORITY_QUEUE_URL", &self.high)]).await;
    }

    /// Deletes all messages of both queues, also invisible ones.
    pub async fn purge(&self) {
        let sqs = aws_sdk_sqs::Client::new(&self.world.sdk);
        for queue in [&self.world.queue, &self.high] {
            sqs.purge_queue().queue_url(queue).send().await.expect("the queue is purged");
        }
        test_support::eventually("an empty queue", async || (self.world.queued().await == (0, 0)).then_some(())).await;
    }

    /// Delivers at most `batches` batches of the queue.
    pub async fn deliver(&self, batches: usize) {
        for _ in 0..batches {
            let records = receive(&self.world.sdk, &self.world.queue, 120).await;
            if records.is_empty() {
                return;
            }
            deliver_records(&self.world, &self.consumer, records, TIME).await;
        }
    }

    /// Delivers all messages until the queue is empty.
    pub async fn deliver_all(&self) {
        let begun = Instant::now();
        while self.world.queued().await != (0, 0) {
            assert!(begun.elapsed() < PATIENCE, "messages remain: {:?}", self.world.queued().await);
            let records = receive(&self.world.sdk, &self.world.queue, 120).await;
            if records.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            } else {
                deliver_records(&self.world, &self.consumer, records, TIME).await;
            }
        }
    }

    /// Sends the message of the template's schedule, and delivers it.
    pub async fn sweep(&self) {
        self.control(r#"{"control":"sweep"}"#).await;
    }

    /// Sends a control message, and delivers all of them until none remains.
    pub async fn control(&self, body: &str) {
        let sqs = aws_sdk_sqs::Client::new(&self.world.sdk);
        sqs.send_message().queue_url(&self.high).message_body(body).send().await.expect("the message is sent");
        self.deliver_controls().await;
    }

    /// Delivers the control messages, until none remains.
    pub async fn deliver_controls(&self) {
        let sqs = aws_sdk_sqs::Client::new(&self.world.sdk);
        loop {
            let records = receive(&self.world.sdk, &self.high, 120).await;
            if records.is_empty() {
                return;
            }
            let answer = self.consumer.invoke(json!({"Records": records}), TIME).await.expect("a response");
            assert_eq!(answer, json!({"batchItemFailures": []}));
            for record in &records {
                let receipt = record["receiptHandle"].as_str().expect("a receipt");
                sqs.delete_message().queue_url(&self.high).receipt_handle(receipt).send().await.expect("deleted");
            }
        }
    }

    /// Moves the times of all stored jobs into the past.
    pub async fn let_pass(&self, time: Duration) {
        let client = aws_sdk_dynamodb::Client::new(&self.world.sdk);
        let mut pages = client.scan().table_name(&self.world.table).into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.expect("the table answers"));
        }
        let moved = items.into_iter().filter(|item| item.contains_key("status"));
        let puts = moved.map(async |item| self.world.put_item(earlier(item, time)).await);
        stream::iter(puts).buffer_unordered(16).collect::<Vec<()>>().await;
    }

    /// The jobs with each status.
    pub async fn statuses(&self, ids: &[String]) -> HashMap<&'static str, usize> {
        let jobs = self.world.jobs();
        let ids: Vec<_> = ids.iter().map(|id| id.parse().expect("a valid job id")).collect();
        let mut counts = HashMap::new();
        for ids in ids.chunks(500) {
            for row in jobs.get_many_without_results(ids).await.expect("the table answers") {
                *counts.entry(row.state.status().as_str()).or_default() += 1;
            }
        }
        counts
    }
}

fn earlier(mut item: HashMap<String, AttributeValue>, time: Duration) -> HashMap<String, AttributeValue> {
    for (name, value) in &mut item {
        match (name.as_str(), &*value) {
            ("created_at" | "updated_at" | "resent_at", AttributeValue::S(at)) => {
                let at: Timestamp = at.parse().expect("a time");
                *value = AttributeValue::S((at - time).to_string());
            }
            ("lease_until" | "not_before", AttributeValue::N(at)) => {
                let at: i64 = at.parse().expect("a number");
                *value = AttributeValue::N((at - time.as_millis() as i64).to_string());
            }
            _ => {}
        }
    }
    item
}
