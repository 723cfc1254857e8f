//! The functions in Lambda: state, environment, event source mappings and concurrency.

use std::collections::HashMap;

use super::connect::Connection;
use super::error::AwsError;

const GET_FUNCTION: &str = "lambda:GetFunctionConfiguration";
const LIST_MAPPINGS: &str = "lambda:ListEventSourceMappings";
const GET_ACCOUNT: &str = "lambda:GetAccountSettings";

/// A function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// `Active`, `Pending`, `Inactive` or `Failed`; empty if Lambda returns no state.
    pub state: String,
    /// The reason of the state.
    pub state_reason: Option<String>,
    /// `Successful`, `Failed` or `InProgress`; empty if Lambda returns no status.
    pub last_update: String,
    /// The reason of the last update's status.
    pub last_update_reason: Option<String>,
    /// The environment variables.
    pub environment: HashMap<String, String>,
}

/// An event source mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The mapping's id.
    pub uuid: String,
    /// The ARN of the queue or of the stream.
    pub source_arn: String,
    /// The state, such as `Enabled`.
    pub state: String,
    /// Lambda's account of its last poll, such as `OK` or `PROBLEM: …`.
    pub last_result: Option<String>,
    /// The maximum number of concurrent invocations, if the mapping sets one.
    pub maximum_concurrency: Option<u32>,
    /// The maximum number of messages of an invocation.
    pub batch_size: Option<u32>,
}

/// Lambda's quota "Concurrent executions" in the account and region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// All concurrent executions.
    pub total: u32,
    /// Those that no function has reserved.
    pub unreserved: u32,
}

/// Reads a function.
///
/// # Errors
/// Lambda does not execute the request.
pub async fn read_function(connection: &Connection, name: &str) -> Result<Function, AwsError> {
    let client = aws_sdk_lambda::Client::new(&connection.sdk);
    let response = client.get_function_configuration().function_name(name).send().await;
    let found = response.map_err(|error| AwsError::new(GET_FUNCTION, &error))?;
    Ok(Function {
        state: found.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
        state_reason: found.state_reason,
        last_update: found.last_update_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        last_update_reason: found.last_update_status_reason,
        environment: found.environment.and_then(|environment| environment.variables).unwrap_or_default(),
    })
}

/// Lists the event source mappings of a function.
///
/// # Errors
/// Lambda does not execute the request.
pub async fn list_mappings(connection: &Connection, function: &str) -> Result<Vec<Mapping>, AwsError> {
    let client = aws_sdk_lambda::Client::new(&connection.sdk);
    let pages = client.list_event_source_mappings().function_name(function).into_paginator().items();
    let found = pages.send().collect::<Result<Vec<_>, _>>().await;
    let found = found.map_err(|error| AwsError::new(LIST_MAPPINGS, &error))?;
    let mappings = found.into_iter().map(|mapping| Mapping {
        uuid: mapping.uuid.unwrap_or_default(),
        source_arn: mapping.event_source_arn.unwrap_or_default(),
        state: mapping.state.unwrap_or_default(),
        last_result: mapping.last_processing_result,
        batch_size: mapping.batch_size.and_then(|size| u32::try_from(size).ok()),
        maximum_concurrency: mapping
            .scaling_config
            .and_then(|scaling| scaling.maximum_concurrency)
            .and_then(|maximum| u32::try_from(maximum).ok()),
    });
    Ok(mappings.collect())
}

/// Reads the account's quota of concurrent executions.
///
/// # Errors
/// Lambda does not execute the request.
pub async fn read_concurrency(connection: &Connection) -> Result<Concurrency, AwsError> {
    let client = aws_sdk_lambda::Client::new(&connection.sdk);
    let response = client.get_account_settings().send().await;
    let limit = response.map_err(|error| AwsError::new(GET_ACCOUNT, &error))?.account_limit;
    let total = limit.as_ref().map_or(0, |limit| u32::try_from(limit.concurrent_executions).unwrap_or(0));
    let unreserved = limit.and_then(|limit| limit.unreserved_concurrent_executions);
    Ok(Concurrency { total, unreserved: unreserved.and_then(|count| u32::try_from(count).ok()).unwrap_or(total) })
}
