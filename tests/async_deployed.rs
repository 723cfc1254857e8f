//! Jobs that run as long invocations, on the deployed stack: sent to the API and
//! to the queue, alone and in batches. The stack under test allows one model for
//! them (tools/test.py).

use std::collections::BTreeSet;

use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends as SystemAttribute, MessageSystemAttributeValue, QueueAttributeName,
};
use docket::clock::now;
use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

const MODEL: &str = "amazon.nova-reel-v1:1";

fn behave(stack: &Stack, behaviour: Value) {
    stand_in::put(&stack.outputs["ModelEndpointUrl"], behaviour);
}

fn async_invoke(text: &str) -> Value {
    json!({"model_id": MODEL, "model_input": {"taskType": "TEXT_VIDEO", "text": text}, "tags": {"team": "film"}})
}

fn job(job_id: &str) -> Value {
    json!({"job_id": job_id, "async_invoke": async_invoke("a piano in the rain")})
}

fn read_job(stack: &Stack, job_id: &str) -> Value {
    stack.ask("GET", &format!("/jobs/{job_id}"), Value::Null).1
}

async fn wait_for(stack: &Stack, job_id: &str, status: &str) -> Value {
    eventually(status, async || (stack.status(job_id).await == status).then_some(())).await;
    read_job(stack, job_id)
}

