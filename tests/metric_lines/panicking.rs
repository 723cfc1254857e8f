//! A panic while the consumer handles a record. The function's binary has no switch for it, so
//! this program runs the consumer itself, in a second process whose output it reads.

use aws_lambda_events::event::sqs::SqsEvent;
use aws_sdk_bedrockruntime::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept};
use aws_sdk_bedrockruntime::error::BoxError;
use docket::aws::model::Model;
use docket::clock::now;
use docket::config::ConsumerConfig;
use docket::consumer::Consumer;
use test_support::aws::World;

use crate::situations::{TIME, messages};

#[derive(Debug)]
struct Panics;

impl Intercept for Panics {
    fn name(&self) -> &'static str {
        "Panics"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        panic!("the panic that the test injects")
    }
}

/// Prints the metric lines of a consumer that panics.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn panicking_consumer_writes_a_metric() {
    let world = World::new().await;
    let environment = world.environment();
    let config = ConsumerConfig::read(&|name| environment.get(name).cloned()).expect("a complete environment");
    let client = aws_sdk_bedrockruntime::config::Builder::from(&world.sdk)
        .endpoint_url(&world.model.url)
        .interceptor(Panics)
        .build();
    let model = Model::with_client(aws_sdk_bedrockruntime::Client::from_conf(client), config.model.clone());
    let consumer = Consumer::with_model(&world.sdk, config, model);
    let event: SqsEvent = serde_json::from_value(world.deliver(&messages("panics", 1)).await).expect("an event");
    let response = consumer.handle(event, now() + TIME, "under-test").await.expect("a response");
    assert_eq!(response.batch_item_failures.len(), 1);
}

/// The output of the test above in a second process.
pub fn output() -> String {
    let program = std::env::current_exe().expect("the path of the test's binary");
    let arguments = ["--exact", "panicking::panicking_consumer_writes_a_metric", "--ignored", "--nocapture"];
    let output = std::process::Command::new(program).args(arguments).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
