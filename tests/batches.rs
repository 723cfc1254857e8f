//! Batches, through the real consumer: exactly the failing records are wanted
//! again, whichever they are.

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
async fn all_subsets_of_ten_failing_records_give_exactly_the_failing_ids() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "throttling", "job_id_contains": "-fails"}]}));
    for subset in 0..1024u32 {
        let fails = |place: usize| subset & (1 << place) != 0;
        let ending = |place| if fails(place) { "fails" } else { "runs" };
        let records: Vec<Value> = (0..10).map(|n| record(n, &format!("{subset}-{n}-{}", ending(n)))).collect();
        let failures: Vec<Value> =
            (0..10).filter(|n| fails(*n)).map(|n| json!({"itemIdentifier": format!("m-{n}")})).collect();
        let answer = consumer.invoke(json!({"Records": records}), TIME).await;
        assert_eq!(answer, Ok(json!({"batchItemFailures": failures})), "subset {subset:010b}");
    }
    assert_eq!(world.model.calls()["total"], 10_240, "each record was sent once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_same_job_ten_times_in_one_batch_makes_one_call_and_a_message_id_twice_is_named_once() {
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
