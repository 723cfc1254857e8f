//! The holds of a stack: items of its jobs table, and the message that resends waiting jobs.

use std::time::Duration;

use docket::aws::Unavailable;
use docket::aws::jobs::Jobs;
use docket::aws::queue::JobsQueue;
use docket::domain::hold::{Hold, HoldTarget};
use docket::domain::message::control::Control;

use super::connect::Connection;
use super::error::AwsError;
use super::stack::Stack;

/// Lists the holds, oldest first.
///
/// # Errors
/// DynamoDB does not execute the request.
pub async fn list_holds(connection: &Connection, stack: &Stack) -> Result<Vec<Hold>, AwsError> {
    jobs(connection, stack).list_holds().await.map_err(as_aws_error)
}

/// Ends a hold, and sends the message that resends the waiting jobs. Returns whether there
/// was a hold. The message is sent in any case, so a repetition completes an interrupted
/// call.
///
/// # Errors
/// DynamoDB or SQS does not execute the request.
pub async fn lift_hold(connection: &Connection, stack: &Stack, target: &HoldTarget) -> Result<bool, AwsError> {
    let existed = jobs(connection, stack).end_hold(target).await.map_err(as_aws_error)?;
    let output = |name| stack.output(name).map(str::to_owned);
    let queue =
        JobsQueue::new(&connection.sdk, output("JobsQueueUrl").unwrap_or_default(), output("HighPriorityQueueUrl"));
    let resend = Control::Resend { target: target.clone(), last_look: false };
    queue.send_control(&resend, Duration::ZERO).await.map_err(as_aws_error)?;
    Ok(existed)
}

fn jobs(connection: &Connection, stack: &Stack) -> Jobs {
    let table = stack.output("JobsTableName").unwrap_or_default().to_owned();
    // The retention belongs to writes of jobs, which the command line does not make.
    Jobs::new(&connection.sdk, table, Duration::ZERO)
}

fn as_aws_error(error: Unavailable) -> AwsError {
    AwsError { action: error.service, code: error.code, message: "the request was not executed".to_owned() }
}
