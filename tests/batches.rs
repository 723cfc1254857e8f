//! Batches of messages, through the real consumer: the response reports exactly the
//! records that failed.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::aws::World;

const TIME: Duration = Duration::from_secs(60);

fn record(place: usize, job_id: &str) -> Value {
    let body = json!({"job_id": job_id, "document": "A lease of a flat for 900 euros."}).to_string();
    json!({"messageId": format!("m-{place}"), "receiptHandle": "none", "body": body})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn every_subset_of_failing_records_is_reported_exactly() {
    // `make faults` sets 10: the largest batch without a batching window.
    let count = std::env::var("BATCH_RECORDS").map_or(8, |text| text.parse().expect("BATCH_RECORDS is a number"));
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "throttling", "job_id_contains": "-fails"}]}));
    for subset in 0..1u32 << count {
        let fails = |place: usize| subset & (1 << place) != 0;
        let suffix = |place| if fails(place) { "fails" } else { "runs" };
        let records: Vec<Value> = (0..count).map(|n| record(n, &format!("{subset}-{n}-{}", suffix(n)))).collect();
        let failures: Vec<Value> =
            (0..count).filter(|n| fails(*n)).map(|n| json!({"itemIdentifier": format!("m-{n}")})).collect();
        let answer = consumer.invoke(json!({"Records": records}), TIME).await;
        assert_eq!(answer, Ok(json!({"batchItemFailures": failures})), "subset {subset:b}");
    }
    assert_eq!(world.model.calls()["total"], count << count, "one call for each record");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn repeated_job_is_called_once_and_repeated_id_reported_once() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let ten: Vec<Value> = (0..10).map(|place| record(place, "ten-times")).collect();
    assert_eq!(consumer.invoke(json!({"Records": ten}), TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(world.model.calls_of("ten-times"), 1);
    world.model.behave(json!({"faults": [{"kind": "throttling"}]}));
    let twice = json!({"Records": [record(1, "one"), record(1, "two")]});
    let once = json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]});
    assert_eq!(consumer.invoke(twice, TIME).await, Ok(once));
}
