//! The jobs table of one test.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use docket::aws::jobs::{BATCH_INDEX, FINGERPRINT_INDEX, WAITING_INDEX};

/// Creates a jobs table with the keys and indexes of the template.
pub async fn create_table(sdk: &SdkConfig, table: &str) {
    let client = aws_sdk_dynamodb::Client::new(sdk);
    let attributes = ["job_id", "batch_shard", "status", "fingerprint", "waiting_for"].map(|name| {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        attribute.build().expect("a complete attribute")
    });
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("a complete key")
    };
    let index = |name: &str, keys: Vec<KeySchemaElement>| {
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .set_key_schema(Some(keys))
            .projection(all)
            .build()
            .expect("a complete index")
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
        .global_secondary_indexes(index(
            WAITING_INDEX,
            vec![key("waiting_for", KeyType::Hash), key("job_id", KeyType::Range)],
        ))
        .global_secondary_indexes(index(FINGERPRINT_INDEX, vec![key("fingerprint", KeyType::Hash)]))
        .send()
        .await
        .expect("the table is created");
}
