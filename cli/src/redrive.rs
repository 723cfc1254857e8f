//! `docket redrive`: lists the dead letters by reason, and moves them back to their queue.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use crate::aws::connect::Target;
use crate::aws::queues::{Message, delete, forward, receive, show};
use crate::client::Client;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terminal::{Progress, confirm, print_status, print_text, print_verdict, printable, table};

/// The time for which a received message is hidden from others.
const HIDDEN_SECONDS: i32 = 300;
/// Empty answers in a row after which the queue counts as read. SQS asks only some of its
/// servers, so a single answer may miss messages.
const EMPTY_ANSWERS: u32 = 3;
/// A message that contains no job fails again, so it moves only if the caller names this code.
const MALFORMED: &str = "malformed_message";
/// The reason of a message that SQS moved itself, after `MaxReceiveCount` receives.
const NO_CODE: &str = "no error code";

/// The options of a redrive.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The error code of the messages to move; `None` moves all but malformed ones.
    pub error_code: Option<String>,
    /// Whether the command only lists.
    pub lists: bool,
    /// Whether no question is asked.
    pub has_consent: bool,
    /// Whether the summary is JSON.
    pub json: bool,
}

/// Runs the command, and prints the summary.
pub(crate) async fn run(target: &Target, options: &Options) -> Exit {
    match try_run(target, options).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

/// The messages with one reason.
#[derive(Debug, Default, Clone)]
struct Reason {
    count: u64,
    example: String,
}

async fn try_run(target: &Target, options: &Options) -> Result<(), CommandError> {
    let client = Client::open(target).await?;
    let reasons = list_reasons(&client).await?;
    let is_selected = |code: &str| match &options.error_code {
        Some(wanted) => wanted == code,
        None => code != MALFORMED,
    };
    let selected: u64 = reasons.iter().filter(|(code, _)| is_selected(code)).map(|(_, reason)| reason.count).sum();
    if !options.json {
        let row = |(code, reason): (&String, &Reason)| {
            vec![reason.count.to_string(), printable(code), printable(&reason.example)]
        };
        let rows: Vec<Vec<String>> = reasons.iter().map(row).collect();
        print_text(&table(&["messages", "reason", "example"], &rows));
    }
    let mut moved = 0;
    if !options.lists && selected > 0 {
        confirm(&format!("Move {selected} dead letters back to their queue?"), options.has_consent)?;
        moved = move_messages(&client, selected, is_selected).await?;
    }
    if options.json {
        let counts: BTreeMap<&String, u64> = reasons.iter().map(|(code, reason)| (code, reason.count)).collect();
        print_text(&format!("{}\n", json!({"dead_letters": counts, "selected": selected, "moved": moved})));
    }
    print_verdict(true, &format!("{moved} of {selected} dead letters moved"));
    Ok(())
}

fn code_of(message: &Message) -> &str {
    message.attributes.get("error_code").map_or(NO_CODE, String::as_str)
}

/// Counts the messages by their reason, and makes them visible again.
async fn list_reasons(client: &Client) -> Result<BTreeMap<String, Reason>, CommandError> {
    let queue = client.output("DeadLetterQueueUrl")?;
    let (mut reasons, mut seen) = (BTreeMap::<String, Reason>::new(), HashSet::new());
    let (mut received, mut empty) = (Vec::new(), 0);
    let mut progress = Progress::new();
    while empty < EMPTY_ANSWERS {
        let messages = receive(&client.connection, queue, HIDDEN_SECONDS).await?;
        empty = if messages.is_empty() { empty + 1 } else { 0 };
        for message in messages {
            if seen.insert(message.id.clone()) {
                let reason = reasons.entry(code_of(&message).to_owned()).or_default();
                reason.count += 1;
                if reason.example.is_empty() {
                    reason.example = message.attributes.get("error_message").cloned().unwrap_or_default();
                }
            }
            // The body may be large, and only the receipt is needed.
            received.push(message.without_body());
        }
        let count = seen.len() as u64;
        progress.show("", count, count, &format!("{count} dead letters read"));
    }
    for ten in received.chunks(10) {
        show(&client.connection, queue, ten).await?;
    }
    Ok(reasons)
}

/// Sends each selected message to the queue of its priority, and then deletes the dead letter.
/// An end between the two leaves a copy, which changes nothing.
async fn move_messages(
    client: &Client,
    selected: u64,
    is_selected: impl Fn(&str) -> bool,
) -> Result<u64, CommandError> {
    let (queue, connection) = (client.output("DeadLetterQueueUrl")?, &client.connection);
    let (normal, high) = (client.output("JobsQueueUrl")?, client.output("HighPriorityQueueUrl")?);
    let (mut moved, mut empty, mut others) = (0, 0, Vec::new());
    let mut progress = Progress::new();
    // Messages that arrive meanwhile were in no question.
    while empty < EMPTY_ANSWERS && moved < selected {
        let messages = receive(connection, queue, HIDDEN_SECONDS).await?;
        empty = if messages.is_empty() { empty + 1 } else { 0 };
        for message in messages {
            if moved < selected && is_selected(code_of(&message)) {
                let is_high = message.attributes.get("priority").is_some_and(|priority| priority == "high");
                forward(connection, if is_high { high } else { normal }, &message).await?;
                delete(connection, queue, &message).await?;
                moved += 1;
            } else {
                others.push(message.without_body());
            }
        }
        progress.show("", moved, selected, &format!("{moved} of {selected} dead letters moved"));
    }
    for ten in others.chunks(10) {
        show(connection, queue, ten).await?;
    }
    Ok(moved)
}
