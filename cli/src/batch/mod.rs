//! A batch: `docket watch` and `docket status`, and the wait of `docket submit`.

mod view;
mod wait;

use docket::domain::ids::BatchId;
use std::time::Duration;

pub(crate) use self::view::Batch;
pub(crate) use self::wait::{follow, read_batch};
use crate::aws::connect::Target;
use crate::client::Client;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::interrupt::interruptible;
use crate::terminal::{print_status, print_text, print_verdict};

/// Watches a batch until its end, and prints the verdict.
pub(crate) async fn watch(target: &Target, batch_id: &BatchId, timeout: Option<Duration>, json: bool) -> Exit {
    let command = async {
        let client = Client::open(target).await?;
        read_batch(&client, batch_id).await?;
        let batch = follow(&client, batch_id, timeout, 0).await?;
        if json {
            print_text(&batch.as_json());
        }
        Ok(batch)
    };
    let message = format!("watching stopped; the batch goes on: `docket watch {batch_id}` continues");
    end(interruptible(&message, command).await)
}

/// Prints the present state of a batch.
pub(crate) async fn status(target: &Target, batch_id: &BatchId, json: bool) -> Exit {
    let command = async {
        let client = Client::open(target).await?;
        let batch = read_batch(&client, batch_id).await?;
        print_text(&if json { batch.as_json() } else { batch.as_text() });
        Ok(batch)
    };
    end(command.await)
}

fn end(ended: Result<Batch, CommandError>) -> Exit {
    match ended {
        Ok(batch) => {
            let (exit, verdict) = batch.verdict();
            print_verdict(exit == Exit::Done, &verdict);
            exit
        }
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}
