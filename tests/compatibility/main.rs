//! The new binaries read what the previous release wrote: messages, stored jobs, dead letters,
//! cursors and events. `tests/compatibility/0.1/` has the files, and says how they were made.

mod recorded;

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::job::stored::{State, Status};
use serde_json::{Value, json};
use test_support::api;
use test_support::aws::receive;
use test_support::event_listener::{Listener, create_bus, docket_events};
use test_support::function::Function;

use recorded::{Recorded, job_id_of};

/// Time of one invocation, from its start to its deadline.
const TIME: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn queued_messages_of_the_release_are_worked_off() {
    let recorded = Recorded::restore().await;
    let (world, consumer) = (&recorded.world, recorded.world.consumer().await);
    let not_received = recorded.read("not_yet_received");
    let messages = recorded.messages("messages");
    assert!(messages.len() >= 5, "{} messages", messages.len());
    for message in &messages {
        let event = world.deliver(std::slice::from_ref(message)).await;
        let answer = consumer.invoke(event, TIME).await.expect("a response");
        assert_eq!(answer, json!({"batchItemFailures": []}), "{}", message.0);
    }
    let expected = |id: &str| if id == "release-cancelled" { "cancelled" } else { "complete" };
    let ids = not_received.as_array().expect("ids").iter().filter_map(Value::as_str);
    let ids: Vec<&str> = ids.filter(|id| !id.starts_with("batch/")).chain(["release-other-producer"]).collect();
    for id in &ids {
        assert_eq!(world.status(id).await, expected(id), "{id}");
        assert_eq!(world.model.calls_of(id), u64::from(expected(id) == "complete"), "{id}");
    }
    let high = world.row("release-high").await.expect("a stored job");
    assert_eq!(high.priority.as_str(), "high");
    let normal = world.row("release-normal").await.expect("a stored job");
    assert_eq!(normal.metadata.expect("metadata")["matter"], "4711");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn ended_jobs_of_the_release_keep_their_results() {
    let recorded = Recorded::restore().await;
    let (world, producer) = (&recorded.world, recorded.world.producer().await);
    let ask = async |resource: &str, id: &str| {
        let (status, answer) = api::ask(&producer, "GET", resource, id, &[], Value::Null).await;
        assert_eq!(status, 200, "{resource} {id}: {answer}");
        answer
    };
    let mut ended = 0;
    for item in recorded.read("stored").as_array().expect("items") {
        let id = job_id_of(item);
        if id.contains('/') {
            continue;
        }
        let view = ask("/jobs/{job_id}", id).await;
        assert_eq!(view["status"], item["status"]["S"], "{id}");
        if view["status"] == "complete" {
            ended += 1;
            assert!(view["result"]["summary"].is_string() && view["usage"]["input_tokens"].is_u64(), "{view}");
        }
    }
    assert!(ended >= 4, "{ended} complete jobs");
    let batch = ask("/batches/{batch_id}", "release-batch").await;
    let counts = &batch["request_counts"];
    assert_eq!((&counts["complete"], &counts["failed"], &counts["total"]), (&json!(4), &json!(1), &json!(5)));
    assert_eq!(batch["metadata"], json!({"team": "legal"}), "{batch}");
    // A page of one result is one line of JSON.
    let (resource, one) = ("/batches/{batch_id}/results", [("limit", "1")]);
    let (status, result) = api::ask(&producer, "GET", resource, "release-batch", &one, Value::Null).await;
    assert_eq!((status, result["result"]["summary"].is_string()), (200, true), "{result}");
    // A copy of the message makes no call.
    let consumer = world.consumer().await;
    let body = json!({"job_id": "release-complete-0", "document": recorded.document("release-complete-0")});
    let event = world.deliver(&[(body.to_string(), HashMap::new())]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(world.model.calls()["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn jobs_in_work_and_dead_letters_of_the_release_complete() {
    let recorded = Recorded::restore().await;
    let (world, consumer) = (&recorded.world, recorded.world.consumer().await);
    for item in recorded.read("in_work").as_array().expect("items") {
        world.put_item(recorded.item(item)).await;
    }
    let message = |id: &str| {
        let location = recorded.location(id);
        (json!({"job_id": id, "document_s3": location}).to_string(), HashMap::new())
    };
    // The lease of the dead worker has expired.
    let event = world.deliver(&[message("release-processing")]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let row = world.row("release-processing").await.expect("a stored job");
    assert!(matches!(row.state, State::Complete(_)), "{row:?}");
    assert_eq!((row.attempt, row.possible_duplicate_call), (2, true));
    // The job that was throttled has an attempt, and no charge. Its backoff has passed.
    let event = world.deliver(&[message("release-retried")]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let row = world.row("release-retried").await.expect("a stored job");
    assert_eq!((row.state.status(), row.charged_attempts), (Status::Complete, 1));
    // The redrive of a dead letter.
    let letters = recorded.messages("dead_letters");
    assert!(!letters.is_empty());
    let event = world.deliver(&letters).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(world.status("release-failed").await, "complete");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn waiting_jobs_of_the_release_get_their_messages() {
    let recorded = Recorded::restore().await;
    let world = &recorded.world;
    for item in recorded.read("held").as_array().expect("items") {
        world.put_item(recorded.item(item)).await;
    }
    // The hold names the model of the stack that was recorded.
    let model = [("MODEL_ID", "us.amazon.nova-2-lite-v1:0")];
    let controls = recorded.messages("controls");
    assert!(controls.iter().any(|(body, _)| body.contains("probe")), "{controls:?}");
    for (body, attributes) in controls {
        let event = world.deliver(&[(body, attributes)]).await;
        let consumer = world.consumer_with(&model).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    }
    let producer = world.producer().await;
    let (status, answer) =
        api::ask(&producer, "POST", "/batches/{batch_id}/resume", "release-paused", &[], Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    // The ends of the hold and of the pause send the messages of their jobs.
    let consumer = world.consumer_with(&model).await;
    test_support::eventually("the end of the waiting jobs", async || {
        for record in receive(&world.sdk, &world.queue, 5).await {
            let receipt = record["receiptHandle"].as_str().expect("a receipt handle").to_owned();
            let answer = consumer.invoke(json!({"Records": [record]}), TIME).await.expect("a response");
            if answer["batchItemFailures"] == json!([]) {
                let sqs = aws_sdk_sqs::Client::new(&world.sdk);
                let deleted = sqs.delete_message().queue_url(&world.queue).receipt_handle(receipt).send().await;
                deleted.expect("the message is deleted");
            }
        }
        let is_complete = async |id| world.status(id).await == "complete";
        (is_complete("release-paused-1").await && is_complete("release-on-hold").await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn cursors_of_the_release_continue_or_are_refused() {
    let recorded = Recorded::restore().await;
    let producer = recorded.world.producer().await;
    let cursors = recorded.read("cursors");
    for (name, resource, more) in [
        ("jobs", "/batches/{batch_id}/jobs", None),
        ("complete_jobs", "/batches/{batch_id}/jobs", Some(("status", "complete"))),
        ("results", "/batches/{batch_id}/results", None),
        ("batches", "/batches", None),
    ] {
        let cursor = cursors[name]["next_cursor"].as_str().unwrap_or_else(|| panic!("{name}: {}", cursors[name]));
        let query: Vec<(&str, &str)> = more.into_iter().chain([("cursor", cursor), ("limit", "1")]).collect();
        let (status, answer) = api::ask(&producer, "GET", resource, "release-batch", &query, Value::Null).await;
        // docs/reference/compatibility.md: a release may refuse the cursors of another one.
        match status {
            200 => assert!(answer["jobs"].is_array() || answer["result"].is_object() || answer["batches"].is_array()),
            _ => {
                assert_eq!(status, 422, "{name}: {answer}");
                assert_eq!(answer["field"], "cursor", "{name}: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn events_keep_the_fields_of_the_release() {
    let recorded = Recorded::restore().await;
    let world = &recorded.world;
    let bus = create_bus(&world.sdk).await;
    let listener = Listener::on(&world.sdk, &bus, docket_events()).await;
    let mut environment = world.environment();
    environment.insert("EVENT_BUS_NAME".to_owned(), bus);
    let notifier = Function::start("notifier", &environment).await;
    let stored = recorded.read("stored");
    let ended = stored.as_array().expect("items").iter().filter(|item| item.get("completed_at").is_some());
    let records = ended.enumerate().map(|(n, item)| {
        let mut before = item.clone();
        before["status"] = json!({"S": "processing"});
        json!({
            "eventID": format!("e-{n}"), "eventName": "MODIFY", "eventSource": "aws:dynamodb",
            "dynamodb": {
                "SequenceNumber": format!("{:021}", n + 1), "StreamViewType": "NEW_AND_OLD_IMAGES",
                "OldImage": before, "NewImage": item,
            },
        })
    });
    let records: Vec<Value> = records.collect();
    assert_eq!(notifier.invoke(json!({"Records": records}), TIME).await, Ok(json!({"batchItemFailures": []})));
    let mut new = Vec::new();
    test_support::eventually("the events", async || {
        new.extend(listener.received().await);
        (new.len() >= records.len()).then_some(())
    })
    .await;
    let mut compared = 0;
    for old in recorded.read("events").as_array().expect("events") {
        let same = |event: &&Value| {
            event["detail-type"] == old["detail-type"]
                && event["detail"]["job_id"] == old["detail"]["job_id"]
                && event["detail"]["status"] == old["detail"]["status"]
        };
        let Some(event) = new.iter().find(same) else { continue };
        compared += 1;
        for (field, value) in old["detail"].as_object().expect("fields") {
            let found = &event["detail"][field];
            // A job of the batch is restored by another test, so the counts of the batch differ.
            let is_kept = match old["detail-type"].as_str() {
                Some("Docket Batch Finished") => std::mem::discriminant(found) == std::mem::discriminant(value),
                _ => found == value,
            };
            assert!(is_kept, "{field} of {}: {found}", old["detail"]);
        }
    }
    assert!(compared >= 4, "{compared} events were compared");
}
