//! The stack in CloudFormation: its status and outputs.

use std::collections::BTreeMap;

use super::connect::Connection;
use super::error::AwsError;

const DESCRIBE_STACKS: &str = "cloudformation:DescribeStacks";

/// A deployed stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// CloudFormation's status, such as `UPDATE_COMPLETE`; `None` for a local stack.
    pub status: Option<String>,
    outputs: BTreeMap<String, String>,
}

impl Stack {
    /// A stack with these outputs.
    pub fn new(status: Option<String>, outputs: BTreeMap<String, String>) -> Self {
        Self { status, outputs }
    }

    /// The value of an output.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }

    /// The number of outputs.
    pub fn count_outputs(&self) -> usize {
        self.outputs.len()
    }
}

/// Why the outputs could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackError {
    /// The account has no such stack in this region.
    Missing {
        /// The stack's name.
        stack: String,
        /// The region.
        region: String,
    },
    /// CloudFormation did not execute the request.
    Aws(AwsError),
}

/// Reads the stack's status and outputs.
///
/// # Errors
/// The stack does not exist, or CloudFormation does not answer.
pub async fn read_stack(connection: &Connection) -> Result<Stack, StackError> {
    if let Some(outputs) = &connection.local_outputs {
        return Ok(Stack::new(None, outputs.clone()));
    }
    let client = aws_sdk_cloudformation::Client::new(&connection.sdk);
    let missing = || StackError::Missing { stack: connection.stack.clone(), region: connection.region().to_owned() };
    let response = client.describe_stacks().stack_name(&connection.stack).send().await.map_err(|error| {
        let error = AwsError::new(DESCRIBE_STACKS, &error);
        if error.message.contains("does not exist") { missing() } else { StackError::Aws(error) }
    })?;
    let found = response.stacks.unwrap_or_default().into_iter().next().ok_or_else(missing)?;
    let status = found.stack_status.map(|status| status.as_str().to_owned());
    let outputs = found.outputs.unwrap_or_default().into_iter();
    let outputs = outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect();
    Ok(Stack::new(status, outputs))
}
