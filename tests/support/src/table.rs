//! The jobs table of one test.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use docket::aws::jobs::{
    BATCH_INDEX, BATCH_LIST_INDEX, FINGERPRINT_INDEX, STATUS_INDEX, UNFINISHED_INDEX, WAITING_INDEX,
};

/// The attributes that are keys of the table or of an index.
const KEYS: [&str; 8] =
    ["job_id", "batch_shard", "ended", "unfinished", "batch_list", "batch_list_key", "waiting_for", "fingerprint"];

/// Each index with its partition key and its sort key; an empty name is none.
/// `tests/agreement` compares them with the template.
pub const INDEXES: [(&str, &str, &str); 6] = [
    (BATCH_INDEX, "batch_shard", "job_id"),
    (STATUS_INDEX, "batch_shard", "ended"),
    (UNFINISHED_INDEX, "unfinished", "job_id"),
    (BATCH_LIST_INDEX, "batch_list", "batch_list_key"),
    (WAITING_INDEX, "waiting_for", "job_id"),
    (FINGERPRINT_INDEX, "fingerprint", ""),
];

/// Creates a jobs table with the keys and indexes of the template.
pub async fn create_table(sdk: &SdkConfig, table: &str) {
    let client = aws_sdk_dynamodb::Client::new(sdk);
    let attributes = KEYS.map(|name| {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        attribute.build().expect("a complete attribute")
    });
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("a complete key")
    };
    let indexes = INDEXES.map(|(name, partition_key, sort_key)| {
        let mut keys = vec![key(partition_key, KeyType::Hash)];
        keys.extend((!sort_key.is_empty()).then(|| key(sort_key, KeyType::Range)));
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        let index = GlobalSecondaryIndex::builder().index_name(name).set_key_schema(Some(keys)).projection(all);
        index.build().expect("a complete index")
    });
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.into()))
        .key_schema(key("job_id", KeyType::Hash))
        .set_global_secondary_indexes(Some(indexes.into()))
        .send()
        .await
        .expect("the table is created");
}
