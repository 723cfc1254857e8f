//! Compares the plan with a measured run on the local AWS.

use std::process::Command;
use std::time::Instant;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde_json::{Value, json};
use test_support::aws::{drain_messages, outputs, queued, sdk};
use test_support::{eventually, stand_in, unique};

/// Ten waves, the last with few batches. It has capacity for the batches that the
/// poller adds when earlier ones were not full.
const DOCUMENTS: usize = 1_820;
const MODEL_SECONDS: u64 = 8;
/// The settings of the stack under test, as tools/test.py deploys it: 200 calls in flight.
const MAXIMUM_CONCURRENCY: u32 = 20;
const BATCH_SIZE: u32 = 10;
/// Maximum difference between the measured and the planned duration, as a fraction.
const TOLERANCE: f64 = 0.10;

/// The plan for the local AWS, which has no ramp and no quota of the model.
fn plan_run() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_docket"))
        .arg("plan")
        .args(["--documents", &DOCUMENTS.to_string()])
        .args(["--seconds", &MODEL_SECONDS.to_string()])
        .args(["--tokens-in", "500", "--tokens-out", "200", "--tokens-per-minute", "1000000000"])
        .args(["--maximum-concurrency", &MAXIMUM_CONCURRENCY.to_string(), "--batch-size", &BATCH_SIZE.to_string()])
        .args(["--start-concurrency", "1000", "--deadline", "10m", "--intake", "queue", "--json"])
        .output()
        .expect("docket runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn send_all(sqs: &aws_sdk_sqs::Client, url: &str) {
    let numbers: Vec<usize> = (0..DOCUMENTS).collect();
    let run = unique("planned");
    for ten in numbers.chunks(10) {
        let mut request = sqs.send_message_batch().queue_url(url);
        for number in ten {
            let body = json!({"job_id": format!("{run}-{number}"), "document": "A short letter, dear Sir."});
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body.to_string());
            request = request.entries(entry.build().expect("id and body are set"));
        }
        request.send().await.expect("SQS takes the batch");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn plan_is_within_a_tenth_of_a_measured_run() {
    let (outputs, sdk) = (outputs(), sdk().await);
    let model = &outputs["ModelEndpointUrl"];
    stand_in::reset(model);
    stand_in::put(model, json!({"latency_ms": MODEL_SECONDS * 1_000}));
    let queue = &outputs["JobsQueueUrl"];
    let started = Instant::now();
    send_all(&aws_sdk_sqs::Client::new(&sdk), queue).await;
    eventually("an empty queue", async || (queued(&sdk, queue).await == (0, 0)).then_some(())).await;
    let measured = started.elapsed().as_secs_f64();
    let calls = stand_in::get(&format!("{model}/_calls"));
    stand_in::reset(model);
    assert_eq!(calls["total"], DOCUMENTS, "one call per document");
    assert_eq!(drain_messages(&sdk, &outputs["DeadLetterQueueUrl"]).await.len(), 0);
    let planned = plan_run()["seconds"].as_f64().expect("a duration");
    println!("{DOCUMENTS} documents of {MODEL_SECONDS} s: planned {planned:.1} s, measured {measured:.1} s");
    assert!((measured / planned - 1.0).abs() < TOLERANCE, "planned {planned:.1} s, measured {measured:.1} s");
}
