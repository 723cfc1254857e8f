//! The notifier Lambda: reads the environment, builds the clients, runs.

use docket::config::NotifierConfig;
use docket::notifier::{Notifier, StreamEvent};
use docket::{aws, clock, telemetry};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let config = NotifierConfig::read(&|name| std::env::var(name).ok())?;
    let notifier = &Notifier::new(&aws::load_config().await, config);
    run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        let deadline = clock::deadline(event.context.deadline);
        let function = &event.context.env_config.function_name;
        Ok::<_, Error>(notifier.handle(event.payload, deadline, function).await)
    }))
    .await
}
