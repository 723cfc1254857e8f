//! The command line `docket`. `plan` calls no AWS service; the other commands use a
//! deployed stack.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arguments;
mod aws;
mod batch;
mod changes;
mod client;
mod doctor;
mod error;
mod exit;
mod hold;
mod interrupt;
mod jobs;
mod pages;
pub mod plan;
mod purge;
mod query;
mod redrive;
mod results;
mod shell;
mod smoke;
mod submit;
mod terminal;
mod ui;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use self::arguments::{
    Arguments, CancelArguments, ColorArgument, Command, EvidenceArgument, FormatArgument, HoldAction, JobArguments,
    JobsArguments, PlanArguments, PurgeArguments, ResultsArguments, RetryArguments, StatusArgument, SubmitArguments,
    UnfinishedArgument,
};
use self::changes::{Mode, Selection};
use self::exit::Exit;
use self::purge::Purged;
use self::query::query;
use self::results::Format;
use self::terminal::print_text;
use crate::plan::prices::Prices;
use crate::plan::{plan, report};

/// Exit code of a plan that misses the deadline.
const DEADLINE_MISSED: u8 = 1;

/// Runs the command line of this process, and returns the exit code that `--help` of the
/// command documents.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.color {
        ColorArgument::Auto => anstream::ColorChoice::Auto,
        ColorArgument::Always => anstream::ColorChoice::Always,
        ColorArgument::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    match arguments.command {
        Command::Plan(arguments) => match or_usage(run_plan(&arguments)) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(DEADLINE_MISSED),
        },
        Command::Completions { shell } => shell::completions(shell).into(),
        Command::Man { folder } => shell::man(folder.as_deref()).into(),
        command => block_on(run_on_stack(command)).into(),
    }
}

/// Runs a command that uses a deployed stack.
async fn run_on_stack(command: Command) -> Exit {
    match command {
        Command::Submit(arguments) => submit(&arguments).await,
        Command::Watch(arguments) => {
            let timeout = arguments.timeout.map(Duration::from_secs_f64);
            batch::watch(&arguments.stack.target(), &arguments.batch, timeout, arguments.json).await
        }
        Command::Hold(arguments) => match arguments.action {
            HoldAction::List { stack, json } => hold::list(&stack.target(), json).await,
            HoldAction::Lift { stack, target } => hold::lift(&stack.target(), &target).await,
        },
        Command::Pause(arguments) => hold::change_batch(&arguments.stack.target(), &arguments.batch, "pause").await,
        Command::Resume(arguments) => hold::change_batch(&arguments.stack.target(), &arguments.batch, "resume").await,
        Command::Status(arguments) => batch::status(&arguments.stack.target(), &arguments.batch, arguments.json).await,
        Command::Results(arguments) => results(arguments).await,
        Command::Jobs(arguments) => list_jobs(arguments).await,
        Command::Job(JobArguments { job, document: true, json, stack }) => {
            jobs::show_document(&stack.target(), &job, json).await
        }
        Command::Job(JobArguments { job, document: false, json, stack }) => {
            jobs::show(&stack.target(), &job, json).await
        }
        Command::Retry(arguments) => retry(arguments).await,
        Command::Cancel(arguments) => cancel(arguments).await,
        Command::Purge(arguments) => {
            let PurgeArguments { batch, jobs, yes, json, stack } = arguments;
            let purged = batch.map_or(Purged::Jobs(jobs), Purged::Batch);
            purge::run(&stack.target(), purged, yes, json).await
        }
        Command::Redrive(arguments) => {
            let target = arguments.stack.target();
            let (lists, has_consent, json) = (arguments.list, arguments.yes, arguments.json);
            redrive::run(&target, &redrive::Options { error_code: arguments.error_code, lists, has_consent, json })
                .await
        }
        Command::Ui(arguments) => ui::run(&arguments.stack.target(), arguments.port, arguments.write).await,
        Command::Doctor(arguments) => doctor::run(&arguments.stack.target(), arguments.call, arguments.json).await,
        Command::Smoke(arguments) => {
            let options = smoke::Options {
                keep: arguments.keep,
                timeout: Duration::from_secs_f64(arguments.timeout),
                prices: or_usage(read_prices(arguments.prices.as_deref())),
                json: arguments.json,
            };
            smoke::run(&arguments.stack.target(), &options).await
        }
        Command::Plan(_) | Command::Completions { .. } | Command::Man { .. } => Exit::Usage,
    }
}

