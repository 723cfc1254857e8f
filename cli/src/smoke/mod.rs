//! `docket smoke`: runs sample documents through a deployed stack, and checks each result.

mod batch;
mod cleanup;
mod deployment;
mod documents;
mod messages;
mod outcome;
mod report;

use std::time::{Duration, Instant};

use self::batch::{read_jobs, submit, wait_for_end};
use self::cleanup::delete_objects;
use self::deployment::Deployment;
use self::documents::{Submission, Way, list_submissions};
use self::messages::{find_poison, send_duplicate, send_poison};
use self::outcome::Outcome;
use self::report::{Report, estimate_price};
use crate::aws::connect::Target;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::plan::prices::Prices;
use crate::terminal::{print_status, print_text};

/// The options of a run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Whether the objects and the dead letter of the run are kept.
    pub keep: bool,
    /// Time until every document must be finished.
    pub timeout: Duration,
    /// The prices of the models.
    pub prices: Prices,
    /// Whether the report is JSON.
    pub json: bool,
}

/// Runs the command, and prints the report.
pub(crate) async fn run(target: &Target, options: &Options) -> Exit {
    match try_run(target, options).await {
        Ok(report) => {
            print_text(&if options.json { report.as_json() } else { report.as_text() });
            match (report.timed_out, report.passed) {
                (true, _) => Exit::NotEstablished,
                (false, true) => Exit::Done,
                (false, false) => Exit::Failed,
            }
        }
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

async fn try_run(target: &Target, options: &Options) -> Result<Report, CommandError> {
    let started = Instant::now();
    let deployment = Deployment::open(target, name_run(), options.timeout).await?;
    let submissions = list_submissions(&deployment.run);
    print_status(&format!("sending {} documents as the batch {}", submissions.len(), deployment.run));
    submit(&deployment, &submissions).await?;
    send_poison(&deployment).await?;
    let has_ended = wait_for_end(&deployment, submissions.len() as u64).await?;
    let mut checks = Vec::new();
    if has_ended {
        print_status("sending a duplicate of a finished job");
        let duplicate = submissions.iter().find(|submission| submission.way == Way::Queue).expect("five are by queue");
        let result = send_duplicate(&deployment, duplicate).await;
        checks.push(Outcome::of_check("queue", &format!("duplicate of {}", duplicate.document), result));
    }
    print_status("looking for the message that is no job in the dead-letter queue");
    let mut dead_letters = 0;
    let poison = find_poison(&deployment, options.keep, &mut dead_letters).await;
    checks.push(Outcome::of_check("queue", "message that is no job", poison));
    finish(&deployment, &submissions, options, Progress { started, has_ended, checks, dead_letters }).await
}

/// The findings of a run before its documents are read.
struct Progress {
    started: Instant,
    has_ended: bool,
    checks: Vec<Outcome>,
    dead_letters: usize,
}

/// Reads and checks every job, cleans up, and makes the report.
async fn finish(
    deployment: &Deployment,
    submissions: &[Submission],
    options: &Options,
    progress: Progress,
) -> Result<Report, CommandError> {
    let Progress { started, has_ended, checks, dead_letters } = progress;
    let jobs = read_jobs(deployment, submissions).await?;
    let pairs = submissions.iter().zip(&jobs);
    let documents = pairs.map(|(submission, job)| Outcome::of_job(submission, &job.job_id, &job.view));
    let outcomes: Vec<Outcome> = documents.chain(checks).collect();
    let batch_id = deployment.run.clone();
    let mut remaining = vec![format!("{} jobs of the batch {batch_id} in the table, until they expire", jobs.len())];
    // An unfinished job still needs its document.
    let deleted = if options.keep || !has_ended {
        remaining.push(format!("the objects of the batch {batch_id} in the bucket, until they expire"));
        0
    } else {
        let (deleted, error) = delete_objects(deployment, &jobs).await;
        remaining.extend(error.map(|error| format!("objects that could not be deleted ({error})")));
        deleted
    };
    if options.keep {
        remaining.push(format!("the dead letter whose body names {batch_id}"));
    }
    let prices = &options.prices;
    Ok(Report {
        batch_id,
        passed: has_ended && outcomes.iter().all(|outcome| outcome.passed),
        timed_out: !has_ended,
        seconds: started.elapsed().as_secs_f64(),
        input_tokens: outcomes.iter().map(|outcome| outcome.input_tokens).sum(),
        output_tokens: outcomes.iter().map(|outcome| outcome.output_tokens).sum(),
        estimated_usd: estimate_price(&outcomes, prices),
        prices: format!("list prices of {}, {}", prices.region, prices.date),
        deleted: format!("object versions {deleted}, dead letters {dead_letters}"),
        remaining,
        outcomes,
    })
}

/// `smoke-<time>-<random>`: a name that no other run uses.
fn name_run() -> String {
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("smoke-{time}-{:06x}", fastrand::u32(..0x100_0000))
}
