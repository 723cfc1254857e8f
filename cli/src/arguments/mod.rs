//! The arguments of the command line.

mod batch;
mod hold;
mod plan;
mod purge;
mod stack;
mod submit;
mod ui;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::batch::{
    CancelArguments, EvidenceArgument, FormatArgument, JobArguments, JobsArguments, RedriveArguments, ResultsArguments,
    RetryArguments, StatusArgument, StatusArguments, UnfinishedArgument, WatchArguments,
};
pub(crate) use self::hold::{HoldAction, HoldArguments, PauseArguments};
pub(crate) use self::plan::PlanArguments;
pub(crate) use self::purge::PurgeArguments;
pub(crate) use self::stack::{DoctorArguments, SmokeArguments};
pub(crate) use self::submit::{PriorityArgument, SubmitArguments};
pub(crate) use self::ui::UiArguments;

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "docket", version, about = "The command line of Docket: document analysis with Amazon Bedrock")]
pub(crate) struct Arguments {
    /// Colours; auto uses them on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN", display_order = 900)]
    pub color: ColorArgument,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArgument {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Submit files and folders as a batch
    #[command(after_help = submit::AFTER_SUBMIT)]
    Submit(Box<SubmitArguments>),
    /// Watch a batch until every job has finished
    #[command(after_help = batch::AFTER_WATCH)]
    Watch(WatchArguments),
    /// Show the counts, the rate, the tokens and the cost of a batch
    #[command(after_help = batch::AFTER_STATUS)]
    Status(StatusArguments),
    /// Download the results of a batch: CSV, JSON Lines, or a folder of JSON files
    #[command(after_help = batch::AFTER_RESULTS)]
    Results(ResultsArguments),
    /// List the jobs of a batch
    #[command(after_help = batch::AFTER_LIST)]
    Jobs(JobsArguments),
    /// Explain one job: its status, its attempts, its error and the remedy
    #[command(after_help = batch::AFTER_LIST)]
    Job(JobArguments),
    /// Retry the failed jobs of a batch, or single jobs
    #[command(after_help = batch::AFTER_CHANGE)]
    Retry(RetryArguments),
    /// Cancel a batch, or single jobs
    #[command(after_help = batch::AFTER_CHANGE)]
    Cancel(CancelArguments),
    /// Erase the documents, results and metadata of jobs, or of a batch; this cannot be undone
    #[command(after_help = purge::AFTER_PURGE)]
    Purge(PurgeArguments),
    /// List the dead letters by reason, and move them back to their queue
    #[command(after_help = batch::AFTER_REDRIVE)]
    Redrive(RedriveArguments),
    /// Serve a page with batches, results and documents for your browser
    #[command(after_help = ui::AFTER_UI)]
    Ui(UiArguments),
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
    /// Print the completions for a shell
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands into a folder
    Man {
        /// Folder for docket.1 and a page for each command
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of a page: its lines that begin with `$ docket `, without shortened ones.
    fn commands_of(page: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(page).expect("a page");
        let commands = text.lines().filter_map(|line| line.strip_prefix("$ docket "));
        commands.filter(|command| !command.contains('…')).map(str::to_owned).collect()
    }

    #[test]
    fn commands_of_the_operations_pages_are_valid() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("the pages") {
            let page = entry.expect("a page").path();
            if page.extension().is_none_or(|ending| ending != "md") {
                continue;
            }
            for command in commands_of(&page) {
                count += 1;
                let words = command.split_whitespace().map(|word| word.trim_matches(['\'', '"']));
                let parsed = Arguments::try_parse_from(std::iter::once("docket").chain(words));
                assert!(parsed.is_ok(), "{}: docket {command}: {}", page.display(), parsed.unwrap_err());
            }
        }
        assert!(count > 20, "{count} commands");
    }
}
