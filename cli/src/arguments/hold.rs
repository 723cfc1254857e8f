//! The arguments of `docket hold`, `docket pause` and `docket resume`.

use clap::{Args, Subcommand};
use docket::domain::hold::HoldTarget;
use docket::domain::ids::BatchId;

use super::stack::StackArguments;

pub(super) const AFTER_HOLD: &str = "\
Exit codes: 0 done, 1 no such hold or another error, 2 invalid arguments, 4 no usable credentials.

Examples:
  docket hold list --region us-east-1
  docket hold lift us.amazon.nova-2-lite-v1:0";

pub(super) const AFTER_PAUSE: &str = "\
Exit codes: 0 done, 1 no such batch or another error, 2 invalid arguments, 4 no usable credentials.";

#[derive(Debug, Args)]
pub(crate) struct HoldArguments {
    #[command(subcommand)]
    pub action: HoldAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HoldAction {
    /// List the holds with their reasons and their next probes
    List {
        #[command(flatten)]
        stack: StackArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a hold now, without a probe, and send the messages of the waiting jobs
    ///
    /// If the fault still exists, the next call opens the hold again. No attempt is charged.
    Lift {
        #[command(flatten)]
        stack: StackArguments,
        /// The model or inference profile, or `store`, as `docket hold list` shows it
        #[arg(value_name = "TARGET", value_parser = parse_target)]
        target: HoldTarget,
    },
}

fn parse_target(text: &str) -> Result<HoldTarget, String> {
    match text.parse() {
        Ok(HoldTarget::Batch(_)) => Err("a batch has no hold; use `docket resume`".to_owned()),
        Ok(target) => Ok(target),
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    #[command(flatten)]
    pub stack: StackArguments,
    /// The batch
    #[arg(value_name = "BATCH", value_parser = parse_batch)]
    pub batch: BatchId,
}

fn parse_batch(text: &str) -> Result<BatchId, String> {
    text.parse().map_err(|error: docket::domain::ids::IdError| error.to_string())
}
