//! `docket hold`: lists and lifts holds. `docket pause` and `docket resume`: pause a batch by
//! the API, and resume it.

use docket::domain::hold::{Hold, HoldTarget};
use docket::domain::ids::BatchId;
use serde_json::json;

use crate::aws::api::{Api, ApiError};
use crate::aws::connect::{Connection, Target, connect};
use crate::aws::error::{AwsError, ConnectError};
use crate::aws::holds::{lift_hold, list_holds};
use crate::aws::stack::{Stack, StackError, read_stack};
use crate::exit::Exit;
use crate::terminal::{print_status, print_text, printable, table};

/// Runs `docket hold list`.
pub(crate) async fn list(target: &Target, json: bool) -> Exit {
    let (connection, stack) = match open(target).await {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    match list_holds(&connection, &stack).await {
        Ok(holds) => {
            print_text(&if json { as_json(&holds) } else { as_text(&holds) });
            Exit::Done
        }
        Err(error) => failed(&error),
    }
}

/// Runs `docket hold lift`.
pub(crate) async fn lift(target: &Target, hold: &HoldTarget) -> Exit {
    let (connection, stack) = match open(target).await {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    match lift_hold(&connection, &stack, hold).await {
        Ok(true) => {
            print_status(&format!("the hold of {hold} is lifted; the messages of its waiting jobs are being sent"));
            Exit::Done
        }
        Ok(false) => {
            print_status(&format!("{hold} has no hold; `docket hold list` shows all holds"));
            Exit::Failed
        }
        Err(error) => failed(&error),
    }
}

/// Runs `docket pause` or `docket resume`, by the route with this name.
pub(crate) async fn change_batch(target: &Target, batch: &BatchId, route: &str) -> Exit {
    let (connection, stack) = match open(target).await {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let Some(url) = stack.output("ApiUrl") else {
        print_status("the stack has no output ApiUrl; deploy it again");
        return Exit::Failed;
    };
    match Api::new(&connection, url).send("POST", &format!("/batches/{batch}/{route}"), None).await {
        Ok(response) if response.status == 200 => {
            let waiting = &response.json()["request_counts"]["pending"];
            print_status(&match route {
                "pause" => format!("batch {batch} is paused; {waiting} jobs are pending, and running jobs finish"),
                _ => format!("batch {batch} is resumed; {waiting} jobs are pending"),
            });
            Exit::Done
        }
        Ok(response) => {
            let detail = response.json()["detail"].as_str().unwrap_or("the API gave no reason").to_owned();
            print_status(&format!("batch {batch}: {detail} (HTTP {})", response.status));
            Exit::Failed
        }
        Err(ApiError::Credentials(message)) => {
            print_status(&format!("the credentials could not be read: {message}"));
            Exit::Credentials
        }
        Err(ApiError::Request(message)) => {
            print_status(&format!("the API did not answer: {message}"));
            Exit::Failed
        }
    }
}

async fn open(target: &Target) -> Result<(Connection, Stack), Exit> {
    let connection = connect(target).await.map_err(|error| {
        print_status(&error.to_string());
        match error {
            ConnectError::Credentials(_) => Exit::Credentials,
            ConnectError::Other(_) => Exit::Failed,
        }
    })?;
    let stack = read_stack(&connection).await.map_err(|error| match error {
        StackError::Missing => {
            print_status(&format!("no stack {} in {}: use --stack and --region", target.stack, connection.region()));
            Exit::Failed
        }
        StackError::Aws(error) => failed(&error),
    })?;
    Ok((connection, stack))
}

fn failed(error: &AwsError) -> Exit {
    print_status(&error.to_string());
    if error.is_of_credentials() { Exit::Credentials } else { Exit::Failed }
}

fn as_json(holds: &[Hold]) -> String {
    let holds: Vec<_> = holds
        .iter()
        .map(|hold| {
            json!({
                "target": hold.target, "kind": hold.kind, "code": hold.reason.code, "reason": hold.reason.message,
                "since": hold.since, "next_probe_at": hold.next_probe_at,
            })
        })
        .collect();
    serde_json::to_string_pretty(&holds).expect("JSON values serialize") + "\n"
}

fn as_text(holds: &[Hold]) -> String {
    if holds.is_empty() {
        return "no hold: jobs run\n".to_owned();
    }
    let rows: Vec<Vec<String>> = holds
        .iter()
        .map(|hold| {
            let probe = hold.next_probe_at.strftime("%F %T UTC").to_string();
            let since = hold.since.strftime("%F %T UTC").to_string();
            vec![
                printable(&hold.target.to_string()),
                since,
                probe,
                printable(&hold.reason.code),
                printable(&hold.reason.message),
            ]
        })
        .collect();
    table(&["target", "since", "next probe", "code", "reason"], &rows)
}
