//! The files of a release, restored into the table and the bucket of one test.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::{Value, json};
use test_support::aws::World;

const FOLDER: &str = "tests/compatibility/0.1";

/// The restored files.
pub struct Recorded {
    pub world: World,
    /// The versions of the restored objects, by key.
    versions: BTreeMap<String, String>,
}

impl Recorded {
    /// Restores the objects of the bucket and the stored items.
    pub async fn restore() -> Self {
        let world = World::new().await;
        let s3 = aws_sdk_s3::Client::new(&world.sdk);
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let request = s3.put_bucket_versioning().bucket(&world.bucket).versioning_configuration(enabled);
        request.send().await.expect("the bucket keeps versions");
        let mut recorded = Self { world, versions: BTreeMap::new() };
        let objects = recorded.read("objects");
        for (key, object) in objects.as_object().expect("objects") {
            let text = object["text"].as_str().expect("a text").to_owned();
            let body = ByteStream::from(text.into_bytes());
            let request = s3.put_object().bucket(&recorded.world.bucket).key(key).body(body);
            let version = request.send().await.expect("the object is stored").version_id;
            recorded.versions.insert(key.clone(), version.expect("a version"));
        }
        for item in recorded.read("stored").as_array().expect("items") {
            recorded.world.put_item(recorded.item(item)).await;
        }
        recorded
    }

    /// A file, with the names of this test in place of those of the recording.
    pub fn read(&self, name: &str) -> Value {
        let mut text = test_support::read(&format!("{FOLDER}/{name}.json"));
        text = text.replace("BUCKET", &self.world.bucket);
        // Longer keys first: one key may begin another.
        for (key, version) in self.versions.iter().rev() {
            text = text.replace(&format!("VERSION {key}"), version);
        }
        serde_json::from_str(&text).expect("the file is JSON")
    }

    /// The messages of a file, each with its attributes.
    pub fn messages(&self, name: &str) -> Vec<(String, HashMap<String, String>)> {
        let messages = self.read(name);
        let messages = messages.as_array().expect("messages").iter().map(|message| {
            let attributes = message["attributes"].as_object().expect("attributes").iter();
            let attributes = attributes.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()));
            (message["body"].as_str().expect("a body").to_owned(), attributes.collect())
        });
        messages.collect()
    }

    /// The item of DynamoDB's JSON.
    pub fn item(&self, item: &Value) -> HashMap<String, AttributeValue> {
        let item: serde_dynamo::Item = serde_json::from_value(item.clone()).expect("an item");
        item.into()
    }

    fn key_of(&self, job_id: &str) -> &str {
        let prefix = format!("documents/{job_id}/");
        self.versions.keys().find(|key| key.starts_with(&prefix)).expect("a stored document")
    }

    /// The place of a job's document.
    pub fn location(&self, job_id: &str) -> Value {
        let key = self.key_of(job_id);
        json!({"bucket": self.world.bucket, "key": key, "version_id": self.versions[key]})
    }

    /// The text of a job's document.
    pub fn document(&self, job_id: &str) -> String {
        let objects = self.read("objects");
        objects[self.key_of(job_id)]["text"].as_str().expect("a text").to_owned()
    }
}

/// The key of an item.
pub fn job_id_of(item: &Value) -> &str {
    item["job_id"]["S"].as_str().expect("a key")
}
