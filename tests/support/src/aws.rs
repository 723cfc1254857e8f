//! The local AWS: its outputs and configuration, and the table, queues and bucket that
//! one test creates for itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use docket::aws::jobs::Jobs;
use docket::domain::ids::JobId;
use docket::domain::job::stored::StoredJob;
use serde_json::{Value, json};

use crate::function::Function;
use crate::stand_in::StandIn;
use crate::table::create_table;
use crate::unique;

/// The stack's outputs by name, from `.local/outputs.env` or the file that
/// `DOCKET_OUTPUTS` names. `make up` writes the file.
///
/// # Panics
/// If the file is missing.
pub fn outputs() -> HashMap<String, String> {
    let path =
        std::env::var("DOCKET_OUTPUTS").unwrap_or_else(|_| super::file(".local/outputs.env").display().to_string());
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{path} is missing: run `make up`, or `make test`"));
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The SDK's configuration for the local AWS: its endpoint and test credentials.
/// DynamoDB has another endpoint if the outputs name one.
pub async fn sdk() -> SdkConfig {
    let mut outputs = outputs();
    let aws = outputs.remove("AwsEndpointUrl").expect("the endpoint of the local AWS");
    let dynamodb = outputs.remove(DYNAMODB_ENDPOINT).unwrap_or_else(|| aws.clone());
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(docket::aws::http_client())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
        .into_builder()
        // The loader's own `endpoint_url` would precede the endpoint of a service.
        .endpoint_url(aws)
        .service_config(DynamoDbEndpoint(dynamodb))
        .build()
}

/// The output that names a separate endpoint of DynamoDB. `tools/second_dynamodb.py`
/// writes it.
const DYNAMODB_ENDPOINT: &str = "DynamoDbEndpointUrl";

/// The endpoint of DynamoDB. The variables and profiles of the developer must not
/// redirect a test to AWS, so the SDK receives no other setting of a service.
#[derive(Debug)]
struct DynamoDbEndpoint(String);

impl LoadServiceConfig for DynamoDbEndpoint {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.service_id() == "DynamoDB" && key.env() == "AWS_ENDPOINT_URL").then(|| self.0.clone())
    }
}

/// A message that was received and deleted.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// The message's body.
    pub body: String,
    /// The message attributes that have a string value.
    pub attributes: HashMap<String, String>,
}

/// The resources of one test: table, queues, bucket and model.
pub struct World {
    /// The SDK's configuration for the local AWS.
    pub sdk: SdkConfig,
    /// The name of the jobs table.
    pub table: String,
    /// The URL of the jobs queue.
    pub queue: String,
    /// The URL of the dead-letter queue.
    pub dead_letters: String,
    /// The URL of the queue of purges.
    pub purges: String,
    /// The name of the documents bucket.
    pub bucket: String,
    /// The stand-in for Bedrock.
    pub model: Arc<StandIn>,
}

impl World {
    /// Creates all resources, and starts the stand-in.
    pub async fn new() -> Self {
        let world = Self::with_model(Arc::new(StandIn::start_with_s3(&outputs()["AwsEndpointUrl"]))).await;
        create_table(&world.sdk, &world.table).await;
        world
    }

    /// A world with new queues that shares this world's table, bucket and model.
    pub async fn with_new_queues(&self) -> Self {
        Self { table: self.table.clone(), bucket: self.bucket.clone(), ..Self::with_model(self.model.clone()).await }
    }

    async fn with_model(model: Arc<StandIn>) -> Self {
        let sdk = sdk().await;
        let sqs = aws_sdk_sqs::Client::new(&sdk);
        let queue = sqs.create_queue().queue_name(unique("jobs")).send().await.expect("a queue").queue_url;
        let dead_letters = sqs.create_queue().queue_name(unique("dead")).send().await.expect("a queue").queue_url;
        let purges = sqs.create_queue().queue_name(unique("purges")).send().await.expect("a queue").queue_url;
        let table = unique("jobs");
        let bucket = unique("documents");
        aws_sdk_s3::Client::new(&sdk).create_bucket().bucket(&bucket).send().await.expect("the bucket is created");
        let (queue, dead_letters) = (queue.expect("a queue URL"), dead_letters.expect("a queue URL"));
        let purges = purges.expect("a queue URL");
        Self { sdk, table, queue, dead_letters, purges, bucket, model }
    }

    /// The environment variables of the consumer and the producer.
    pub fn environment(&self) -> HashMap<String, String> {
        let dynamodb = outputs().remove(DYNAMODB_ENDPOINT);
        let dynamodb = dynamodb.map(|url| ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url));
        [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", self.sdk.endpoint_url().expect("a local AWS")),
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &self.model.url),
            ("JOBS_TABLE", &self.table),
            ("JOBS_QUEUE_URL", &self.queue),
            ("DEAD_LETTER_QUEUE_URL", &self.dead_letters),
            ("DOCUMENTS_BUCKET", &self.bucket),
            ("PURGE_QUEUE_URL", &self.purges),
            ("MODEL_ID", "test.model-v1:0"),
            ("MODEL_TIMEOUT_SECONDS", "5"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .chain(dynamodb)
        .collect()
    }

    /// Starts the consumer.
    pub async fn consumer(&self) -> Function {
        self.consumer_with(&[]).await
    }

    /// Starts the consumer with further environment variables, or other values.
    pub async fn consumer_with(&self, more: &[(&str, &str)]) -> Function {
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Function::start("consumer", &environment).await
    }

