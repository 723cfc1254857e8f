//! The quotas of Amazon Bedrock in Service Quotas.

use super::connect::Connection;
use super::error::AwsError;

const LIST_QUOTAS: &str = "servicequotas:ListServiceQuotas";
/// Bedrock's code in Service Quotas.
const SERVICE: &str = "bedrock";

/// A quota of the account in the region.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// The quota's name.
    pub name: String,
    /// The value that applies to the account.
    pub value: f64,
}

/// Lists the quotas of Bedrock.
///
/// # Errors
/// Service Quotas does not execute the request.
pub async fn list_model_quotas(connection: &Connection) -> Result<Vec<Quota>, AwsError> {
    let client = aws_sdk_servicequotas::Client::new(&connection.sdk);
    let pages = client.list_service_quotas().service_code(SERVICE).into_paginator().items();
    let found = pages.send().collect::<Result<Vec<_>, _>>().await;
    let found = found.map_err(|error| AwsError::new(LIST_QUOTAS, &error))?;
    let quotas = found.into_iter().filter_map(|quota| Some(Quota { name: quota.quota_name?, value: quota.value? }));
    Ok(quotas.collect())
}
