//! The situations, each with the real binary of its function.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use docket::clock::now;
use docket::domain::hold::HoldTarget;
use docket::domain::message::control::Control;
use serde_json::{Value, json};
use test_support::aws::{World, drain_messages, receive};
use test_support::event_listener::create_bus;
use test_support::function::Function;
use test_support::{api, unique};

use crate::{metric_lines, panicking};

/// Time of one invocation, from its start to its deadline.
pub const TIME: Duration = Duration::from_secs(30);
const MODEL: &str = "test.model-v1:0";
const DAYS: i64 = 24 * 60 * 60 * 1_000;

type Lines = BTreeMap<&'static str, Vec<Value>>;
type Message = (String, HashMap<String, String>);

/// Messages of jobs whose ids begin with `prefix`.
pub fn messages(prefix: &str, count: usize) -> Vec<Message> {
    let body = |n| json!({"job_id": format!("{prefix}-{n}"), "document": "The tenant pays a rent of 900 euros."});
    (0..count).map(|n| (body(n).to_string(), HashMap::new())).collect()
}

fn control(control: &Control) -> Message {
    (serde_json::to_string(control).expect("JSON"), HashMap::new())
}

fn probe(number: u32) -> Message {
    control(&Control::Probe { target: HoldTarget::Model(MODEL.to_owned()), number })
}

fn sweep() -> Message {
    control(&Control::Sweep(Default::default()))
}

/// Changes the time at which the messages of an event were sent.
fn age(mut event: Value, days: i64) -> Value {
    for record in event["Records"].as_array_mut().expect("records") {
        record["attributes"]["SentTimestamp"] = json!((now().as_millisecond() - days * DAYS).to_string());
    }
    event
}

/// Invokes a new consumer once, and returns its metric lines.
async fn consume(world: &World, settings: &[(&str, &str)], event: Value) -> Vec<Value> {
    let consumer = world.consumer_with(settings).await;
    consumer.invoke(event, TIME).await.expect("a response");
    metric_lines(&consumer.output().await)
}

/// The lines of each situation.
pub async fn record_all() -> Lines {
    let mut lines = Lines::new();
    record_results(&mut lines).await;
    record_hold(&mut lines).await;
    record_quota(&mut lines).await;
    record_pause_and_purge(&mut lines).await;
    record_events(&mut lines).await;
    lines.insert("panicked", metric_lines(&panicking::output()));
    lines
}

async fn record_results(lines: &mut Lines) {
    let world = World::new().await;
    let good = world.deliver(&messages("good", 10)).await;
    lines.insert("completed", consume(&world, &[], good.clone()).await);
    lines.insert("old_copy_of_ended_job", consume(&world, &[], age(good, 8)).await);
    world.model.behave(json!({"faults": [{"kind": "guardrail", "job_id": "one-0"}]}));
    let one_fails = world.deliver(&messages("one", 10)).await;
    lines.insert("one_of_ten_failed", consume(&world, &[], one_fails).await);
    world.model.behave(json!({"faults": [{"kind": "guardrail"}]}));
    let all_fail = world.deliver(&messages("all", 10)).await;
    lines.insert("all_failed", consume(&world, &[], all_fail).await);
    world.model.behave(json!({"faults": [{"kind": "throttling"}]}));
    let throttled = world.deliver(&messages("throttled", 10)).await;
    lines.insert("throttled", consume(&world, &[], throttled).await);
    world.model.behave(json!({"faults": [{"kind": "unfit"}]}));
    let unfit = world.deliver(&messages("unfit", 3)).await;
    lines.insert("unfit_answers", consume(&world, &[], unfit).await);
    let idle = World::new().await;
    let event = idle.deliver(&[sweep()]).await;
    lines.insert("idle_sweep", consume(&idle, &[], event).await);
}

async fn record_hold(lines: &mut Lines) {
    let world = World::new().await;
    world.model.behave(json!({"faults": [{"kind": "access_denied"}]}));
    let first = world.deliver(&messages("first", 5)).await;
    lines.insert("hold_opened", consume(&world, &[], first).await);
    let waiting = world.deliver(&messages("waiting", 5)).await;
    lines.insert("waits_for_hold", consume(&world, &[], waiting.clone()).await);
    lines.insert("waits_for_hold_8_days", consume(&world, &[], age(waiting, 8)).await);
    let event = world.deliver(&[probe(0)]).await;
    lines.insert("probe_failed", consume(&world, &[], event).await);
    let event = world.deliver(&[sweep()]).await;
    lines.insert("sweep_during_hold", consume(&world, &[], event).await);
    world.model.behave(json!({}));
    let event = world.deliver(&[probe(1)]).await;
    lines.insert("hold_ended", consume(&world, &[], event).await);
    // The end of the hold has sent the message that resends the waiting jobs.
    drain_messages(&world.sdk, &world.queue).await;
    let event = world.deliver(&[sweep()]).await;
    lines.insert("sweep_after_hold", consume(&world, &[], event).await);
}

