//! `docket hold`: lists and lifts holds. `docket pause` and `docket resume`: pause a batch by
//! the API, and resume it.

use docket::domain::hold::{Hold, HoldTarget};
use docket::domain::ids::BatchId;
use serde_json::json;

use crate::aws::connect::Target;
use crate::aws::holds::{lift_hold, list_holds};
use crate::client::{Client, no_such_batch};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terminal::{print_status, print_text, printable, table};

/// Runs `docket hold list`.
pub(crate) async fn list(target: &Target, json: bool) -> Exit {
    let command = async {
        let client = Client::open(target).await?;
        let holds = list_holds(&client.connection, client.stack()?).await?;
        print_text(&if json { as_json(&holds) } else { as_text(&holds) });
        Ok(Exit::Done)
    };
    end(command.await)
}

/// Runs `docket hold lift`.
pub(crate) async fn lift(target: &Target, hold: &HoldTarget) -> Exit {
    let command = async {
        let client = Client::open(target).await?;
        if lift_hold(&client.connection, client.stack()?, hold).await? {
            print_status(&format!("the hold of {hold} is lifted; the messages of its waiting jobs are being sent"));
            return Ok(Exit::Done);
        }
        Err(CommandError::Failed(format!("{hold} has no hold; `docket hold list` shows all holds")))
    };
    end(command.await)
}

/// Runs `docket pause` or `docket resume`, by the route with this name.
pub(crate) async fn change_batch(target: &Target, batch: &BatchId, route: &str) -> Exit {
    let command = async {
        let client = Client::open(target).await?;
        let response = client.ask("POST", &format!("/batches/{batch}/{route}"), None, &[200, 404]).await?;
        if response.status == 404 {
            return Err(no_such_batch(batch));
        }
        let waiting = &response.json()["request_counts"]["pending"];
        print_status(&match route {
            "pause" => format!("batch {batch} is paused; {waiting} jobs are pending, and running jobs finish"),
            _ => format!("batch {batch} is resumed; {waiting} jobs are pending"),
        });
        Ok(Exit::Done)
    };
    end(command.await)
}

fn end(ended: Result<Exit, CommandError>) -> Exit {
    ended.unwrap_or_else(|error| {
        print_status(&error.to_string());
        error.exit()
    })
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
