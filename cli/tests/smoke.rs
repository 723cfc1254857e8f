//! `docket smoke` as a user runs it, on the deployed stack.

mod support;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in};

use crate::support::{ChangedOutputs, Run, run_docket};

const DOCUMENTS: usize = 15;

async fn smoke(arguments: &[&str]) -> Run {
    run_docket(&[&["smoke", "--local", "--json"], arguments].concat(), &[]).await
}

/// The keys of all object versions that belong to a run.
async fn keys_of(stack: &Stack, run: &str) -> Vec<String> {
    let s3 = aws_sdk_s3::Client::new(&stack.sdk);
    let mut found = Vec::new();
    let mut marker = None;
    // Other tests leave more objects than a page has.
    loop {
        let page = s3.list_object_versions().bucket(&stack.outputs["DocumentsBucketName"]);
        let page = page.set_key_marker(marker).send().await.expect("the versions");
        let keys = page.versions().iter().filter_map(|version| version.key());
        let markers = page.delete_markers().iter().filter_map(|marker| marker.key());
        found.extend(keys.chain(markers).filter(|key| key.contains(run)).map(str::to_owned));
        marker = page.next_key_marker;
        if marker.is_none() {
            return found;
        }
    }
}

fn name_of(report: &Value) -> String {
    report["batch_id"].as_str().expect("a name").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn healthy_stack_passes_and_is_cleaned_up() {
    let stack = Stack::new().await;
    stack.drain_dead_letters().await;
    let run = smoke(&[]).await;
    let report = run.json();
    assert_eq!(run.code, Some(0), "{report:#}\n{}", run.stderr);
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    assert_eq!(outcomes.len(), DOCUMENTS + 2);
    assert!(outcomes.iter().all(|outcome| outcome["passed"] == true), "{report:#}");
    // One call a document: the duplicate and the message that is no job make none.
    let calls = stack.calls();
    assert_eq!(calls["total"], DOCUMENTS, "{calls}");
    assert!(report["estimated_usd"].as_f64().is_some_and(|usd| usd > 0.0 && usd < 0.1), "{report:#}");
    assert!(run.stderr.contains("15 of 15 jobs exist"), "{}", run.stderr);
    let keys = keys_of(&stack, &name_of(&report)).await;
    assert!(keys.is_empty(), "{keys:?}");
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn kept_objects_and_dead_letter_remain() {
    let stack = Stack::new().await;
    stack.drain_dead_letters().await;
    let run = run_docket(&["smoke", "--local", "--keep"], &[]).await;
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("17 of 17 checks passed"), "{}", run.stdout);
    let name = run.stdout.split_whitespace().find(|word| word.starts_with("smoke-")).expect("the name of the run");
    // Five documents of the API, and five uploads. A queue message has its document itself.
    assert_eq!(keys_of(&stack, name).await.len(), 10);
    assert_eq!(stack.drain_dead_letters().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn failed_document_is_named_with_its_error() {
    let stack = Stack::new().await;
    stack.drain_dead_letters().await;
    let model = &stack.outputs["ModelEndpointUrl"];
    stand_in::put(model, json!({"faults": [{"kind": "guardrail", "job_id_contains": "-queue-2"}]}));
    let run = run_docket(&["smoke", "--local"], &[]).await;
    stand_in::reset(model);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("16 of 17 checks passed"), "{}", run.stdout);
    let failed = run.stdout.lines().find(|line| line.starts_with("Failed: ")).expect("a failure");
    assert!(failed.starts_with("Failed: invoice.txt by queue (smoke-") && failed.contains("guardrail"), "{failed}");
    assert_eq!(stack.drain_dead_letters().await, 0, "the command deletes the dead letters of its run");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unfinished_documents_exit_with_3() {
    let stack = Stack::new().await;
    let model = &stack.outputs["ModelEndpointUrl"];
    stand_in::put(model, json!({"latency_ms": 8_000}));
    let run = smoke(&["--timeout", "2s"]).await;
    stand_in::reset(model);
    let report = run.json();
    assert_eq!((run.code, &report["timed_out"]), (Some(3), &json!(true)), "{report:#}\n{}", run.stderr);
    let name = name_of(&report);
    // The documents of unfinished jobs are not deleted, and the jobs end later.
    assert_eq!(keys_of(&stack, &name).await.len(), 10);
    let batch = stack.wait_for_batch_end(&name, DOCUMENTS as u64).await;
    assert_eq!(batch["request_counts"]["complete"], DOCUMENTS);
    eventually("an empty queue", async || {
        let queue = &stack.outputs["HighPriorityQueueUrl"];
        (test_support::aws::queued(&stack.sdk, queue).await == (0, 0)).then_some(())
    })
    .await;
    stack.wait_for_empty_queue().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unreachable_api_and_queue_are_named() {
    for (name, url, expected, jobs) in [
        ("ApiUrl", "http://127.0.0.1:1", "the API does not answer", 0),
        ("JobsQueueUrl", "http://127.0.0.1:1/000000000000/none", "sqs:SendMessage failed", 10),
    ] {
        let stack = Stack::new().await;
        let outputs = ChangedOutputs::new(&[(name, url)]);
        let run = run_docket(&["smoke", "--local"], &[("DOCKET_OUTPUTS", &outputs.path())]).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{name}");
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        if jobs > 0 {
            // The jobs that were sent before the error.
            let batch = run.stderr.split_whitespace().find(|word| word.starts_with("smoke-")).expect("a batch");
            stack.wait_for_batch_end(batch, jobs).await;
        }
    }
}