async fn record_quota(lines: &mut Lines) {
    let world = World::new().await;
    let table = unique("quotas");
    let name = AttributeDefinition::builder().attribute_name("quota").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("quota").key_type(KeyType::Hash);
    let client = aws_sdk_dynamodb::Client::new(&world.sdk);
    let request = client.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    let request = request.attribute_definitions(name.build().expect("a complete definition"));
    request.key_schema(key.build().expect("a complete definition")).send().await.expect("a table");
    let settings = [("QUOTAS_TABLE", table.as_str()), ("MODEL_TOKENS_PER_MINUTE", "600000")];
    let within = world.deliver(&messages("within", 5)).await;
    lines.insert("completed_within_quota", consume(&world, &settings, within).await);
    // Other environments have reserved the quota of ten minutes.
    let until = now().as_microsecond() + 600_000_000;
    let item = [
        ("quota".to_owned(), AttributeValue::S(MODEL.to_owned())),
        ("used_until_us".to_owned(), AttributeValue::N(until.to_string())),
    ];
    client.put_item().table_name(&table).set_item(Some(item.into())).send().await.expect("written");
    let over = world.deliver(&messages("over", 10)).await;
    lines.insert("over_quota", consume(&world, &settings, over).await);
}

async fn record_pause_and_purge(lines: &mut Lines) {
    let world = World::new().await;
    let producer = world.producer().await;
    let ask = async |method: &str, resource: &str, id: &str, query: &[(&str, &str)], body: Value| {
        let (status, answer) = api::ask(&producer, method, resource, id, query, body).await;
        assert!(status < 300, "{method} {resource} {id}: {status} {answer}");
    };
    ask("POST", "/batches", "", &[], json!({"batch_id": "leases"})).await;
    ask("POST", "/batches/{batch_id}/pause", "leases", &[], Value::Null).await;
    let job = |n| json!({"job_id": format!("paused-{n}"), "document": "The rent is 900 euros."});
    let jobs: Vec<Value> = (0..5).map(job).collect();
    ask("POST", "/batches/{batch_id}/jobs", "leases", &[], json!({"jobs": jobs})).await;
    let records = receive(&world.sdk, &world.queue, 600).await;
    lines.insert("waits_for_pause", consume(&world, &[], json!({"Records": records})).await);
    ask("DELETE", "/jobs/{job_id}", "paused-0", &[("purge", "true")], Value::Null).await;
    lines.insert("jobs_accepted", metric_lines(&producer.output().await));
    let mut environment = world.environment();
    environment.insert("AWS_LAMBDA_FUNCTION_NAME".to_owned(), "under-test".to_owned());
    let purger = Function::start("purger", &environment).await;
    // The purge waits for running work, so its message returns until it is done.
    for _ in 0..20 {
        let records = receive(&world.sdk, &world.purges, 1).await;
        if !records.is_empty() {
            let answer = purger.invoke(json!({"Records": records}), TIME).await.expect("a response");
            if answer["batchItemFailures"] == json!([]) {
                break;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    lines.insert("job_purged", metric_lines(&purger.output().await));
}

async fn record_events(lines: &mut Lines) {
    let world = World::new().await;
    let bus = create_bus(&world.sdk).await;
    let image = |job_id: &str, status: &str| {
        json!({
            "job_id": {"S": job_id}, "status": {"S": status}, "attempt": {"N": "1"}, "charged_attempts": {"N": "1"},
            "priority": {"S": "normal"}, "created_at": {"S": "2026-11-22T09:59:50Z"},
            "updated_at": {"S": "2026-11-22T10:00:00Z"}, "completed_at": {"S": "2026-11-22T10:00:00Z"},
            "error": {"M": {"code": {"S": "model_timeout"}, "message": {"S": "no answer"}}},
            "lease_until": {"N": "1795341785000"},
        })
    };
    let record = |n: usize| {
        json!({
            "eventID": format!("e-{n}"), "eventName": "MODIFY", "eventSource": "aws:dynamodb",
            "dynamodb": {
                "SequenceNumber": format!("{n:021}"), "StreamViewType": "NEW_AND_OLD_IMAGES",
                "OldImage": image(&format!("j-{n}"), "processing"), "NewImage": image(&format!("j-{n}"), "failed"),
            },
        })
    };
    let event = json!({"Records": (1..=5).map(record).collect::<Vec<_>>()});
    let mut environment = world.environment();
    for (situation, endpoint) in
        [("events_published", None), ("events_not_published", Some("http://127.0.0.1:9".to_owned()))]
    {
        environment.insert("EVENT_BUS_NAME".to_owned(), bus.clone());
        environment.extend(endpoint.map(|url| ("AWS_ENDPOINT_URL_EVENTBRIDGE".to_owned(), url)));
        let notifier = Function::start("notifier", &environment).await;
        notifier.invoke(event.clone(), TIME).await.expect("a response");
        lines.insert(situation, metric_lines(&notifier.output().await));
    }
}
