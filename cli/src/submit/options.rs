//! The options of a submit.

use std::path::PathBuf;
use std::time::Duration;

use docket::domain::ids::BatchId;
use docket::domain::job::priority::Priority;
use globset::GlobSet;

use super::settings::BatchSettings;
use super::walk;
use crate::arguments::{PriorityArgument, SubmitArguments};
use crate::plan::prices::Prices;

/// The options of a submit.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// The batch.
    pub batch_id: BatchId,
    /// The settings of the batch.
    pub settings: BatchSettings,
    /// The priority of every document.
    pub priority: Priority,
    /// The patterns of files to skip.
    pub exclusions: GlobSet,
    /// Whether nothing is uploaded.
    pub is_dry_run: bool,
    /// Whether the command waits for the end of the batch.
    pub waits: bool,
    /// The longest wait.
    pub timeout: Option<Duration>,
    /// Concurrent uploads.
    pub concurrency: usize,
    /// How long failing uploads are repeated.
    pub retry_for: Duration,
    /// Whether many files need no question.
    pub has_consent: bool,
    /// The bucket, in place of the stack's output.
    pub bucket: Option<String>,
    /// Duration of a call in seconds, for the estimate.
    pub call_seconds: f64,
    /// The prices, for the estimate.
    pub prices: Prices,
    /// Whether the report is JSON.
    pub json: bool,
}

impl Options {
    /// Reads the files that the arguments name.
    ///
    /// # Errors
    /// The first argument that is not valid, with its problem.
    pub fn new(arguments: &SubmitArguments, prices: Prices) -> Result<Self, String> {
        let labels: Vec<String> = arguments.labels.iter().map(|label| label.trim().to_owned()).collect();
        let (file, instructions) = (arguments.analysis.as_deref(), arguments.instructions.as_deref());
        Ok(Self {
            paths: arguments.paths.clone(),
            batch_id: arguments.batch.clone(),
            settings: BatchSettings::new(file, &labels, instructions, arguments.evidence, arguments.deduplicate)?,
            priority: match arguments.priority {
                PriorityArgument::Normal => Priority::Normal,
                PriorityArgument::High => Priority::High,
            },
            exclusions: walk::parse_exclusions(&arguments.exclude)?,
            is_dry_run: arguments.dry_run,
            waits: arguments.wait,
            timeout: arguments.timeout.map(Duration::from_secs_f64),
            concurrency: arguments.concurrency as usize,
            retry_for: Duration::from_secs_f64(arguments.retry_for),
            has_consent: arguments.yes,
            bucket: arguments.bucket.clone(),
            call_seconds: arguments.seconds,
            prices,
            json: arguments.json,
        })
    }
}
