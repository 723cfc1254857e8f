//! A panic while the consumer handles one record. An interceptor of the model client
//! injects the panic, because the consumer has no switch for it.

use std::collections::HashMap;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use aws_sdk_bedrockruntime::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_sdk_bedrockruntime::operation::converse::ConverseInput;
use docket::aws::model::Model;
use docket::clock::now;
use docket::config::ConsumerConfig;
use docket::consumer::Consumer;
use docket::domain::job::stored::State;
use serde_json::json;
use test_support::aws::World;

/// Panics before the call of the job with this id is sent.
#[derive(Debug)]
struct PanicAt(&'static str);

impl Intercept for PanicAt {
    fn name(&self) -> &'static str {
        "PanicAt"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input().downcast_ref::<ConverseInput>().expect("a Converse call");
        let job_id = input.request_metadata().and_then(|metadata| metadata.get("job_id"));
        assert_ne!(job_id.map(String::as_str), Some(self.0), "the panic that the test injects");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn panic_in_one_record_fails_no_other_record() {
    let world = World::new().await;
    let environment = world.environment();
    let config = ConsumerConfig::read(&|name| environment.get(name).cloned()).expect("a complete environment");
    let client = aws_sdk_bedrockruntime::config::Builder::from(&world.sdk)
        .endpoint_url(&world.model.url)
        .interceptor(PanicAt("panics"))
        .build();
    let model = Model::with_client(aws_sdk_bedrockruntime::Client::from_conf(client), config.model.clone());
    let consumer = Consumer::with_model(&world.sdk, config, model);
    world.model.behave(json!({"faults": [{"kind": "validation", "job_id": "poison"}]}));

    let job = |id: &str| (json!({"job_id": id, "document": "A lease of a flat."}).to_string(), HashMap::new());
    let mut messages: Vec<_> = (0..7).map(|n| job(&format!("good-{n}"))).collect();
    messages.extend([job("poison"), job("panics"), ("{ malformed".to_owned(), HashMap::new())]);
    let event = world.deliver(&messages).await;
    let panicking =
        event["Records"].as_array().unwrap().iter().find(|r| r["body"].as_str().unwrap().contains("panics"));
    let panicking = panicking.unwrap()["messageId"].as_str().unwrap().to_owned();
    let event: SqsEvent = serde_json::from_value(event).expect("an event");
    let time = Duration::from_secs(12);
    let response = consumer.handle(event.clone(), now() + time, "test").await.expect("a response");

    let failures: Vec<&str> = response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
    assert_eq!(failures, [panicking], "a panic fails its record only");
    for n in 0..7 {
        assert_eq!(world.status(&format!("good-{n}")).await, "complete");
    }
    let State::Failed { error, .. } = world.row("poison").await.unwrap().state else {
        panic!("the job has not failed")
    };
    assert_eq!(error.code, "validation_exception");
    let mut codes: Vec<_> =
        world.drain_dead_letters().await.iter().map(|letter| letter.attributes["error_code"].clone()).collect();
    codes.sort();
    assert_eq!(codes, ["malformed_message", "validation_exception"]);
    // The panic leaves the stored job unchanged. The job stays `processing` until its
    // lease expires.
    assert_eq!(world.status("panics").await, "processing");
    let redelivered = consumer.handle(event, now() + time, "test").await.expect("a response");
    assert_eq!(redelivered.batch_item_failures.len(), 1);
    assert_eq!(world.row("panics").await.unwrap().attempt, 1);
    let calls = (0..7).map(|n| format!("good-{n}")).chain(["poison".to_owned()]);
    let calls: Vec<u64> = calls.map(|job_id| world.model.calls_of(&job_id)).collect();
    assert_eq!(calls, [1; 8], "one call for each of the seven good jobs and the poison");
}
