//! The notifier's real binary at the wire: what it tells, what it has again, and
//! that nobody misses a batch's end.

mod fault_proxy;
mod fixture;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_eventbridge::types::{
    ApiDestinationHttpMethod, ConnectionAuthorizationType, CreateConnectionApiKeyAuthRequestParameters,
    CreateConnectionAuthRequestParameters, Target,
};
use axum::http::HeaderMap;
use fault_proxy::ClaimRejected;
use fixture::{NotifierFixture, change, deliver, end, invoke, row, sequence};
use serde_json::{Value, json};
use test_support::event_listener::{attach, everything, is_of_a_batch};
use test_support::{event, eventually, read, unique};

fn jobs(events: &[Value]) -> Vec<&str> {
    let jobs = events.iter().filter(|event| !is_of_a_batch(event));
    jobs.map(|event| event["detail"]["job_id"].as_str().expect("a job id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn exactly_the_changes_into_a_finished_status_are_told_without_a_filter() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let row = |status| row("j", "", status, 1);
    let batch =
        json!({"job_id": {"S": "batch/b"}, "batch_id": {"S": "b"}, "created_at": {"S": "2026-11-22T10:00:00Z"}});
    let others = [
        change(1, row("pending"), row("processing")),
        change(2, row("processing"), row("pending")),
        change(3, row("failed"), row("pending")),
        change(4, row("complete"), row("complete")),
        change(5, batch.clone(), batch),
        change(6, row("processing"), json!({"job_id": {"S": "j"}, "status": {"S": "complete"}})),
        json!({"eventName": "INSERT", "dynamodb": {"SequenceNumber": "7", "NewImage": row("complete")}}),
        json!({"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "8", "OldImage": row("complete")}}),
    ];
    assert_eq!(invoke(&notifier, &others).await, Vec::<String>::new());
    assert_eq!(fixture.listener.received().await, Vec::<Value>::new());
    for (before, after) in [("processing", "complete"), ("processing", "failed"), ("pending", "cancelled")] {
        assert_eq!(invoke(&notifier, &[change(9, row(before), row(after))]).await, Vec::<String>::new());
        let heard = fixture.listener.received().await;
        let [event] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((&event["detail-type"], &event["source"]), (&json!("Docket Job Finished"), &json!("docket")));
        assert_eq!(event["detail"]["status"], after);
        assert_eq!(event["detail"]["path"], "/jobs/j");
        assert!(!event.to_string().contains("PRIVATE"), "{event}");
    }
    assert!(!notifier.output().await.contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_sample_event_is_told() {
    let fixture = NotifierFixture::new().await;
    let answer = invoke(&fixture.notifier().await, event("stream-finished")["Records"].as_array().unwrap()).await;
    assert_eq!(answer, Vec::<String>::new());
    let detail = &fixture.listener.received().await[0]["detail"];
    assert_eq!(detail["job_id"], "lease-2026-07");
    assert_eq!(detail["usage"], json!({"input_tokens": 812, "output_tokens": 143}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn exactly_what_the_bus_refuses_is_wanted_again() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let records: Vec<Value> = (0..25).map(|n| end(n, &format!("j-{n}"), "", "complete")).collect();
    fixture.between.refuse([
        ClaimRejected::Entries(vec![3, 7]),
        ClaimRejected::Entries(vec![]),
        ClaimRejected::Entries(vec![4]),
    ]);
    assert_eq!(invoke(&notifier, &records).await, [3, 7, 24].map(sequence));
    // After an answer that is none, no further request is made.
    let before = fixture.between.put_events();
    fixture.between.refuse([ClaimRejected::Entries(vec![1]), ClaimRejected::Whole(400, "AccessDeniedException")]);
    let expected: Vec<String> = [1].into_iter().chain(10..25).map(sequence).collect();
    assert_eq!(invoke(&notifier, &records).await, expected);
    assert_eq!(fixture.between.put_events() - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_bus_that_refuses_for_a_while_loses_nothing() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let batch = unique("b");
    let ids: Vec<String> = (0..100).map(|n| format!("j-{n}")).collect();
    let mut records = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        fixture.write(&row(id, &batch, "complete", 1)).await;
        records.push(end(number, id, &batch, "complete"));
    }
    let outage = || [400, 429, 500, 503].map(|status| ClaimRejected::Whole(status, "ServiceUnavailable"));
    fixture.between.refuse(outage().into_iter().cycle().take(20));
    fixture.between.refuse((0..40).map(|n| match n % 4 {
        0 => ClaimRejected::Entries((0..10).collect()),
        1 => ClaimRejected::Whole(400, "ThrottlingException"),
        2 => ClaimRejected::Entries(vec![n % 10, (3 * n) % 10]),
        _ => ClaimRejected::Entries(vec![]),
    }));
    let rounds = deliver(&notifier, &records).await;
    let heard = fixture.listener.received().await;
    let told: BTreeSet<&str> = jobs(&heard).into_iter().collect();
    assert_eq!(told, ids.iter().map(String::as_str).collect(), "each at least once");
    assert!(rounds > 5, "the bus refused too little: {rounds}");
    // The batch comes after all its jobs, and its own news is not lost either.
    let last = heard.iter().position(is_of_a_batch).expect("the batch is told");
    assert_eq!(jobs(&heard[..last]).into_iter().collect::<BTreeSet<_>>(), told);
    assert_eq!(heard[last]["detail"]["request_counts"]["complete"], 100);
    assert_eq!(heard[last]["detail"]["usage"], json!({"input_tokens": 700, "output_tokens": 300}));
    println!("100 jobs told in {rounds} rounds, {} events", heard.len());
}

/// All orders of two last jobs' ends and of the two invocations that tell of
/// them, each after its own job's end; with an index that follows at once, and
/// with one that shows both jobs as running all the time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn whoever_asks_last_finds_the_batch_finished_whatever_the_index_shows() {
    let fixture = NotifierFixture::new().await;
    let notifiers = [fixture.notifier().await, fixture.notifier().await];
    for frozen in [false, true] {
        for order in ["AaBb", "ABab", "ABba", "BbAa", "BAab", "BAba"] {
            let batch = unique("b");
            fixture.write(&row(&format!("{batch}-earlier"), &batch, "failed", 1)).await;
            for job in ["a", "b"] {
                fixture.write(&row(&format!("{batch}-{job}"), &batch, "processing", 1)).await;
            }
            fixture.remember_index(&batch).await;
            fixture.between.freeze(frozen);
            let mut ended = 0;
            let mut told = 0;
            for step in order.chars() {
                let (place, id) = (usize::from(step.eq_ignore_ascii_case(&'b')), step.to_ascii_lowercase());
                let id = format!("{batch}-{id}");
                if step.is_uppercase() {
                    fixture.write(&row(&id, &batch, "complete", 1)).await;
                    ended += 1;
                    continue;
                }
                assert_eq!(invoke(&notifiers[place], &[end(1, &id, &batch, "complete")]).await, Vec::<String>::new());
                let heard = fixture.listener.received().await;
                assert_eq!(jobs(&heard), [&id]);
                for event in heard.iter().filter(|event| is_of_a_batch(event)) {
                    assert_eq!(ended, 2, "{order}: told before the last job's end");
                    let counts = &event["detail"]["request_counts"];
                    let expected =
                        json!({"total": 3, "pending": 0, "processing": 0, "complete": 2, "failed": 1, "cancelled": 0});
                    assert_eq!(*counts, expected, "{order}, frozen: {frozen}");
                    assert_eq!(event["detail"]["status"], "complete");
                    told += 1;
                }
            }
            assert!(told >= 1, "{order}, frozen: {frozen}: nobody told the batch's end");
            fixture.between.freeze(false);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_batch_of_many_is_told_though_the_index_shows_all_as_running() {
    let fixture = NotifierFixture::new().await;
    let notifier = fixture.notifier().await;
    let batch = unique("b");
    let ids: Vec<String> = (0..130).map(|n| format!("{batch}-{n}")).collect();
    for id in &ids {
        fixture.write(&row(id, &batch, "processing", 1)).await;
    }
    fixture.remember_index(&batch).await;
    fixture.between.freeze(true);
    for id in &ids[1..] {
        fixture.write(&row(id, &batch, "cancelled", 1)).await;
    }
    let last = end(2, &ids[0], &batch, "complete");
    assert_eq!(invoke(&notifier, &[end(1, &ids[1], &batch, "cancelled")]).await, Vec::<String>::new());
    assert!(!fixture.listener.received().await.iter().any(is_of_a_batch), "one job is running still");
    fixture.write(&row(&ids[0], &batch, "complete", 1)).await;
    assert_eq!(invoke(&notifier, &[last]).await, Vec::<String>::new());
    let heard = fixture.listener.received().await;
    let told = heard.iter().find(|event| is_of_a_batch(event)).expect("the batch is told");
    assert_eq!(told["detail"]["request_counts"]["cancelled"], 129);
    assert_eq!(told["detail"]["request_counts"]["total"], 130);
}

/// The template's connection and destination, made by hand: the local AWS has
/// both, and no CloudFormation of them; nor does it try a webhook again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_webhook_is_posted_to_with_its_key() {
    let template = read("template.yaml");
    let header = template.split("ApiKeyName: ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a name");
    let fixture = NotifierFixture::new().await;
    let (url, posted) = server().await;
    let client = aws_sdk_eventbridge::Client::new(&fixture.world.sdk);
    let key = CreateConnectionApiKeyAuthRequestParameters::builder().api_key_name(header).api_key_value("the key");
    let key = CreateConnectionAuthRequestParameters::builder().api_key_auth_parameters(key.build().expect("whole"));
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
    attach(&fixture.world.sdk, &fixture.bus, everything(), target.build().expect("whole")).await;
    invoke(&fixture.notifier().await, &[end(1, "by-webhook", "", "failed")]).await;
    let (headers, body) = eventually("a request", async || posted.lock().unwrap().pop()).await;
    assert_eq!(headers[header.to_ascii_lowercase()], "the key");
    assert_eq!(body["detail-type"], "Docket Job Finished");
    assert_eq!(body["detail"]["error_code"], "access_denied_exception");
}

type Posted = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// A server on loopback, and what is posted to it.
async fn server() -> (String, Posted) {
    let posted = Posted::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let kept = posted.clone();
    let handler = async move |headers: HeaderMap, axum::Json(body): axum::Json<Value>| {
        kept.lock().unwrap().push((headers, body));
    };
    let router = axum::Router::new().route("/docket", axum::routing::post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, posted)
}
