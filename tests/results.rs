//! Settings and results, through the real binaries: the settings of an analysis reach
//! the model, and large results are stored in the bucket.

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::hold::HoldTarget;
use docket::domain::job::stored::{State, StoredResult};
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::event;

const TIME: Duration = Duration::from_secs(30);

fn message(body: Value) -> (String, HashMap<String, String>) {
    (body.to_string(), HashMap::new())
}

async fn read_job(world: &World, job_id: &str) -> Value {
    let mut event = event("api-get-job");
    event["pathParameters"]["job_id"] = json!(job_id);
    let answer = world.producer().await.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn large_result_in_the_bucket_reads_like_an_inline_result() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.model.behave(json!({"faults": [{"kind": "long", "job_id": "long"}]}));
    let document = "The tenant pays a rent of 900 crowns.";
    let event = world.deliver(&["long", "short"].map(|id| message(json!({"job_id": id, "document": document})))).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let State::Complete(done) = world.row("long").await.unwrap().state else { panic!("the job is not complete") };
    let StoredResult::Bucket(at) = &done.result else { panic!("the result is in the stored job") };
    assert_eq!((at.bucket.as_str(), at.key.as_str()), (world.bucket.as_str(), "results/long/1.json"));
    assert!(!world.item("long").await.contains_key("result"));
    let (long, short) = (read_job(&world, "long").await, read_job(&world, "short").await);
    assert_eq!(long["result"]["summary"].as_str().unwrap().len(), 400_000);
    let names = |job: &Value| job.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&long), names(&short));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn refused_result_is_charged_and_holds_the_store() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("DOCUMENTS_BUCKET", "no-such-bucket")]).await;
    world.model.behave(json!({"faults": [{"kind": "long_random"}]}));
    let event = world.deliver(&[message(json!({"job_id": "refused", "document": "The rent is 900 crowns."}))]).await;
    let retried = json!({"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]});
    assert_eq!(consumer.invoke(event, TIME).await, Ok(retried));
    let stored = world.row("refused").await.unwrap();
    assert_eq!((stored.state, stored.charged_attempts), (State::Pending, 1), "the call is paid for");
    assert_eq!(stored.waiting_for, Some(HoldTarget::Store));
    let output = consumer.output().await;
    assert!(output.contains("\"outcome\":\"on_hold\"") && !output.contains("throttled"), "{output}");
    assert!(output.contains("\"cause\":\"s3:PutObject/NoSuchBucket\""), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn answer_in_wrong_form_is_repaired_without_a_call() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let document = "The tenant pays a rent of 900 crowns.";
    let event = world.deliver(&[message(json!({"job_id": "fitting", "document": document}))]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    world.model.behave(json!({"faults": [{"kind": "wrong_form"}]}));
    let event = world.deliver(&[message(json!({"job_id": "repaired", "document": document}))]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(world.model.calls_of("repaired"), 1);
    let (fitting, repaired) = (read_job(&world, "fitting").await, read_job(&world, "repaired").await);
    assert_eq!(repaired["result"], fitting["result"]);
    assert_eq!((fitting.get("repaired"), &repaired["repaired"]), (None, &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn duplicate_document_gets_its_own_copy_of_a_large_result() {
    let world = World::new().await;
    let consumer = world.consumer_with(&[("DEDUPLICATE", "true")]).await;
    world.model.behave(json!({"faults": [{"kind": "long"}]}));
    for id in ["first", "second"] {
        let event = world.deliver(&[message(json!({"job_id": id, "document": "The rent is 900 crowns."}))]).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    }
    assert_eq!(world.model.calls()["by_job"], json!({"first": 1}));
    let (first, second) = (read_job(&world, "first").await, read_job(&world, "second").await);
    assert_eq!(second["deduplicated_from"], "first");
    assert_eq!(second["result"], first["result"]);
    let State::Complete(done) = world.row("second").await.unwrap().state else { panic!("the job is not complete") };
    let StoredResult::Bucket(at) = done.result else { panic!("the result is in the stored job") };
    assert_eq!(at.key, "results/second/1.json", "the second job has its own copy of the result");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn settings_of_an_analysis_reach_the_model() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let analysis = json!({"max_tokens": 77, "temperature": 0.25, "model_id": "other.model-v1:0"});
    let event = world
        .deliver(&[
            message(json!({"job_id": "custom", "document": "Dear Sir.", "analysis": analysis})),
            message(json!({"job_id": "default", "document": "Dear Sir."})),
            message(json!({"job_id": "other-model", "document": "Dear Sir.", "model_id": "third.model-v1:0"})),
        ])
        .await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let log = test_support::stand_in::get(&format!("{}/_calls/log", world.model.url));
    let call = |id: &str| log.as_array().unwrap().iter().find(|entry| entry["job_id"] == id).unwrap().clone();
    let custom = call("custom");
    let settings = (&custom["model_id"], &custom["max_tokens"], &custom["temperature"]);
    assert_eq!(settings, (&json!("other.model-v1:0"), &json!(77), &json!(0.25)));
    assert_eq!(
        (&call("default")["model_id"], &call("default")["max_tokens"]),
        (&json!("test.model-v1:0"), &json!(1024))
    );
    assert_eq!(call("other-model")["model_id"], "third.model-v1:0");
    assert_eq!(read_job(&world, "custom").await["model_id"], "other.model-v1:0");
}
