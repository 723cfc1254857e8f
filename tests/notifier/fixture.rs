//! A table, a bus and a notifier that one test has for itself, and changes of
//! rows as the table's stream gives them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use docket::aws::jobs::Jobs;
use docket::domain::batch::cursor::Select;
use docket::domain::batch::shard::shard_of;
use docket::domain::limits::LOOKED_AT_FIRST;
use serde_json::{Value, json};

use crate::fault_proxy::FaultProxy;
use test_support::aws::World;
use test_support::event_listener::{Listener, bus, everything};
use test_support::function::Function;

const TIME: Duration = Duration::from_secs(30);

pub struct NotifierFixture {
    pub world: World,
    pub bus: String,
    pub between: FaultProxy,
    pub listener: Listener,
}

impl NotifierFixture {
    pub async fn new() -> Self {
        let world = World::new().await;
        let bus = bus(&world.sdk).await;
        let between = FaultProxy::start(world.sdk.endpoint_url().expect("a local AWS")).await;
        let listener = Listener::on(&world.sdk, &bus, everything()).await;
        Self { world, bus, between, listener }
    }

    /// The real binary, with what stands between on its way to the bus and the
    /// table.
    pub async fn notifier(&self) -> Function {
        let environment: HashMap<String, String> = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", &self.between.url),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.between.url),
            ("JOBS_TABLE", &self.world.table),
            ("EVENT_BUS_NAME", &self.bus),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        Function::start(env!("CARGO_BIN_EXE_notifier"), &environment).await
    }

    /// Writes a row as it is.
    pub async fn write(&self, image: &Value) {
        let item: serde_dynamo::Item = serde_json::from_value(image.clone()).expect("an image");
        let item: HashMap<String, AttributeValue> = item.into();
        self.world.put_item(item).await;
    }

    /// Has the index remembered as it is now, all that the notifier may ask.
    pub async fn remember_index(&self, batch_id: &str) {
        let sdk = self.world.sdk.clone().into_builder().endpoint_url(&self.between.url).build();
        let jobs = Jobs::new(&sdk, self.world.table.clone(), Duration::ZERO);
        let batch_id = batch_id.parse().expect("a batch id");
        jobs.page(&batch_id, Select::Unfinished, None, LOOKED_AT_FIRST).await.expect("a page");
        jobs.tally(&batch_id, docket::clock::now()).await.expect("a tally");
    }
}

/// A row's image. Batches may be left out as `""`.
pub fn row(job_id: &str, batch_id: &str, status: &str, attempt: u32) -> Value {
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
    if !batch_id.is_empty() {
        let shard = shard_of(&batch_id.parse().expect("a batch id"), &job_id.parse().expect("a job id"));
        image["batch_id"] = json!({"S": batch_id});
        image["batch_shard"] = json!({"S": shard});
    }
    image
}

/// A change as the stream gives it.
pub fn change(number: usize, before: Value, after: Value) -> Value {
    json!({
        "eventID": format!("e-{number}"), "eventName": "MODIFY", "eventSource": "aws:dynamodb",
        "dynamodb": {
            "SequenceNumber": sequence(number), "StreamViewType": "NEW_AND_OLD_IMAGES",
            "OldImage": before, "NewImage": after,
        },
    })
}

/// A job's end, from `processing`.
pub fn end(number: usize, job_id: &str, batch_id: &str, status: &str) -> Value {
    change(number, row(job_id, batch_id, "processing", 1), row(job_id, batch_id, status, 1))
}

pub fn sequence(number: usize) -> String {
    format!("{number:021}")
}

/// Gives changes to the function; the numbers of those that it wants again.
pub async fn invoke(function: &Function, records: &[Value]) -> Vec<String> {
    let answer = function.invoke(json!({"Records": records}), TIME).await.expect("no error");
    let failures = answer["batchItemFailures"].as_array().expect("failures").iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().expect("a number").to_owned()).collect()
}

/// Gives changes until none is wanted again, as Lambda does: from the first that
/// is, with all after it. How often it took.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
pub async fn deliver(function: &Function, mut records: &[Value]) -> usize {
    for round in 1..=50 {
        let failures = invoke(function, records).await;
        let failed = |record: &Value| failures.iter().any(|number| record["dynamodb"]["SequenceNumber"] == **number);
        match records.iter().position(failed) {
            Some(first) => records = &records[first..],
            None => return round,
        }
    }
    panic!("fifty rounds, and still something is wanted again");
}
