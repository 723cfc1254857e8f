//! Results and settings, by the real binaries: what is asked of the model, and
//! where its answer lies.

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::job::stored::{State, StoredResult};
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::event;

const TIME: Duration = Duration::from_secs(30);

fn message(body: Value) -> (String, HashMap<String, String>) {
    (body.to_string(), HashMap::new())
}

async fn told(world: &World, job_id: &str) -> Value {
    let mut event = event("api-get-job");
    event["pathParameters"]["job_id"] = json!(job_id);
    let answer = world.producer().await.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_result_too_large_for_its_row_lies_in_the_bucket_and_readers_do_not_notice() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "long", "job_id": "long"}]}));
    let document = "The tenant pays a rent of 900 crowns.";
    let event =
        world.delivered(&["long", "short"].map(|id| message(json!({"job_id": id, "document": document})))).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let State::Complete(done) = world.row("long").await.unwrap().state else { panic!("not complete") };
    let StoredResult::Bucket(at) = &done.result else { panic!("on the row") };
    assert_eq!((at.bucket.as_str(), at.key.as_str()), (world.bucket.as_str(), "results/long/1.json"));
    assert!(!world.item("long").await.contains_key("result"));
    let (long, short) = (told(&world, "long").await, told(&world, "short").await);
    assert_eq!(long["result"]["summary"].as_str().unwrap().len(), 400_000);
    let names = |job: &Value| job.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&long), names(&short));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_large_result_is_taken_over_by_the_same_document_as_its_own() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("DEDUPLICATE", "true")]).await;
    world.model.behave(json!({"faults": [{"kind": "long"}]}));
    for id in ["first", "second"] {
        let event = world.delivered(&[message(json!({"job_id": id, "document": "The rent is 900 crowns."}))]).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    }
    assert_eq!(world.model.calls()["by_job"], json!({"first": 1}));
    let (first, second) = (told(&world, "first").await, told(&world, "second").await);
    assert_eq!(second["deduplicated_from"], "first");
    assert_eq!(second["result"], first["result"]);
    let State::Complete(done) = world.row("second").await.unwrap().state else { panic!("not complete") };
    let StoredResult::Bucket(at) = done.result else { panic!("on the row") };
    assert_eq!(at.key, "results/second/1.json", "the first's object is the first's to lose");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_model_is_asked_as_the_analysis_says() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let analysis = json!({"max_tokens": 77, "temperature": 0.25, "model_id": "other.model-v1:0"});
    let event = world
        .delivered(&[
            message(json!({"job_id": "own", "document": "Dear Sir.", "analysis": analysis})),
            message(json!({"job_id": "as-ever", "document": "Dear Sir."})),
            message(json!({"job_id": "named", "document": "Dear Sir.", "model_id": "third.model-v1:0"})),
        ])
        .await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let log = test_support::stand_in::get(&format!("{}/_calls/log", world.model.url));
    let call = |id: &str| log.as_array().unwrap().iter().find(|entry| entry["job_id"] == id).unwrap().clone();
    let own = call("own");
    let said = (&own["model_id"], &own["max_tokens"], &own["temperature"]);
    assert_eq!(said, (&json!("other.model-v1:0"), &json!(77), &json!(0.25)));
    assert_eq!(
        (&call("as-ever")["model_id"], &call("as-ever")["max_tokens"]),
        (&json!("test.model-v1:0"), &json!(1024))
    );
    assert_eq!(call("named")["model_id"], "third.model-v1:0");
    assert_eq!(told(&world, "own").await["model_id"], "other.model-v1:0");
}
