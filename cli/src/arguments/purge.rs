//! The arguments of `docket purge`.

use clap::{ArgGroup, Args};
use docket::domain::ids::{BatchId, JobId};

use super::stack::ApiArguments;

pub(super) const AFTER_PURGE: &str = "\
docs/operations/purge.md lists what is erased, what remains, and for how long.

The stack erases in the background. `docket job ID` shows `purged_at` when a job is purged.

Exit codes: 0 the purge was requested; 1 there is no such batch or job, or an error; 2 invalid
arguments; 4 no usable credentials.";

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["jobs", "batch"])))]
pub(crate) struct PurgeArguments {
    /// Jobs
    #[arg(value_name = "JOB")]
    pub jobs: Vec<JobId>,
    /// Batch with all its jobs, in place of jobs
    #[arg(long, value_name = "BATCH")]
    pub batch: Option<BatchId>,
    /// Purge without a question
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}
