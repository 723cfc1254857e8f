//! The table, bus and notifier of one test, and records of the table's stream.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use docket::aws::jobs::Jobs;
use docket::domain::batch::shard::Group;
use docket::domain::limits::FINISH_CHECK_JOBS;
use serde_json::{Value, json};

use crate::fault_proxy::FaultProxy;
use test_support::aws::World;
use test_support::event_listener::{Listener, create_bus, docket_events};
use test_support::function::Function;

/// Time of one invocation, from its start to its deadline.
const TIME: Duration = Duration::from_secs(30);

pub struct NotifierFixture {
    pub world: World,
    pub bus: String,
    pub proxy: FaultProxy,
    pub listener: Listener,
}

impl NotifierFixture {
    pub async fn new() -> Self {
        let world = World::new().await;
        let bus = create_bus(&world.sdk).await;
        let proxy = FaultProxy::start(world.sdk.endpoint_url().expect("the local AWS has an endpoint")).await;
        let listener = Listener::on(&world.sdk, &bus, docket_events()).await;
        Self { world, bus, proxy, listener }
    }

    /// Starts the real notifier, with the proxy between it and the bus and table.
    pub async fn notifier(&self) -> Function {
        let environment: HashMap<String, String> = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", &self.proxy.url),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.proxy.url),
            ("JOBS_TABLE", &self.world.table),
            ("EVENT_BUS_NAME", &self.bus),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        Function::start(env!("CARGO_BIN_EXE_notifier"), &environment).await
    }

    /// Writes an item to the jobs table.
    pub async fn write_item(&self, image: &Value) {
        let item: serde_dynamo::Item = serde_json::from_value(image.clone()).expect("an image");
        let item: HashMap<String, AttributeValue> = item.into();
        self.world.put_item(item).await;
    }

    /// Sends every query of the notifier through the proxy, so that a frozen index repeats
    /// the current answers.
    pub async fn record_index(&self, batch_id: &str) {
        let sdk = self.world.sdk.clone().into_builder().endpoint_url(&self.proxy.url).build();
        let jobs = Jobs::new(&sdk, self.world.table.clone(), Duration::ZERO);
        let batch_id = batch_id.parse().expect("a valid batch id");
        jobs.get_unfinished(Group::Batch(&batch_id), None, FINISH_CHECK_JOBS).await.expect("a page");
        jobs.tally(&batch_id, docket::clock::now()).await.expect("a tally");
    }
}

/// The stream image of a stored job; an empty `batch_id` means none.
pub fn image(job_id: &str, batch_id: &str, status: &str, attempt: u32) -> Value {
    let mut image = json!({
        "job_id": {"S": job_id}, "status": {"S": status}, "attempt": {"N": attempt.to_string()},
        "charged_attempts": {"N": "1"}, "priority": {"S": "normal"},
        "created_at": {"S": "2026-11-22T09:59:50Z"}, "updated_at": {"S": "2026-11-22T10:00:00Z"},
    });
    let more = match status {
        "processing" => json!({"lease_until": {"N": "1795341785000"}}),
        "complete" => json!({
            "model_id": {"S": "model"}, "completed_at": {"S": "2026-11-22T10:00:00Z"},
            "usage": {"M": {"input_tokens": {"N": "7"}, "output_tokens": {"N": "3"}}},
            "result": {"M": {"summary": {"S": "PRIVATE"}}},
        }),
        "failed" => json!({
            "completed_at": {"S": "2026-11-22T10:00:00Z"},
            "error": {"M": {"code": {"S": "access_denied_exception"}, "message": {"S": "PRIVATE"}}},
        }),
        _ => json!({}),
    };
    image.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let batch = batch_id.parse().ok();
    let partition = Group::from_batch(batch.as_ref()).partition_of(&job_id.parse().expect("a valid job id"));
    if batch.is_some() {
        image["batch_id"] = json!({"S": batch_id});
        image["batch_shard"] = json!({"S": partition});
    }
    match status {
        "pending" | "processing" => image["unfinished"] = json!({"S": partition}),
        _ => image["ended"] = json!({"S": format!("{status}/{job_id}")}),
    }
    image
}

/// The stream record of a change.
pub fn change(number: usize, before: Value, after: Value) -> Value {
    json!({
        "eventID": format!("e-{number}"), "eventName": "MODIFY", "eventSource": "aws:dynamodb",
        "dynamodb": {
            "SequenceNumber": sequence(number), "StreamViewType": "NEW_AND_OLD_IMAGES",
            "OldImage": before, "NewImage": after,
        },
    })
}

/// The stream record of a job that changes from `processing` to `status`.
pub fn end(number: usize, job_id: &str, batch_id: &str, status: &str) -> Value {
    change(number, image(job_id, batch_id, "processing", 1), image(job_id, batch_id, status, 1))
}

/// The sequence number of a stream record.
pub fn sequence(number: usize) -> String {
    format!("{number:021}")
}

/// Invokes the function with stream records, and returns the sequence numbers of the
/// failed ones.
pub async fn invoke(function: &Function, records: &[Value]) -> Vec<String> {
    let answer = function.invoke(json!({"Records": records}), TIME).await.expect("a response");
    let failures = answer["batchItemFailures"].as_array().expect("a list").iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().expect("a sequence number").to_owned()).collect()
}

/// Invokes the function until no record fails, and returns the number of invocations. As
/// Lambda does, each retry starts at the first failed record and has all later ones.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
pub async fn deliver(function: &Function, mut records: &[Value]) -> usize {
    for invocation in 1..=50 {
        let failures = invoke(function, records).await;
        let failed = |record: &Value| failures.iter().any(|number| record["dynamodb"]["SequenceNumber"] == **number);
        match records.iter().position(failed) {
            Some(first) => records = &records[first..],
            None => return invocation,
        }
    }
    panic!("records still fail after fifty invocations");
}
