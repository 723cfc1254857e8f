//! The deployed stack that a run uses: its API and its resources.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::aws::connect::{Connection, Target};
use crate::client::Client;
use crate::error::CommandError;

/// The stack of a run, and the run's name and deadline.
pub(super) struct Deployment {
    client: Client,
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
    pub async fn open(target: &Target, run: String, timeout: Duration) -> Result<Self, CommandError> {
        let client = Client::open(target).await?;
        let output = |name: &str| client.output(name).map(str::to_owned);
        Ok(Self {
            jobs_queue: output("JobsQueueUrl")?,
            high_priority_queue: output("HighPriorityQueueUrl")?,
            dead_letter_queue: output("DeadLetterQueueUrl")?,
            bucket: output("DocumentsBucketName")?,
            client,
            run,
            deadline: Instant::now() + timeout,
        })
    }

    /// The account.
    pub fn connection(&self) -> &Connection {
        &self.client.connection
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
    ) -> Result<(u16, Value), CommandError> {
        let response = self.client.ask(method, path, body, expected).await?;
        Ok((response.status, response.json()))
    }
}
