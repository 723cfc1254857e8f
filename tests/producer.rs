//! The producer's real binary: an API event in, the exact response out.

use std::time::Duration;

use aws_sdk_s3::Client as S3;
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::event;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(20);

/// Answers (status, headers, body).
async fn ask(producer: &Function, event: Value) -> (u64, Value, Value) {
    let answer = producer.invoke(event, TIME).await.expect("an answer");
    let body = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).expect("a JSON body");
    (answer["statusCode"].as_u64().expect("a status"), answer["multiValueHeaders"].clone(), body)
}

fn post(body: Value, key: Option<&str>) -> Value {
    let mut event = event("api-post-job");
    event["body"] = json!(body.to_string());
    for headers in ["headers", "multiValueHeaders"] {
        let headers = event[headers].as_object_mut().expect("headers");
        headers.retain(|name, _| !name.eq_ignore_ascii_case("idempotency-key"));
    }
    if let Some(key) = key {
        event["headers"]["Idempotency-Key"] = json!(key);
        event["multiValueHeaders"]["Idempotency-Key"] = json!([key]);
    }
    event
}

fn get(job_id: &str) -> Value {
    let mut event = event("api-get-job");
    event["pathParameters"]["job_id"] = json!(job_id);
    event["path"] = json!(format!("/jobs/{job_id}"));
    event["requestContext"]["path"] = json!(format!("/v1/jobs/{job_id}"));
    event
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_202_means_document_row_and_message_are_there() {
    let world = World::new().await;
    let producer = world.producer().await;
    let (status, headers, body) = ask(&producer, event("api-post-job")).await;
    let job_id = body["job_id"].as_str().unwrap().to_owned();
    assert_eq!((status, body), (202, json!({"job_id": job_id, "status": "pending"})));
    assert_eq!(headers["location"], json!([format!("/v1/jobs/{job_id}")]));
    assert_eq!(headers["content-type"], json!(["application/json"]));
    let row = world.row(&job_id).await.expect("a row");
    assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("pending", 0, 0));
    let docket::domain::document::location::S3Location { bucket, key, .. } = row.document.location().unwrap();
    let object = S3::new(&world.sdk).get_object().bucket(bucket).key(key).send().await.expect("the document");
    assert_eq!(object.content_length().unwrap() as u64, row.document.size_bytes.unwrap());
    assert_eq!(world.queued().await.0, 1);
    let messages = test_support::aws::letters(&world.sdk, &world.queue).await;
    assert_eq!(messages[0].attributes["priority"], "normal");
    let message: Value = serde_json::from_str(&messages[0].body).unwrap();
    assert_eq!((&message["job_id"], message.get("document")), (&json!(job_id), None));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_the_producer_sends_the_consumer_completes_and_a_caller_reads() {
    let world = World::new().await;
    let (producer, consumer) = (world.producer().await, world.consumer().await);
    let asked = json!({
        "job_id": "round-trip", "document": "The court dismisses the claim. The plaintiff bears the costs.",
        "priority": "high", "batch_id": "b-1", "metadata": {"matter": 7},
        "analysis": {"labels": ["judgment", "other"]},
    });
    assert_eq!(ask(&producer, post(asked, None)).await.0, 202);
    let event = world.delivered(&[]).await;
    assert_eq!(event, json!({"Records": []}));
    let messages = test_support::aws::letters(&world.sdk, &world.queue).await;
    let event = json!({"Records": [{
        "messageId": "m-1", "receiptHandle": "r-1", "body": messages[0].body, "attributes": {},
        "messageAttributes": {"priority": {"stringValue": messages[0].attributes["priority"], "dataType": "String"}},
    }]});
    consumer.invoke(event, Duration::from_secs(30)).await.expect("a response");
    let (status, _, view) = ask(&producer, get("round-trip")).await;
    assert_eq!(status, 200, "{view}");
    assert_eq!(view["status"], "complete");
    assert_eq!(view["result"]["classification"]["label"], "judgment");
    assert_eq!(
        (&view["priority"], &view["batch_id"], &view["metadata"]),
        (&json!("high"), &json!("b-1"), &json!({"matter": 7}))
    );
    assert_eq!((&view["attempt"], &view["charged_attempts"]), (&json!(1), &json!(1)));
    for inside in ["owner", "lease_until", "request_hash", "expires_at"] {
        assert_eq!(view.get(inside), None, "{inside}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_same_key_and_request_is_the_same_job_and_another_request_is_a_conflict() {
    let world = World::new().await;
    let producer = world.producer().await;
    let document = |text: &str| json!({"document": text});
    let (_, _, first) = ask(&producer, post(document("one"), Some("key"))).await;
    let (status, _, again) = ask(&producer, post(document("one"), Some("key"))).await;
    assert_eq!((status, &again), (202, &first));
    assert_eq!(world.queued().await.0, 2, "it is still pending, so the message is sent again");
    let (status, headers, problem) = ask(&producer, post(document("two"), Some("key"))).await;
    assert_eq!((status, &problem["status"]), (409, &json!(409)));
    assert_eq!(headers["content-type"], json!(["application/problem+json"]));
    assert_eq!(world.queued().await.0, 2);
    // Both messages together make one call; then nothing is sent any more.
    let consumer = world.consumer().await;
    let messages = test_support::aws::letters(&world.sdk, &world.queue).await;
    let record = |n: usize| json!({"messageId": format!("m-{n}"), "receiptHandle": "r", "body": messages[n].body});
    consumer.invoke(json!({"Records": [record(0), record(1)]}), Duration::from_secs(30)).await.expect("a response");
    assert_eq!(world.model.calls()["total"], 1);
    let (status, _, done) = ask(&producer, post(document("one"), Some("key"))).await;
    assert_eq!((status, &done["status"]), (202, &json!("complete")));
    assert_eq!(world.queued().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_bad_request_is_a_problem_document_that_names_the_field() {
    let world = World::new().await;
    let producer = world.producer().await;
    let (status, headers, problem) = ask(&producer, event("api-post-invalid")).await;
    assert_eq!(status, 422);
    assert_eq!(headers["content-type"], json!(["application/problem+json"]));
    assert!(problem["field"] == "document" || problem["field"] == "documnet", "{problem}");
    assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(ask(&producer, get("unknown")).await.0, 404);
    assert_eq!(ask(&producer, get("not an id")).await.0, 404);
    assert_eq!(world.queued().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn of_an_internal_error_a_caller_learns_an_id_to_look_up_and_nothing_else() {
    let mut world = World::new().await;
    world.queue += "-is-not-there";
    let producer = world.producer().await;
    let (status, _, problem) = ask(&producer, post(json!({"document": "text", "job_id": "j-1"}), None)).await;
    assert_eq!(status, 503, "202 means that the message is in the queue");
    assert_eq!(problem["job_id"], "j-1");
    let request_id = problem["request_id"].as_str().unwrap().to_owned();
    for inside in ["sqs", "SQS", "Queue", "dynamodb", "arn:", "http"] {
        assert!(!problem.to_string().contains(inside), "{problem}");
    }
    let output = producer.output().await;
    assert!(output.contains(&request_id) && output.contains("sqs:SendMessage"), "{output}");
}
