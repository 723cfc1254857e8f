//! The arguments of `docket submit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use docket::domain::ids::BatchId;

use super::stack::ApiArguments;
use super::values::{parse_call_seconds, parse_positive_duration, whole_number};

pub(super) const AFTER_SUBMIT: &str = "\
The command uploads each file to the stack's bucket, and S3's event makes it a job. A second run of
the same command uploads only what is missing. The name of a document is its path in the folder that
PATH names.

Exit codes: 0 done; 1 an error, or a job failed; 2 invalid arguments; 3 time-out; 4 no usable
credentials; 5 jobs were cancelled; 130 interrupted.

Examples:
  docket submit ./leases --batch leases-2026 --labels residential,commercial,neither --wait
  docket submit ./leases --batch leases-2026 --exclude '*.tmp' --dry-run";

#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Batch of the documents: 1 to 128 letters, digits and . _ : -
    #[arg(long, value_name = "BATCH")]
    pub batch: BatchId,
    /// JSON or YAML file with the analysis of the batch: instructions, labels, schema, model_id, …
    #[arg(long, value_name = "FILE")]
    pub analysis: Option<PathBuf>,
    /// Labels of the classification, separated by commas
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Instructions to the model
    #[arg(long, value_name = "TEXT")]
    pub instructions: Option<String>,
    /// Let the model name a passage of the document for each value, and check it
    #[arg(long)]
    pub evidence: bool,
    /// Priority of the documents; high uses its own queue
    #[arg(long, value_enum, default_value = "normal")]
    pub priority: PriorityArgument,
    /// Reuse the results of identical documents [default: the stack's parameter Deduplicate]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    pub deduplicate: Option<bool>,
    /// Skip files and folders whose name or path matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Upload nothing; list the skipped files, and estimate tokens, cost and time
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    /// Wait until every document of the batch has finished, also through a hold or a pause
    #[arg(long)]
    pub wait: bool,
    /// Time to wait before the command exits with 3 [default: no limit]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = parse_positive_duration)]
    pub timeout: Option<f64>,
    /// Concurrent uploads
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = whole_number(1, 256))]
    pub concurrency: u64,
    /// Time for which failing uploads are repeated
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_positive_duration)]
    pub retry_for: f64,
    /// Submit more than 1,000 files without a question
    #[arg(long)]
    pub yes: bool,
    /// Bucket of the stack; needed with --api alone
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Duration of a model call, for the estimate
    #[arg(long, value_name = "TIME", default_value = "8s", value_parser = parse_call_seconds)]
    pub seconds: f64,
    /// Price table for the estimate, in the format of cli/src/plan/prices.json
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stack: ApiArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriorityArgument {
    Normal,
    High,
}
