//! The notifier's real binary with a real bus: the events that it publishes, the records
//! that it retries, and the end of every batch.

mod fault_proxy;
mod fixture;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_eventbridge::types::{
    ApiDestinationHttpMethod, ConnectionAuthorizationType, CreateConnectionApiKeyAuthRequestParameters,
    CreateConnectionAuthRequestParameters, Target,
};
use axum::http::HeaderMap;
use fault_proxy::BusFault;
use fixture::{NotifierFixture, change, deliver, end, image, invoke, sequence};
use serde_json::{Value, json};
use test_support::event_listener::{attach_target, docket_events, is_batch_event};
use test_support::{event, eventually, read, unique};

/// The job ids of the job events, in order.
fn job_ids(events: &[Value]) -> Vec<&str> {
    let jobs = events.iter().filter(|event| !is_batch_event(event));
    jobs.map(|event| event["detail"]["job_id"].as_str().expect("a job id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn only_changes_to_a_finished_status_are_published() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let image = |status| image("j", "", status, 1);
    let batch =
        json!({"job_id": {"S": "batch/b"}, "batch_id": {"S": "b"}, "created_at": {"S": "2026-11-22T10:00:00Z"}});
    let others = [
        change(1, image("pending"), image("processing")),
        change(2, image("processing"), image("pending")),
        change(3, image("failed"), image("pending")),
        change(4, image("complete"), image("complete")),
        change(5, batch.clone(), batch),
        change(6, image("processing"), json!({"job_id": {"S": "j"}, "status": {"S": "complete"}})),
        json!({"eventName": "INSERT", "dynamodb": {"SequenceNumber": "7", "NewImage": image("complete")}}),
        json!({"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "8", "OldImage": image("complete")}}),
    ];
    assert_eq!(invoke(&notifier, &others).await, Vec::<String>::new());
    assert_eq!(fixture.listener.received().await, Vec::<Value>::new());
    for (before, after) in [("processing", "complete"), ("processing", "failed"), ("pending", "cancelled")] {
        assert_eq!(invoke(&notifier, &[change(9, image(before), image(after))]).await, Vec::<String>::new());
        let events = fixture.listener.received().await;
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((&event["detail-type"], &event["source"]), (&json!("Docket Job Finished"), &json!("docket")));
        assert_eq!(event["detail"]["status"], after);
        assert_eq!(event["detail"]["path"], "/jobs/j");
        assert!(!event.to_string().contains("PRIVATE"), "{event}");
    }
    assert!(!notifier.output().await.contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn sample_stream_event_is_published() {
    let fixture = NotifierFixture::new().await;
    let failed = invoke(&fixture.notifier().await, event("stream-finished")["Records"].as_array().unwrap()).await;
    assert_eq!(failed, Vec::<String>::new());
    let detail = &fixture.listener.received().await[0]["detail"];
    assert_eq!(detail["job_id"], "lease-2026-07");
    assert_eq!(detail["usage"], json!({"input_tokens": 812, "output_tokens": 143}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn only_records_of_failed_entries_are_retried() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let records: Vec<Value> = (0..25).map(|n| end(n, &format!("j-{n}"), "", "complete")).collect();
    fixture.proxy.inject([BusFault::Entries(vec![3, 7]), BusFault::Entries(vec![]), BusFault::Entries(vec![4])]);
    assert_eq!(invoke(&notifier, &records).await, [3, 7, 24].map(sequence));
    // After a failed request the notifier sends no further one.
    let before = fixture.proxy.put_events_requests();
    fixture.proxy.inject([BusFault::Entries(vec![1]), BusFault::Request(400, "AccessDeniedException")]);
    let expected: Vec<String> = [1].into_iter().chain(10..25).map(sequence).collect();
    assert_eq!(invoke(&notifier, &records).await, expected);
    assert_eq!(fixture.proxy.put_events_requests() - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn no_event_is_lost_during_an_outage_of_the_bus() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let batch = unique("b");
    let ids: Vec<String> = (0..100).map(|n| format!("j-{n}")).collect();
    let mut records = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        fixture.write_item(&image(id, &batch, "complete", 1)).await;
        records.push(end(number, id, &batch, "complete"));
    }
    let outage = || [400, 429, 500, 503].map(|status| BusFault::Request(status, "ServiceUnavailable"));
    fixture.proxy.inject(outage().into_iter().cycle().take(20));
    fixture.proxy.inject((0..40).map(|n| match n % 4 {
        0 => BusFault::Entries((0..10).collect()),
        1 => BusFault::Request(400, "ThrottlingException"),
        2 => BusFault::Entries(vec![n % 10, (3 * n) % 10]),
        _ => BusFault::Entries(vec![]),
    }));
    let invocations = deliver(&notifier, &records).await;
    let events = fixture.listener.received().await;
    let published: BTreeSet<&str> = job_ids(&events).into_iter().collect();
    assert_eq!(published, ids.iter().map(String::as_str).collect(), "each job has at least one event");
    assert!(invocations > 5, "the bus failed too rarely: {invocations} invocations");
    let batch_event = events.iter().position(is_batch_event).expect("a batch event");
    let earlier: BTreeSet<&str> = job_ids(&events[..batch_event]).into_iter().collect();
    assert_eq!(earlier, published, "the batch event follows those of all its jobs");
    assert_eq!(events[batch_event]["detail"]["request_counts"]["complete"], 100);
    assert_eq!(events[batch_event]["detail"]["usage"], json!({"input_tokens": 700, "output_tokens": 300}));
    println!("notifier: events of 100 jobs in {invocations} invocations, {} events", events.len());
}

/// Two jobs, a and b, are the last of their batch. A capital letter is the end of a job, a
/// small letter is the invocation for that end. The test runs all orders, first with a
/// current index, then with one that shows both jobs as `processing` all the time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn last_invocation_publishes_the_batch_with_a_stale_index() {
    let fixture = NotifierFixture::new().await;
    let notifiers = [fixture.notifier().await, fixture.notifier().await];
    for frozen in [false, true] {
        for order in ["AaBb", "ABab", "ABba", "BbAa", "BAab", "BAba"] {
            let batch = unique("b");
            fixture.write_item(&image(&format!("{batch}-earlier"), &batch, "failed", 1)).await;
            for job in ["a", "b"] {
                fixture.write_item(&image(&format!("{batch}-{job}"), &batch, "processing", 1)).await;
            }
            fixture.record_index(&batch).await;
            fixture.proxy.freeze_index(frozen);
            let mut ended_jobs = 0;
            let mut batch_events = 0;
            for step in order.chars() {
                let (notifier, id) = (usize::from(step.eq_ignore_ascii_case(&'b')), step.to_ascii_lowercase());
                let id = format!("{batch}-{id}");
                if step.is_uppercase() {
                    fixture.write_item(&image(&id, &batch, "complete", 1)).await;
                    ended_jobs += 1;
                    continue;
                }
                let failed = invoke(&notifiers[notifier], &[end(1, &id, &batch, "complete")]).await;
                assert_eq!(failed, Vec::<String>::new());
                let events = fixture.listener.received().await;
                assert_eq!(job_ids(&events), [&id]);
                for event in events.iter().filter(|event| is_batch_event(event)) {
                    assert_eq!(ended_jobs, 2, "{order}: a batch event before the last job's end");
                    let counts = &event["detail"]["request_counts"];
                    let expected =
                        json!({"total": 3, "pending": 0, "processing": 0, "complete": 2, "failed": 1, "cancelled": 0});
                    assert_eq!(*counts, expected, "{order}, frozen: {frozen}");
                    assert_eq!(event["detail"]["status"], "complete");
                    batch_events += 1;
                }
            }
            assert!(batch_events >= 1, "{order}, frozen: {frozen}: no batch event");
            fixture.proxy.freeze_index(false);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn large_batch_is_published_with_a_stale_index() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let batch = unique("b");
    let ids: Vec<String> = (0..130).map(|n| format!("{batch}-{n}")).collect();
    for id in &ids {
        fixture.write_item(&image(id, &batch, "processing", 1)).await;
    }
    fixture.record_index(&batch).await;
    fixture.proxy.freeze_index(true);
    for id in &ids[1..] {
        fixture.write_item(&image(id, &batch, "cancelled", 1)).await;
    }
    let last = end(2, &ids[0], &batch, "complete");
    assert_eq!(invoke(&notifier, &[end(1, &ids[1], &batch, "cancelled")]).await, Vec::<String>::new());
    assert!(!fixture.listener.received().await.iter().any(is_batch_event), "one job is still processing");
    fixture.write_item(&image(&ids[0], &batch, "complete", 1)).await;
    assert_eq!(invoke(&notifier, &[last]).await, Vec::<String>::new());
    let events = fixture.listener.received().await;
    let batch_event = events.iter().find(|event| is_batch_event(event)).expect("a batch event");
    assert_eq!(batch_event["detail"]["request_counts"]["cancelled"], 129);
    assert_eq!(batch_event["detail"]["request_counts"]["total"], 130);
}

/// The test creates the template's connection and destination itself, because the local
/// AWS does not create them by CloudFormation. It does not retry a webhook either.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn webhook_receives_the_event_with_its_api_key() {
    let template = read("template.yaml");
    let header = template.split("ApiKeyName: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let header = header.expect("the template names the header");
    let fixture = NotifierFixture::new().await;
    let (url, received) = start_webhook().await;
    let client = aws_sdk_eventbridge::Client::new(&fixture.world.sdk);
    let key = CreateConnectionApiKeyAuthRequestParameters::builder().api_key_name(header).api_key_value("the key");
    let key =
        CreateConnectionAuthRequestParameters::builder().api_key_auth_parameters(key.build().expect("a complete key"));
    let connection = client
        .create_connection()
        .name(unique("webhook"))
        .authorization_type(ConnectionAuthorizationType::ApiKey)
        .auth_parameters(key.build());
    let connection = connection.send().await.expect("a connection").connection_arn.expect("an ARN");
    let destination = client
        .create_api_destination()
        .name(unique("webhook"))
        .connection_arn(connection)
        .http_method(ApiDestinationHttpMethod::Post)
        .invocation_endpoint(format!("{url}/docket"));
    let destination = destination.send().await.expect("a destination").api_destination_arn.expect("an ARN");
    let target = Target::builder().id("webhook").arn(destination).role_arn("arn:aws:iam::000000000000:role/webhook");
    let target = target.build().expect("a complete target");
    attach_target(&fixture.world.sdk, &fixture.bus, docket_events(), target).await;
    invoke(&fixture.notifier().await, &[end(1, "by-webhook", "", "failed")]).await;
    let (headers, body) = eventually("a request to the webhook", async || received.lock().unwrap().pop()).await;
    assert_eq!(headers[header.to_ascii_lowercase()], "the key");
    assert_eq!(body["detail-type"], "Docket Job Finished");
    assert_eq!(body["detail"]["error_code"], "access_denied_exception");
}

/// The headers and bodies of requests.
type Requests = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// Starts a server on the loopback interface; returns its URL and the requests to it.
async fn start_webhook() -> (String, Requests) {
    let received = Requests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let requests = received.clone();
    let handler = async move |headers: HeaderMap, axum::Json(body): axum::Json<Value>| {
        requests.lock().unwrap().push((headers, body));
    };
    let router = axum::Router::new().route("/docket", axum::routing::post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}
