//! The notifier Lambda: reads the environment, builds the clients, runs.

use docket::aws::{AwsConfig, sdk_config};
use docket::config::NotifierConfig;
use docket::notifier::{Notifier, StreamEvent};
use docket::{clock, log};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let lookup = &|name: &str| std::env::var(name).ok();
    let sdk = sdk_config(AwsConfig::read(lookup)?);
    let notifier = &Notifier::new(&sdk, NotifierConfig::read(lookup)?);
    run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        let deadline = clock::deadline(event.context.deadline);
        let function = &event.context.env_config.function_name;
        Ok::<_, Error>(notifier.handle(event.payload, deadline, function).await)
    }))
    .await
}
