//! A deployed stack as the commands use it: its API, and the resources that its outputs name.

use serde_json::Value;

use crate::aws::api::{Api, Response};
use crate::aws::connect::{Connection, Target, connect};
use crate::aws::stack::{Stack, read_stack};
use crate::error::CommandError;

/// A stack and the account that has it.
pub(crate) struct Client {
    /// The account.
    pub connection: Connection,
    api: Api,
    /// The outputs; `None` if the caller named the API alone.
    stack: Option<Stack>,
}

impl Client {
    /// Finds the stack and its API.
    pub async fn open(target: &Target) -> Result<Self, CommandError> {
        let connection = connect(target).await?;
        if let Some(url) = &target.api_url {
            return Ok(Self { api: Api::new(&connection, url), connection, stack: None });
        }
        let stack = read_stack(&connection).await?;
        let url = stack.output("ApiUrl").ok_or_else(|| missing_output("ApiUrl"))?;
        Ok(Self { api: Api::new(&connection, url), connection, stack: Some(stack) })
    }

    /// The stack's outputs.
    pub fn stack(&self) -> Result<&Stack, CommandError> {
        let missing = || CommandError::Usage("--api: this needs the stack's outputs; use --stack".to_owned());
        self.stack.as_ref().ok_or_else(missing)
    }

    /// The value of an output.
    pub fn output(&self, name: &str) -> Result<&str, CommandError> {
        match &self.stack {
            Some(stack) => stack.output(name).ok_or_else(|| missing_output(name)),
            None => Err(CommandError::Usage(format!("--api: this needs the stack's output {name}; use --stack"))),
        }
    }

    /// Sends a request to the API, and returns a response with an expected status.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        expected: &[u16],
    ) -> Result<Response, CommandError> {
        let response = self.api.send(method, path, body).await?;
        if expected.contains(&response.status) {
            return Ok(response);
        }
        let json = response.json();
        let detail = ["detail", "title"].iter().find_map(|name| json[*name].as_str()).unwrap_or("no problem document");
        let message = format!("{method} {path} answered {}: {detail}", response.status);
        if response.refuses_credentials() {
            return Err(CommandError::Credentials(format!("{message}: renew the credentials, or use --profile")));
        }
        if response.status == 429 || response.status >= 500 {
            return Err(CommandError::Unreachable(message));
        }
        let remedy = match response.status {
            403 => ": allow execute-api:Invoke for this caller, as the stack's OperatorPolicyArn does",
            _ => "",
        };
        Err(CommandError::Failed(format!("{message}{remedy}")))
    }

    /// Reads JSON by GET; `None` if the API answers 404.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, CommandError> {
        let response = self.ask("GET", path, None, &[200, 404]).await?;
        Ok((response.status == 200).then(|| response.json()))
    }
}

fn missing_output(name: &str) -> CommandError {
    CommandError::Failed(format!("the stack has no output {name}: deploy Docket's template"))
}

/// The error for a batch that does not exist.
pub(crate) fn no_such_batch(batch_id: &impl std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("there is no batch {batch_id}: it was never created, or its retention is over"))
}