/// The outcome of each record of a job in the consumer's log, with its duration in
/// milliseconds.
fn read_record_outcomes(stack: &Stack, job_id: &str, since: Timestamp) -> Vec<(String, u64)> {
    let consumer = &stack.outputs["ConsumerFunctionName"];
    let group = format!("/docket/{}/consumer", consumer.split("-Consumer").next().unwrap());
    let filter = json!({"logGroupName": group, "startTime": since.as_millisecond(), "limit": 10_000});
    let headers = [("x-amz-target", "Logs_20140328.FilterLogEvents"), ("content-type", "application/x-amz-json-1.1")];
    let answer = stack.aws("logs", "POST", "/", filter, &headers);
    let lines = answer["events"].as_array().expect("events").iter().filter_map(|event| event["message"].as_str());
    let lines = lines.flat_map(str::lines).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let job_lines = lines.filter(|line| line["message"] == "record handled" && line["job_id"] == job_id);
    job_lines.map(|line| (line["outcome"].as_str().unwrap().to_owned(), line["elapsed_ms"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn long_job_is_one_invocation_and_no_function_waits_for_it() {
    let stack = Stack::new().await;
    behave(&stack, json!({"async_latency_ms": 60_000}));
    let (id, begun) = (unique("minute"), now());
    assert_eq!(stack.ask("POST", "/jobs", job(&id)).0, 202);
    stack.send(&vec![job(&id).to_string(); 19]).await;
    let running = eventually("the start of the invocation", async || {
        read_job(&stack, &id)["invocation_arn"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(read_job(&stack, &id)["status"], "processing");
    let done = wait_for(&stack, &id, "complete").await;
    assert_eq!(done["invocation_arn"], running);
    assert_eq!(
        (&done["charged_attempts"], &done["usage"]["output_tokens"], &done["model_id"]),
        (&json!(1), &json!(0), &json!(MODEL))
    );
    assert!((55_000..120_000).contains(&done["model_latency_ms"].as_u64().unwrap()), "{done}");
    let objects = done["result"]["output"]["objects"].as_array().expect("objects");
    assert!(objects.iter().all(|object| object["key"].as_str().unwrap().starts_with(&format!("results/{id}/"))));
    assert_eq!(objects.len(), 2, "{done}");
    stack.wait_for_empty_queue().await;
    let calls = &stack.calls()["async"];
    assert_eq!((&calls["invocations"], &calls["starts"]), (&json!(1), &json!(1)), "{calls}");
    assert!(calls["gets"].as_u64().unwrap() <= 6, "{calls}");
    let records = read_record_outcomes(&stack, &id, begun);
    let waits = records.iter().filter(|(outcome, _)| outcome == "waiting").count();
    assert!((2..=7).contains(&waits), "{records:?}");
    let total: u64 = records.iter().map(|(_, milliseconds)| milliseconds).sum();
    assert!(total < 20_000, "twenty messages and their polls took {total} ms: {records:?}");
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn retry_by_the_api_starts_another_invocation() {
    let stack = Stack::new().await;
    let id = unique("retried");
    let fault = json!({"kind": "failed", "on": "invocation", "times": 1, "message": "no such picture"});
    behave(&stack, json!({"async_faults": [fault]}));
    assert_eq!(stack.ask("POST", "/jobs", job(&id)), (202, json!({"job_id": id, "status": "pending"})));
    let failed = wait_for(&stack, &id, "failed").await;
    assert_eq!(failed["error"], json!({"code": "invocation_failed", "message": "no such picture"}));
    assert_eq!(stack.ask("POST", &format!("/jobs/{id}/retry"), Value::Null).0, 202);
    let done = wait_for(&stack, &id, "complete").await;
    assert_ne!(done["invocation_arn"], failed["invocation_arn"]);
    let calls = &stack.calls()["async"];
    assert_eq!((&calls["invocations"], calls["by_token"].as_object().unwrap().len()), (&json!(2), 2));
    // Only the first invocation wrote a dead letter.
    assert_eq!(stack.drain_dead_letters().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn api_validates_long_jobs_and_accepts_a_repeated_request() {
    let stack = Stack::new().await;
    let id = unique("validated");
    let submit = |body: Value| {
        let (status, problem) = stack.ask("POST", "/jobs", body);
        (status, problem["field"].as_str().unwrap_or_default().to_owned())
    };
    let mut other = job(&id);
    other["async_invoke"]["model_id"] = json!("luma.ray-v2:0");
    assert_eq!(submit(other), (422, "async_invoke.model_id".into()));
    assert_eq!(
        submit(json!({"async_invoke": async_invoke("x"), "document": "Dear Sir."})),
        (422, "async_invoke".into())
    );
    let large = json!({"model_id": MODEL, "model_input": "x".repeat(900_001)});
    assert_eq!(submit(json!({"async_invoke": large})), (422, "async_invoke.model_input".into()));
    assert_eq!(stack.ask("POST", "/jobs", job(&id)).0, 202);
    assert_eq!(stack.ask("POST", "/jobs", job(&id)).0, 202, "a repeated request names the same job");
    assert_eq!(stack.ask("POST", "/jobs", json!({"job_id": id, "async_invoke": async_invoke("a flute")})).0, 409);
    wait_for(&stack, &id, "complete").await;
    // The largest allowed input reaches the model.
    let id = unique("large");
    let large = json!({"model_id": MODEL, "model_input": "x".repeat(899_998)});
    assert_eq!(stack.ask("POST", "/jobs", json!({"job_id": id, "async_invoke": large})).0, 202);
    wait_for(&stack, &id, "complete").await;
    assert_eq!(stack.calls()["async"]["invocations"], 2);
    assert_eq!(stack.drain_dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batch_counts_long_jobs_and_cancellation_ends_their_polls() {
    let stack = Stack::new().await;
    let batch = unique("mixed");
    let jobs: Vec<Value> = (0..5)
        .map(|n| json!({"job_id": format!("{batch}-{n}"), "async_invoke": async_invoke(&n.to_string())}))
        .chain([json!({"job_id": format!("{batch}-document"), "document": "Dear Sir."})])
        .collect();
    let (status, accepted) = stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    assert_eq!((status, &accepted["rejected"]), (202, &json!(0)), "{accepted}");
    let ended = stack.wait_for_batch_end(&batch, 6).await;
    assert_eq!((&ended["request_counts"]["complete"], &ended["status"]), (&json!(6), &json!("complete")));
    let (_, _, results) = stack.request("GET", &format!("/batches/{batch}/results"), "", true, &[]);
    let outputs = results.lines().filter(|line| line.contains("\"s3_uri\"")).count();
    assert_eq!(outputs, 5, "{results}");
    let calls = stack.calls()["async"].clone();
    assert_eq!((&calls["invocations"], calls["by_output"].as_object().unwrap().len()), (&json!(5), 5));

    behave(&stack, json!({"async_latency_ms": 600_000}));
    let batch = unique("cancelled");
    let ids: Vec<String> = (0..3).map(|n| format!("{batch}-{n}")).collect();
    let jobs: Vec<Value> = ids.iter().map(|id| job(id)).collect();
    stack.ask("POST", &format!("/batches/{batch}/jobs"), json!({"jobs": jobs}));
    eventually("three starts", async || {
        ids.iter().all(|id| read_job(&stack, id)["invocation_arn"].is_string()).then_some(())
    })
    .await;
    assert_eq!(stack.ask("DELETE", &format!("/batches/{batch}"), Value::Null).0, 200);
    let ended = stack.wait_for_batch_end(&batch, 3).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    let has_note: BTreeSet<bool> = ids.iter().map(|id| read_job(&stack, id)["note"].is_string()).collect();
    assert_eq!(has_note, BTreeSet::from([true]), "each job notes that its invocation may go on");
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.drain_dead_letters().await, 0);
}

/// The deployed consumer with the setting RecursiveLoop, and with a short visibility
/// time-out of its queue. Dropping it restores the template's values.
struct LoopSetting<'a> {
    stack: &'a Stack,
    visibility_timeout: String,
}

impl<'a> LoopSetting<'a> {
    async fn new(stack: &'a Stack, visibility_timeout: &str) -> Self {
        let sqs = aws_sdk_sqs::Client::new(&stack.sdk);
        let request = sqs.get_queue_attributes().queue_url(&stack.outputs["JobsQueueUrl"]);
        let answer = request.attribute_names(QueueAttributeName::VisibilityTimeout).send().await.expect("attributes");
        let before = answer.attributes.expect("attributes")[&QueueAttributeName::VisibilityTimeout].clone();
        let setting = Self { stack, visibility_timeout: before };
        setting.set_visibility_timeout(visibility_timeout);
        setting
    }

    fn path(&self) -> String {
        format!("/2024-08-31/functions/{}/recursion-config", self.stack.outputs["ConsumerFunctionName"])
    }

    fn read(&self) -> Value {
        self.stack.aws("lambda", "GET", &self.path(), Value::Null, &[])["RecursiveLoop"].clone()
    }

    fn set(&self, value: &str) {
        self.stack.aws("lambda", "PUT", &self.path(), json!({"RecursiveLoop": value}), &[]);
    }

    fn set_visibility_timeout(&self, seconds: &str) {
        let attributes = json!({"VisibilityTimeout": seconds});
        let request = json!({"QueueUrl": self.stack.outputs["JobsQueueUrl"], "Attributes": attributes});
        let headers =
            [("x-amz-target", "AmazonSQS.SetQueueAttributes"), ("content-type", "application/x-amz-json-1.0")];
        self.stack.aws("sqs", "POST", "/", request, &headers);
    }
}

impl Drop for LoopSetting<'_> {
    fn drop(&mut self) {
        self.set("Allow");
        self.set_visibility_timeout(&self.visibility_timeout);
    }
}

/// The number of invocations that Lambda stopped as recursive loops since `since`.
fn read_dropped_invocations(stack: &Stack, since: Timestamp) -> f64 {
    let dimensions = json!([{"Name": "FunctionName", "Value": stack.outputs["ConsumerFunctionName"]}]);
    let metric = json!({
        "Namespace": "AWS/Lambda", "MetricName": "RecursiveInvocationsDropped", "Dimensions": dimensions,
        "StartTime": since.as_second() - 60, "EndTime": now().as_second() + 60, "Period": 60, "Statistics": ["Sum"],
    });
    let target = "GraniteServiceVersion20100801.GetMetricStatistics";
    let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.0")];
    let answer = stack.aws("monitoring", "POST", "/", metric, &headers);
    answer["Datapoints"].as_array().into_iter().flatten().filter_map(|point| point["Sum"].as_f64()).sum()
}

/// The chain of messages is 14 invocations old when the job begins. The job's start and
/// its first poll are the invocations 15 and 16.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn lambda_stops_the_17th_invocation_unless_loops_are_allowed() {
    let stack = Stack::new().await;
    let loops = LoopSetting::new(&stack, "5").await;
    assert_eq!(loops.read(), "Allow", "the template's value");
    loops.set("Terminate");
    behave(&stack, json!({"async_latency_ms": 6_000}));
    let (id, begun) = (unique("chain"), now());
    let header = "Root=1-00000000-000000000000000000000000;Sampled=0;Lineage=14:00000000:0";
    let header = MessageSystemAttributeValue::builder().data_type("String").string_value(header).build().unwrap();
    let sqs = aws_sdk_sqs::Client::new(&stack.sdk);
    let message = sqs.send_message().queue_url(&stack.outputs["JobsQueueUrl"]).message_body(job(&id).to_string());
    message.message_system_attributes(SystemAttribute::AwsTraceHeader, header).send().await.expect("sent");
    // Lambda stops the second poll, and stops it again after each visibility time-out.
    eventually("two stopped invocations", async || (read_dropped_invocations(&stack, begun) >= 2.0).then_some(()))
        .await;
    let gets = |stack: &Stack| stack.calls()["async"]["gets"].clone();
    assert_eq!((stack.status(&id).await, gets(&stack)), ("processing", json!(1)));
    assert_eq!(read_record_outcomes(&stack, &id, begun).len(), 2, "the start and the first poll");
    // The same message ends the job when the function allows loops.
    loops.set("Allow");
    let done = wait_for(&stack, &id, "complete").await;
    assert_eq!((&done["charged_attempts"], gets(&stack)), (&json!(1), json!(2)), "{done}");
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.drain_dead_letters().await, 0);
}
