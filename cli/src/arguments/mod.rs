//! The arguments of the command line.

mod hold;
mod plan;
mod stack;
mod values;

use clap::{Parser, Subcommand};

pub(crate) use self::hold::{HoldAction, HoldArguments, PauseArguments};
pub(crate) use self::plan::PlanArguments;
pub(crate) use self::stack::{DoctorArguments, SmokeArguments};

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "docket", version, about = "The command line of Docket: document analysis with Amazon Bedrock")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plan a run: calculate its settings, its duration, its cost, and the bound that limits its speed
    ///
    /// The command calls no AWS service. docs/operations/planning.md explains the formulas.
    #[command(after_help = plan::AFTER_PLAN)]
    Plan(PlanArguments),
    /// Check a deployed stack and the account: functions, queues, model access, quotas
    ///
    /// Every line is ok, warning or error, with a remedy. The command changes nothing.
    /// docs/operations/doctor.md explains each line and lists the permissions.
    #[command(after_help = stack::AFTER_DOCTOR)]
    Doctor(DoctorArguments),
    /// List or lift the holds: faults of the account that keep jobs waiting
    ///
    /// Docket probes each fault by itself, and continues when it is mended.
    /// docs/operations/holds.md explains holds.
    #[command(after_help = hold::AFTER_HOLD)]
    Hold(HoldArguments),
    /// Pause a batch: none of its jobs starts, and no attempt is charged
    #[command(after_help = hold::AFTER_PAUSE)]
    Pause(PauseArguments),
    /// Resume a paused batch
    #[command(after_help = hold::AFTER_PAUSE)]
    Resume(PauseArguments),
    /// Run sample documents through a deployed stack: by the API, by upload, by queue message
    ///
    /// The command sends fifteen documents, a duplicate and a message that is no job, and checks
    /// what becomes of each. The calls of the model cost a few cents at most. At the end it
    /// deletes its objects. docs/operations/doctor.md lists what remains, and the permissions.
    #[command(after_help = stack::AFTER_SMOKE)]
    Smoke(SmokeArguments),
}
