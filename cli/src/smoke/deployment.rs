//! The deployed stack that a run uses: its connection, its API and its resources.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::SmokeError;
use crate::aws::api::Api;
use crate::aws::connect::Connection;
use crate::aws::stack::{Stack, StackError, read_stack};

/// The stack of a run, and the run's name and deadline.
pub(super) struct Deployment {
    /// The account.
    pub connection: Connection,
    /// The stack's API.
    pub api: Api,
    /// The URL of the queue for normal jobs.
    pub jobs_queue: String,
    /// The URL of the queue for high-priority jobs.
    pub high_priority_queue: String,
    /// The URL of the dead-letter queue.
    pub dead_letter_queue: String,
    /// The name of the bucket.
    pub bucket: String,
    /// The name of the run, which is its batch and begins its job ids.
    pub run: String,
    deadline: Instant,
}

impl Deployment {
    /// Reads the stack's outputs.
    pub async fn open(connection: Connection, run: String, timeout: Duration) -> Result<Self, SmokeError> {
        let stack = read_stack(&connection).await.map_err(|error| match error {
            StackError::Missing => {
                let (name, region) = (&connection.stack, connection.region());
                SmokeError::Failed(format!("there is no stack {name} in {region}: use --stack, --region or --profile"))
            }
            StackError::Aws(error) => error.into(),
        })?;
        Ok(Self {
            api: Api::new(&connection, &output(&stack, "ApiUrl")?),
            jobs_queue: output(&stack, "JobsQueueUrl")?,
            high_priority_queue: output(&stack, "HighPriorityQueueUrl")?,
            dead_letter_queue: output(&stack, "DeadLetterQueueUrl")?,
            bucket: output(&stack, "DocumentsBucketName")?,
            connection,
            run,
            deadline: Instant::now() + timeout,
        })
    }

    /// The time until the time-out; zero after it.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends a request to the API, and returns the JSON of an answer with an expected status.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        expected: &[u16],
    ) -> Result<(u16, Value), SmokeError> {
        let response = self.api.send(method, path, body).await?;
        let (status, json) = (response.status, response.json());
        if expected.contains(&status) {
            return Ok((status, json));
        }
        let detail = ["detail", "title"].iter().find_map(|name| json[*name].as_str()).unwrap_or("no problem document");
        let remedy = match status {
            403 => ": allow execute-api:Invoke for this caller, as the stack's OperatorPolicyArn does",
            _ => "",
        };
        Err(SmokeError::Failed(format!("{method} {path} answered {status}: {detail}{remedy}")))
    }
}

fn output(stack: &Stack, name: &str) -> Result<String, SmokeError> {
    let missing = || SmokeError::Failed(format!("the stack has no output {name}: deploy Docket's template"));
    stack.output(name).map(str::to_owned).ok_or_else(missing)
}