async fn submit(arguments: &SubmitArguments) -> Exit {
    let prices = or_usage(read_prices(arguments.prices.as_deref()));
    let options = or_usage(submit::Options::new(arguments, prices));
    submit::run(&arguments.stack.target(), &options).await
}

async fn results(arguments: ResultsArguments) -> Exit {
    let format = match arguments.format {
        Some(FormatArgument::Csv) => Format::Csv,
        Some(FormatArgument::Jsonl) => Format::JsonLines,
        Some(FormatArgument::Folder) => Format::Folder,
        None => or_usage(results::format_of(&arguments.output)),
    };
    let (batch_id, output) = (arguments.batch, arguments.output);
    let options = results::Options { batch_id, output, format, has_mark: arguments.bom, json: arguments.json };
    results::run(&arguments.stack.target(), &options).await
}

async fn list_jobs(arguments: JobsArguments) -> Exit {
    let JobsArguments { batch, status, label, error_code, name, evidence, json, stack } = arguments;
    let status = status.map_or("", StatusArgument::as_str);
    let evidence = evidence.map(|evidence| EvidenceArgument::as_str(evidence).to_owned());
    let fields = [("label", label), ("error_code", error_code), ("name_contains", name), ("evidence", evidence)];
    jobs::list(&stack.target(), &batch, &filter_of(status, fields), json).await
}

/// A filter of the API.
fn filter_of<const N: usize>(status: &str, fields: [(&str, Option<String>); N]) -> String {
    let texts = fields.iter().map(|(name, value)| (*name, value.as_deref().unwrap_or_default()));
    query(&[("status", status)].into_iter().chain(texts).collect::<Vec<_>>())
}

async fn retry(arguments: RetryArguments) -> Exit {
    let RetryArguments { batch, jobs, error_code, name, status, yes, json, stack } = arguments;
    let status = status.map_or("failed", UnfinishedArgument::as_str);
    let filter = filter_of(status, [("error_code", error_code), ("name_contains", name)]);
    let selection = match batch {
        Some(batch) => Selection::Filters(batch, vec![filter]),
        None => Selection::Jobs(jobs),
    };
    changes::retry(&stack.target(), selection, Mode { has_consent: yes, json }).await
}

async fn cancel(arguments: CancelArguments) -> Exit {
    let CancelArguments { batch, jobs, name, status, yes, json, stack } = arguments;
    let selection = match batch {
        Some(batch) if status.is_none() && name.is_none() => Selection::Batch(batch),
        Some(batch) => {
            let statuses = status.map_or(vec!["pending", "processing"], |status| vec![status.as_str()]);
            let filter = |status| filter_of(status, [("name_contains", name.clone())]);
            Selection::Filters(batch, statuses.into_iter().map(filter).collect())
        }
        None => Selection::Jobs(jobs),
    };
    changes::cancel(&stack.target(), selection, Mode { has_consent: yes, json }).await
}

/// The value, or the end of the process with 2, as for errors that clap finds itself.
fn or_usage<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|problem| Arguments::command().error(ErrorKind::ValueValidation, problem).exit())
}

fn block_on<F: Future>(command: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("the operating system starts threads").block_on(command)
}

fn read_prices(path: Option<&Path>) -> Result<Prices, String> {
    let Some(path) = path else { return Ok(Prices::built_in()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("--prices {}: {error}", path.display()))?;
    Prices::parse(&text).map_err(|error| format!("--prices {}: {error}", path.display()))
}

fn run_plan(arguments: &PlanArguments) -> Result<bool, String> {
    let prices = read_prices(arguments.prices.as_deref())?;
    let model = &arguments.model;
    let price = prices.model(model).ok_or_else(|| {
        let known: Vec<&str> = prices.models.keys().map(String::as_str).collect();
        format!(
            "--model {model}: the price table has no such model; add it with --prices. Models: {}",
            known.join(", ")
        )
    })?;
    let (work, limits) = (arguments.workload(price.output_token_factor), arguments.limits());
    let plan = plan(work, limits, model, &prices).map_err(|error| format!("--seconds: {error}"))?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())? + "\n"
    } else {
        report(&plan, &prices)
    };
    print_text(&text);
    Ok(plan.meets_deadline)
}