    /// Starts the producer.
    pub async fn producer(&self) -> Function {
        Function::start("producer", &self.environment()).await
    }

    /// The client of the jobs table; jobs expire after 90 days.
    pub fn jobs(&self) -> Jobs {
        Jobs::new(&self.sdk, self.table.clone(), Duration::from_secs(90 * 24 * 3600))
    }

    /// The stored job, if there is one.
    pub async fn row(&self, job_id: &str) -> Option<StoredJob> {
        self.jobs().get(&job_id.parse::<JobId>().expect("a valid job id")).await.expect("the table answers")
    }

    /// The status of the stored job; `none` without one.
    pub async fn status(&self, job_id: &str) -> &'static str {
        self.row(job_id).await.map_or("none", |row| row.state.status().as_str())
    }

    /// The stored job's DynamoDB item; empty without one.
    pub async fn item(&self, job_id: &str) -> HashMap<String, AttributeValue> {
        let key = AttributeValue::S(job_id.to_owned());
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        let answer = client.get_item().table_name(&self.table).key("job_id", key).send().await;
        answer.expect("the table answers").item.unwrap_or_default()
    }

    /// Writes an item to the jobs table unchanged.
    pub async fn put_item(&self, item: HashMap<String, AttributeValue>) {
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        client.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("the item is written");
    }

    /// Lets a released job be claimed before its backoff ends.
    pub async fn end_backoff(&self, job_id: &str) {
        let mut item = self.item(job_id).await;
        item.remove("not_before").expect("the job has a backoff");
        self.put_item(item).await;
    }

    /// Receives and deletes all messages of the dead-letter queue.
    pub async fn drain_dead_letters(&self) -> Vec<ReceivedMessage> {
        drain_messages(&self.sdk, &self.dead_letters).await
    }

    /// Sends a message without attributes to the jobs queue.
    pub async fn send(&self, body: &str) {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        sqs.send_message().queue_url(&self.queue).message_body(body).send().await.expect("the message is sent");
    }

    /// Sends messages (body and attributes) to the jobs queue, and receives as many, with
    /// a visibility time-out of 10 minutes. Returns the event that an event source mapping
    /// would pass to the function; its receipt handles are real.
    pub async fn deliver(&self, messages: &[(String, HashMap<String, String>)]) -> Value {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        for (body, attributes) in messages {
            let mut request = sqs.send_message().queue_url(&self.queue).message_body(body);
            for (name, value) in attributes {
                let value = MessageAttributeValue::builder().data_type("String").string_value(value);
                request = request.message_attributes(name, value.build().expect("a data type"));
            }
            request.send().await.expect("the message is sent");
        }
        let mut records = Vec::new();
        while records.len() < messages.len() {
            records.extend(receive(&self.sdk, &self.queue, 600).await);
        }
        json!({"Records": records})
    }

    /// The number of messages in the jobs queue; see [`queued`].
    pub async fn queued(&self) -> (u64, u64) {
        queued(&self.sdk, &self.queue).await
    }
}

/// Receives up to ten messages, as records of an SQS event. They stay invisible for
/// `visibility_seconds`.
pub async fn receive(sdk: &SdkConfig, url: &str, visibility_seconds: i32) -> Vec<Value> {
    let answer = aws_sdk_sqs::Client::new(sdk)
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .visibility_timeout(visibility_seconds)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All")
        .send()
        .await
        .expect("the queue answers");
    answer.messages.unwrap_or_default().iter().map(record).collect()
}

/// The approximate number of messages in a queue: visible ones, then delayed and
/// in-flight ones together.
pub async fn queued(sdk: &SdkConfig, url: &str) -> (u64, u64) {
    let sqs = aws_sdk_sqs::Client::new(sdk);
    let answer = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await;
    let attributes = answer.expect("the queue answers").attributes.unwrap_or_default();
    let count = |name| attributes.get(&name).and_then(|count: &String| count.parse().ok()).unwrap_or(0);
    (
        count(QueueAttributeName::ApproximateNumberOfMessages),
        count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            + count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
    )
}

/// Receives and deletes all visible messages of a queue.
pub async fn drain_messages(sdk: &SdkConfig, url: &str) -> Vec<ReceivedMessage> {
    let sqs = aws_sdk_sqs::Client::new(sdk);
    let mut drained = Vec::new();
    loop {
        let answer = sqs
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .visibility_timeout(600)
            .message_attribute_names("All")
            .send()
            .await
            .expect("the queue answers");
        let messages = answer.messages.unwrap_or_default();
        if messages.is_empty() {
            return drained;
        }
        for message in &messages {
            let receipt = message.receipt_handle.clone().expect("a receipt handle");
            sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.expect("the message is deleted");
        }
        drained.extend(messages.into_iter().map(|message| {
            ReceivedMessage {
                body: message.body.unwrap_or_default(),
                attributes: message
                    .message_attributes
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value.string_value?)))
                    .collect(),
            }
        }));
    }
}

/// Converts a received message into a record of an SQS event.
fn record(message: &aws_sdk_sqs::types::Message) -> Value {
    let attributes = message.attributes.clone().unwrap_or_default();
    let attributes: HashMap<&str, &String> = attributes.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let message_attributes: serde_json::Map<String, Value> = message
        .message_attributes
        .iter()
        .flatten()
        .map(|(name, value)| {
            (name.clone(), json!({"stringValue": value.string_value, "dataType": value.data_type, "stringListValues": [], "binaryListValues": []}))
        })
        .collect();
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:jobs",
        "awsRegion": "us-east-1",
    })
}
