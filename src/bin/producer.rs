//! The producer Lambda: reads the environment, builds the clients, runs.

use docket::aws::{AwsConfig, sdk_config};
use docket::config::ProducerConfig;
use docket::log;
use docket::producer::Producer;
use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let lookup = &|name: &str| std::env::var(name).ok();
    let sdk = sdk_config(AwsConfig::read(lookup)?);
    let producer = &Producer::new(&sdk, ProducerConfig::read(lookup)?);
    run(service_fn(async |request: Request| Ok::<_, Error>(producer.handle(request).await))).await
}
