//! The purger Lambda: reads the environment, builds the clients, runs.

use aws_lambda_events::event::sqs::SqsEvent;
use docket::aws::{AwsConfig, sdk_config};
use docket::config::PurgerConfig;
use docket::purger::Purger;
use docket::{clock, log};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let lookup = &|name: &str| std::env::var(name).ok();
    let sdk = sdk_config(AwsConfig::read(lookup)?);
    let purger = &Purger::new(&sdk, PurgerConfig::read(lookup)?);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = clock::deadline(event.context.deadline);
        let function = &event.context.env_config.function_name;
        Ok::<_, Error>(purger.handle(event.payload, deadline, function).await)
    }))
    .await
}
