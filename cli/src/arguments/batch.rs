//! The arguments of the commands on a batch and its jobs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use docket::domain::ids::{BatchId, JobId};

use super::stack::{ApiArguments, StackArguments};
use super::values::parse_positive_duration;

pub(super) const AFTER_WATCH: &str = "\
Ctrl-C ends the watching and nothing else.

Exit codes: 0 every job is complete; 1 a job failed, or there is no such batch; 2 invalid arguments;
3 time-out; 4 no usable credentials; 5 jobs were cancelled; 130 interrupted.";

pub(super) const AFTER_STATUS: &str = "\
Exit codes: 0 every job is complete; 1 a job failed, or there is no such batch; 2 invalid arguments;
3 jobs are unfinished; 4 no usable credentials; 5 jobs were cancelled, or wait for a hold or a pause.";

pub(super) const AFTER_RESULTS: &str = "\
The output has the complete jobs; failed and cancelled jobs are in FILE.errors.csv. Both appear when
they are whole.

Exit codes: 0 every job is complete; 1 a job failed, or an error; 2 invalid arguments; 3 jobs are
unfinished; 4 no usable credentials; 5 jobs were cancelled, or wait for a hold or a pause.

Examples:
  docket results leases-2026 -o leases.csv --bom
  docket results leases-2026 -o leases.jsonl
  docket results leases-2026 -o leases/";

pub(super) const AFTER_LIST: &str = "\
Exit codes: 0 done; 1 there is no such batch or job, or an error; 2 invalid arguments; 4 no usable
credentials.";

pub(super) const AFTER_CHANGE: &str = "\
Exit codes: 0 done; 1 a job could not be changed, there is no such batch or job, or an error;
2 invalid arguments; 4 no usable credentials.";

pub(super) const AFTER_REDRIVE: &str = "\
Remove the cause first. A redriven job starts again with all its attempts.

Exit codes: 0 done; 1 an error; 2 invalid arguments; 4 no usable credentials.";

#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Batch
    #[arg(value_name = "BATCH")]
    pub batch: BatchId,
    /// Time to watch before the command exits with 3 [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    pub timeout: Option<f64>,
    /// Print the batch as JSON at the end
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Batch
    #[arg(value_name = "BATCH")]
    pub batch: BatchId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArgument {
    Csv,
    Jsonl,
    Folder,
}

#[derive(Debug, Args)]
pub(crate) struct ResultsArguments {
    /// Batch
    #[arg(value_name = "BATCH")]
    pub batch: BatchId,
    /// Output: a .csv or .jsonl file, or a folder
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Format [default: by the extension of FILE]
    #[arg(long, value_enum)]
    pub format: Option<FormatArgument>,
    /// Begin the CSV with a byte order mark, by which Excel recognises UTF-8
    #[arg(long)]
    pub bom: bool,
    /// Print a summary as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusArgument {
    Pending,
    Processing,
    Complete,
    Failed,
    Cancelled,
}

impl StatusArgument {
    /// The API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The statuses of unfinished jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnfinishedArgument {
    Pending,
    Processing,
}

impl UnfinishedArgument {
    /// The API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
        }
    }
}

/// The state of a job's evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvidenceArgument {
    Verified,
    Unverified,
    Unverifiable,
}

impl EvidenceArgument {
    /// The API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Unverifiable => "unverifiable",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct JobsArguments {
    /// Batch
    #[arg(value_name = "BATCH")]
    pub batch: BatchId,
    /// Only jobs with this status
    #[arg(long, value_enum)]
    pub status: Option<StatusArgument>,
    /// Only complete jobs with this label
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// Only failed jobs with this error code
    #[arg(long, value_name = "CODE")]
    pub error_code: Option<String>,
    /// Only jobs whose document has this text in its name
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Only complete jobs whose evidence has this state
    #[arg(long, value_enum)]
    pub evidence: Option<EvidenceArgument>,
    /// Print JSON: an array of jobs
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Args)]
pub(crate) struct JobArguments {
    /// Job
    #[arg(value_name = "ID")]
    pub job: JobId,
    /// Print only a URL of the document, which is valid for 5 minutes
    #[arg(long)]
    pub document: bool,
    /// Print JSON as the API returns it
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["batch", "jobs"])]
pub(crate) struct RetryArguments {
    /// Batch whose failed jobs are retried
    #[arg(value_name = "BATCH")]
    pub batch: Option<BatchId>,
    /// Job to retry, in place of a batch; may be repeated
    #[arg(long = "job", value_name = "ID")]
    pub jobs: Vec<JobId>,
    /// Only failed jobs of the batch with this error code
    #[arg(long, value_name = "CODE", conflicts_with = "jobs")]
    pub error_code: Option<String>,
    /// Only jobs of the batch whose document has this text in its name
    #[arg(long, value_name = "TEXT", conflicts_with = "jobs")]
    pub name: Option<String>,
    /// Unfinished jobs of the batch with this status, whose message may be lost
    #[arg(long, value_enum, conflicts_with_all = ["jobs", "error_code"])]
    pub status: Option<UnfinishedArgument>,
    /// Retry without a question
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["batch", "jobs"])]
pub(crate) struct CancelArguments {
    /// Batch to cancel; it takes no more jobs
    #[arg(value_name = "BATCH")]
    pub batch: Option<BatchId>,
    /// Job to cancel, in place of a batch; may be repeated
    #[arg(long = "job", value_name = "ID")]
    pub jobs: Vec<JobId>,
    /// Only jobs of the batch whose document has this text in its name; the batch takes further jobs
    #[arg(long, value_name = "TEXT", conflicts_with = "jobs")]
    pub name: Option<String>,
    /// Only jobs of the batch with this status; the batch takes further jobs
    #[arg(long, value_enum, conflicts_with = "jobs")]
    pub status: Option<UnfinishedArgument>,
    /// Cancel without a question
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArguments {
    /// Only messages with this error code [default: all but malformed_message]
    #[arg(long, value_name = "CODE")]
    pub error_code: Option<String>,
    /// List the dead letters and move none
    #[arg(long, conflicts_with = "yes")]
    pub list: bool,
    /// Move without a question
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: StackArguments,
}
