//! `docket submit`: uploads files and folders as the documents of a batch.
//!
//! `walk` finds the files, `upload` stores one, `settings` prepares the batch, `estimate`
//! calculates tokens, cost and time, and `report` prints what became of the files.

mod estimate;
mod options;
mod report;
mod settings;
mod upload;
mod walk;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::estimate::{Sums, estimate};
pub(crate) use self::options::Options;
use self::report::Report;
use self::settings::read_settings;
pub(crate) use self::settings::{BatchSettings, prepare_batch};
pub(crate) use self::upload::{Outcome, Uploads};
use self::walk::{Entry, Found, walk};
pub(crate) use self::walk::{FILE_MAX_BYTES, check_file};
use crate::aws::connect::Target;
use crate::aws::submitted::Submitted;
use crate::batch::{Batch, follow};
use crate::client::Client;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::interrupt::interruptible;
use crate::terminal::{Progress, confirm, print_status, print_text, print_verdict};

/// More files than this need the user's consent.
const QUESTION_FILES: u64 = 1_000;
/// Entries that the walk may be ahead of the uploads.
const AHEAD: usize = 256;

/// Runs the command, and prints the report.
pub(crate) async fn run(target: &Target, options: &Options) -> Exit {
    match try_run(target, options).await {
        Ok(exit) => exit,
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

async fn try_run(target: &Target, options: &Options) -> Result<Exit, CommandError> {
    for path in &options.paths {
        path.metadata().map_err(|error| CommandError::of_file(path, &error))?;
    }
    let client = Client::open(target).await?;
    if options.is_dry_run {
        return dry_run(&client, options).await;
    }
    let bucket = options.bucket.as_deref().map_or_else(|| client.output("DocumentsBucketName"), Ok)?;
    ask_for_consent(&client, options).await?;
    let again = "stopped: run the same command again to upload the rest";
    interruptible(again, submit(&client, bucket, options)).await
}

async fn submit(client: &Client, bucket: &str, options: &Options) -> Result<Exit, CommandError> {
    let batch_id = &options.batch_id;
    let before = Batch::new(prepare_batch(client, batch_id, &options.settings).await?, None);
    let documents = Submitted::new(&client.connection, bucket);
    let uploads = Uploads::new(documents, batch_id.clone(), options.priority, options.retry_for).await?;
    let mut report = upload_all(&uploads, options).await?;
    // Jobs of other ways into the batch are no objects of this prefix.
    let others = before.total().saturating_sub(uploads.count_present());
    if report.count_files() == 0 {
        return Err(CommandError::Failed("there is no file to submit".to_owned()));
    }
    let mut exit = if report.unreadable.is_empty() { Exit::Done } else { Exit::Failed };
    let mut verdict = report.verdict();
    if options.waits {
        let expected = others + uploads.count_present() + report.uploaded;
        let batch = follow(client, batch_id, options.timeout, expected).await?;
        let (end, line) = batch.verdict();
        exit = if end == Exit::Done { exit } else { end };
        verdict = format!("{verdict}; {line}");
        report.batch = Some(batch.json);
    }
    print_text(&if options.json { report.as_json() } else { report.as_text() });
    print_verdict(exit == Exit::Done, &verdict);
    Ok(exit)
}

/// Walks and uploads at the same time.
async fn upload_all(uploads: &Arc<Uploads>, options: &Options) -> Result<Report, CommandError> {
    let mut report = Report::new(&options.batch_id);
    let mut progress = Progress::new();
    let (sender, mut entries) = mpsc::channel(AHEAD);
    let (paths, exclusions) = (options.paths.clone(), options.exclusions.clone());
    // The walk ends early when the receiver is gone.
    tokio::task::spawn_blocking(move || walk(&paths, &exclusions, |entry| sender.blocking_send(entry).is_ok()));
    let mut running = JoinSet::new();
    loop {
        let has_slot = running.len() < options.concurrency;
        tokio::select! {
            Some(entry) = entries.recv(), if has_slot => match entry {
                Entry::File(found) => {
                    let uploads = uploads.clone();
                    running.spawn(async move { uploads.upload(&found).await.map(|outcome| (found, outcome)) });
                }
                Entry::Skipped { path, reason } => report.skip(&progress, path, reason),
                Entry::Unreadable { path, error } => report.fail(&progress, path, error),
            },
            Some(ended) = running.join_next() => {
                let (found, outcome) = ended.expect("an upload does not panic")?;
                note_outcome(&mut report, &progress, &found, outcome);
            }
            else => break,
        }
        let done = report.count_files();
        progress.show("", done, done + running.len() as u64, &report.verdict());
    }
    Ok(report)
}

fn note_outcome(report: &mut Report, progress: &Progress, found: &Found, outcome: Outcome) {
    match outcome {
        Outcome::Uploaded => report.uploaded += 1,
        Outcome::Present => report.present += 1,
        Outcome::Skipped(reason) => report.skip(progress, found.file.display().to_string(), reason),
        Outcome::Unreadable(error) => report.fail(progress, found.file.display().to_string(), error),
    }
}

/// Counts the files; `None` as soon as there are more than `limit`.
async fn count_files(options: &Options, limit: Option<u64>) -> Option<Sums> {
    let (paths, exclusions) = (options.paths.clone(), options.exclusions.clone());
    let counted = tokio::task::spawn_blocking(move || {
        let mut sums = Sums::default();
        walk(&paths, &exclusions, |entry| {
            if let Entry::File(found) = entry {
                sums.add(&found.path, found.size);
            }
            limit.is_none_or(|limit| sums.files <= limit)
        });
        sums
    });
    let sums = counted.await.expect("the walk does not panic");
    limit.is_none_or(|limit| sums.files <= limit).then_some(sums)
}

/// Shows the estimate of many files, and asks.
async fn ask_for_consent(client: &Client, options: &Options) -> Result<(), CommandError> {
    if options.has_consent || count_files(options, Some(QUESTION_FILES)).await.is_some() {
        return Ok(());
    }
    let sums = count_files(options, None).await.unwrap_or_default();
    let settings = read_settings(client, &options.settings).await;
    let text = estimate(sums, settings, options.call_seconds, &options.prices).as_text();
    text.lines().for_each(print_status);
    confirm(&format!("Submit {} files?", sums.files), false)
}

async fn dry_run(client: &Client, options: &Options) -> Result<Exit, CommandError> {
    let mut report = Report::new(&options.batch_id);
    let (progress, mut sums) = (Progress::new(), Sums::default());
    walk(&options.paths, &options.exclusions, |entry| {
        match entry {
            Entry::File(found) => sums.add(&found.path, found.size),
            Entry::Skipped { path, reason } => report.skip(&progress, path, reason),
            Entry::Unreadable { path, error } => report.fail(&progress, path, error),
        }
        true
    });
    let settings = read_settings(client, &options.settings).await;
    let estimate = estimate(sums, settings, options.call_seconds, &options.prices);
    let is_complete = report.unreadable.is_empty();
    print_text(&if options.json { report.as_json_with(&estimate) } else { estimate.as_text() });
    print_verdict(is_complete, &format!("nothing was uploaded; {} files, {}", sums.files, report.skip_verdict()));
    Ok(if is_complete { Exit::Done } else { Exit::Failed })
}
