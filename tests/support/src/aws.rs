//! The local AWS: a table, queues and a bucket of a test's own, and the stack
//! that is deployed there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use docket::aws::jobs::{BATCH_INDEX, FINGERPRINT_INDEX, Jobs};
use docket::domain::ids::JobId;
use docket::domain::job::stored::StoredJob;
use serde_json::{Value, json};

use crate::function::Function;
use crate::stand_in::StandIn;
use crate::unique;

/// The stack outputs that `make up` leaves.
pub fn outputs() -> HashMap<String, String> {
    let path =
        std::env::var("DOCKET_OUTPUTS").unwrap_or_else(|_| super::file(".local/outputs.env").display().to_string());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no local AWS: run `make up`, or `make test`"));
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The SDK's configuration for the local AWS.
pub async fn sdk() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(docket::aws::http_client())
        .endpoint_url(outputs()["AwsEndpointUrl"].clone())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

/// A dead letter as it lies in its queue.
#[derive(Debug)]
pub struct Letter {
    pub body: String,
    pub attributes: HashMap<String, String>,
}

/// A table, queues, a bucket and a model that one test has for itself.
pub struct World {
    pub sdk: SdkConfig,
    pub table: String,
    pub queue: String,
    pub dead_letters: String,
    pub bucket: String,
    pub model: Arc<StandIn>,
}

impl World {
    pub async fn new() -> Self {
        let world = Self::with_model(Arc::new(StandIn::start_with_s3(&outputs()["AwsEndpointUrl"]))).await;
        create_table(&world.sdk, &world.table).await;
        world
    }

    /// Another queue, on this world's table and model.
    pub async fn beside(&self) -> Self {
        Self { table: self.table.clone(), bucket: self.bucket.clone(), ..Self::with_model(self.model.clone()).await }
    }

    async fn with_model(model: Arc<StandIn>) -> Self {
        let sdk = sdk().await;
        let sqs = aws_sdk_sqs::Client::new(&sdk);
        let queue = sqs.create_queue().queue_name(unique("jobs")).send().await.expect("a queue").queue_url;
        let dead_letters = sqs.create_queue().queue_name(unique("dead")).send().await.expect("a queue").queue_url;
        let table = unique("jobs");
        let bucket = unique("documents");
        aws_sdk_s3::Client::new(&sdk).create_bucket().bucket(&bucket).send().await.expect("a bucket");
        let (queue, dead_letters) = (queue.expect("a URL"), dead_letters.expect("a URL"));
        Self { sdk, table, queue, dead_letters, bucket, model }
    }

    /// The environment of both functions.
    pub fn environment(&self) -> HashMap<String, String> {
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
            ("MODEL_ID", "test.model-v1:0"),
            ("MODEL_TIMEOUT_SECONDS", "5"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    pub async fn consumer(&self) -> Function {
        self.consumer_with(&[]).await
    }

    pub async fn consumer_with(&self, more: &[(&str, &str)]) -> Function {
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Function::start("consumer", &environment).await
    }

    pub async fn producer(&self) -> Function {
        Function::start("producer", &self.environment()).await
    }

    pub fn jobs(&self) -> Jobs {
        Jobs::new(&self.sdk, self.table.clone(), Duration::from_secs(90 * 24 * 3600))
    }

    pub async fn row(&self, job_id: &str) -> Option<StoredJob> {
        self.jobs().get(&job_id.parse::<JobId>().expect("a job id")).await.expect("the table answers")
    }

    /// A row's status, `none` without a row.
    pub async fn status(&self, job_id: &str) -> &'static str {
        self.row(job_id).await.map_or("none", |row| row.state.status().as_str())
    }

    /// The row as the table has it.
    pub async fn item(&self, job_id: &str) -> HashMap<String, AttributeValue> {
        let key = AttributeValue::S(job_id.to_owned());
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        let answer = client.get_item().table_name(&self.table).key("job_id", key).send().await;
        answer.expect("the table answers").item.unwrap_or_default()
    }

    /// Writes an item as it is.
    pub async fn put_item(&self, item: HashMap<String, AttributeValue>) {
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        client.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("written");
    }

    /// Takes all dead letters out of their queue.
    pub async fn letters(&self) -> Vec<Letter> {
        letters(&self.sdk, &self.dead_letters).await
    }

    /// Sends a message without attributes.
    pub async fn send(&self, body: &str) {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        sqs.send_message().queue_url(&self.queue).message_body(body).send().await.expect("sent");
    }

    /// Sends a message and receives it, as an event source mapping would, so
    /// that its receipt handle is real.
    pub async fn delivered(&self, messages: &[(String, HashMap<String, String>)]) -> Value {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        for (body, attributes) in messages {
            let mut request = sqs.send_message().queue_url(&self.queue).message_body(body);
            for (name, value) in attributes {
                let value = MessageAttributeValue::builder().data_type("String").string_value(value);
                request = request.message_attributes(name, value.build().expect("a data type"));
            }
            request.send().await.expect("sent");
        }
        let mut records = Vec::new();
        while records.len() < messages.len() {
            records.extend(receive(&self.sdk, &self.queue, 600).await);
        }
        json!({"Records": records})
    }

    /// How many messages are in the jobs queue: visible, and not.
    pub async fn queued(&self) -> (u64, u64) {
        queued(&self.sdk, &self.queue).await
    }
}

pub async fn create_table(sdk: &SdkConfig, table: &str) {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType,
    };
    let client = aws_sdk_dynamodb::Client::new(sdk);
    let attributes = ["job_id", "batch_shard", "status", "fingerprint"].map(|name| {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        attribute.build().expect("whole")
    });
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("whole");
    let index = |name: &str, keys: Vec<KeySchemaElement>| {
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .set_key_schema(Some(keys))
            .projection(all)
            .build()
            .expect("whole")
    };
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.into()))
        .key_schema(key("job_id", KeyType::Hash))
        .global_secondary_indexes(index(
            BATCH_INDEX,
            vec![key("batch_shard", KeyType::Hash), key("status", KeyType::Range)],
        ))
        .global_secondary_indexes(index(FINGERPRINT_INDEX, vec![key("fingerprint", KeyType::Hash)]))
        .send()
        .await
        .expect("a table");
}

/// Receives up to ten messages, as records of an event.
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

/// How many messages are in a queue: visible, and not or not yet.
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

/// Takes all messages out of a queue.
pub async fn letters(sdk: &SdkConfig, url: &str) -> Vec<Letter> {
    let sqs = aws_sdk_sqs::Client::new(sdk);
    let mut letters = Vec::new();
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
            return letters;
        }
        for message in &messages {
            let receipt = message.receipt_handle.clone().expect("a receipt");
            sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.expect("taken out");
        }
        letters.extend(messages.into_iter().map(|message| {
            Letter {
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

/// A received message as a record of an event.
fn record(message: &aws_sdk_sqs::types::Message) -> Value {
    let attributes = message.attributes.clone().unwrap_or_default();
    let attributes: HashMap<&str, &String> = attributes.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let carried: serde_json::Map<String, Value> = message
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
        "messageAttributes": carried,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:jobs",
        "awsRegion": "us-east-1",
    })
}
