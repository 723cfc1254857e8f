//! The producer Lambda: reads the environment, builds the clients, runs.

use docket::config::ProducerConfig;
use docket::producer::Producer;
use docket::{aws, telemetry};
use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let config = ProducerConfig::read(&|name| std::env::var(name).ok())?;
    let producer = &Producer::new(&aws::load_config().await, config);
    run(service_fn(async |request: Request| Ok::<_, Error>(producer.handle(request).await))).await
}
