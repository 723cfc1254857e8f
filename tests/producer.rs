//! The producer's real binary: each API event has an exact response.

use std::time::Duration;

use aws_sdk_s3::Client as S3;
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::event;
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(20);

/// Returns the response's status, headers and body.
async fn send_request(producer: &Function, event: Value) -> (u64, Value, Value) {
    let answer = producer.invoke(event, TIME).await.expect("an answer");
    let body = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).expect("a JSON body");
    (answer["statusCode"].as_u64().expect("a status"), answer["multiValueHeaders"].clone(), body)
}

fn post_job(body: Value, key: Option<&str>) -> Value {
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

fn get_job(job_id: &str) -> Value {
    let mut event = event("api-get-job");
    event["pathParameters"]["job_id"] = json!(job_id);
    event["path"] = json!(format!("/jobs/{job_id}"));
    event["requestContext"]["path"] = json!(format!("/v1/jobs/{job_id}"));
    event
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn accepted_job_has_a_document_a_stored_job_and_a_message() {
    let world = World::new().await;
    let producer = world.producer().await;
    let (status, headers, body) = send_request(&producer, event("api-post-job")).await;
    let job_id = body["job_id"].as_str().unwrap().to_owned();
    assert_eq!((status, body), (202, json!({"job_id": job_id, "status": "pending"})));
    assert_eq!(headers["location"], json!([format!("/v1/jobs/{job_id}")]));
    assert_eq!(headers["content-type"], json!(["application/json"]));
    let row = world.row(&job_id).await.expect("a stored job");
    assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("pending", 0, 0));
    let docket::domain::document::location::S3Location { bucket, key, .. } = row.document.location().unwrap();
    let object = S3::new(&world.sdk).get_object().bucket(bucket).key(key).send().await.expect("the document");
    assert_eq!(object.content_length().unwrap() as u64, row.document.size_bytes.unwrap());
    assert_eq!(world.queued().await.0, 1);
    let messages = test_support::aws::drain_messages(&world.sdk, &world.queue).await;
    assert_eq!(messages[0].attributes["priority"], "normal");
    let message: Value = serde_json::from_str(&messages[0].body).unwrap();
    assert_eq!((&message["job_id"], message.get("document")), (&json!(job_id), None));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn submitted_job_is_completed_by_the_consumer_and_readable() {
    let world = World::new().await;
    let (producer, consumer) = (world.producer().await, world.consumer().await);
    let request = json!({
        "job_id": "round-trip", "document": "The court dismisses the claim. The plaintiff bears the costs.",
        "priority": "high", "batch_id": "b-1", "metadata": {"matter": 7},
        "analysis": {"labels": ["judgment", "other"]},
    });
    assert_eq!(send_request(&producer, post_job(request, None)).await.0, 202);
    let event = world.deliver(&[]).await;
    assert_eq!(event, json!({"Records": []}));
    let messages = test_support::aws::drain_messages(&world.sdk, &world.queue).await;
    let event = json!({"Records": [{
        "messageId": "m-1", "receiptHandle": "r-1", "body": messages[0].body, "attributes": {},
        "messageAttributes": {"priority": {"stringValue": messages[0].attributes["priority"], "dataType": "String"}},
    }]});
    consumer.invoke(event, Duration::from_secs(30)).await.expect("a response");
    let (status, _, view) = send_request(&producer, get_job("round-trip")).await;
    assert_eq!(status, 200, "{view}");
    assert_eq!(view["status"], "complete");
    assert_eq!(view["result"]["classification"]["label"], "judgment");
    assert_eq!(
        (&view["priority"], &view["batch_id"], &view["metadata"]),
        (&json!("high"), &json!("b-1"), &json!({"matter": 7}))
    );
    assert_eq!((&view["attempt"], &view["charged_attempts"]), (&json!(1), &json!(1)));
    for internal in ["owner", "lease_until", "request_hash", "expires_at"] {
        assert_eq!(view.get(internal), None, "{internal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn repeated_key_returns_its_job_and_other_request_conflicts() {
    let world = World::new().await;
    let producer = world.producer().await;
    let document = |text: &str| json!({"document": text});
    let (_, _, first) = send_request(&producer, post_job(document("one"), Some("key"))).await;
    let (status, _, repeated) = send_request(&producer, post_job(document("one"), Some("key"))).await;
    assert_eq!((status, &repeated), (202, &first));
    assert_eq!(world.queued().await.0, 2, "the job is pending, so its message is sent again");
    let (status, headers, problem) = send_request(&producer, post_job(document("two"), Some("key"))).await;
    assert_eq!((status, &problem["status"]), (409, &json!(409)));
    assert_eq!(headers["content-type"], json!(["application/problem+json"]));
    assert_eq!(world.queued().await.0, 2);
    // Both messages together make one call. Once the job is complete, a repeated request
    // sends no message.
    let consumer = world.consumer().await;
    let messages = test_support::aws::drain_messages(&world.sdk, &world.queue).await;
    let record = |n: usize| json!({"messageId": format!("m-{n}"), "receiptHandle": "r", "body": messages[n].body});
    consumer.invoke(json!({"Records": [record(0), record(1)]}), Duration::from_secs(30)).await.expect("a response");
    assert_eq!(world.model.calls()["total"], 1);
    let (status, _, done) = send_request(&producer, post_job(document("one"), Some("key"))).await;
    assert_eq!((status, &done["status"]), (202, &json!("complete")));
    assert_eq!(world.queued().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn invalid_request_gets_a_problem_that_names_the_field() {
    let world = World::new().await;
    let producer = world.producer().await;
    let (status, headers, problem) = send_request(&producer, event("api-post-invalid")).await;
    assert_eq!(status, 422);
    assert_eq!(headers["content-type"], json!(["application/problem+json"]));
    assert!(problem["field"] == "document" || problem["field"] == "documnet", "{problem}");
    assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(send_request(&producer, get_job("unknown")).await.0, 404);
    assert_eq!(send_request(&producer, get_job("not an id")).await.0, 404);
    assert_eq!(world.queued().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn internal_error_gives_the_caller_a_request_id_and_no_detail() {
    let mut world = World::new().await;
    world.queue += "-does-not-exist";
    let producer = world.producer().await;
    let (status, _, problem) =
        send_request(&producer, post_job(json!({"document": "text", "job_id": "j-1"}), None)).await;
    assert_eq!(status, 503, "202 means that the message is in the queue");
    assert_eq!(problem["job_id"], "j-1");
    let request_id = problem["request_id"].as_str().unwrap().to_owned();
    for internal in ["sqs", "SQS", "Queue", "dynamodb", "arn:", "http"] {
        assert!(!problem.to_string().contains(internal), "{problem}");
    }
    let output = producer.output().await;
    assert!(output.contains(&request_id) && output.contains("sqs:SendMessage"), "{output}");
}
