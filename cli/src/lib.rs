//! The command line `docket`. `plan` calls no AWS service; the other commands use a
//! deployed stack.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arguments;
mod aws;
mod doctor;
mod exit;
mod hold;
pub mod plan;
mod smoke;
mod terminal;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use self::arguments::{Arguments, Command, HoldAction, PlanArguments};
use self::terminal::print_text;
use crate::plan::prices::Prices;
use crate::plan::{plan, report};

/// Exit code of a plan that misses the deadline.
const DEADLINE_MISSED: u8 = 1;

/// Runs the command line of this process, and returns the exit code that `--help` of the
/// command documents.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Plan(arguments) => match or_usage(run_plan(&arguments)) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(DEADLINE_MISSED),
        },
        Command::Doctor(arguments) => {
            let target = arguments.stack.target();
            block_on(doctor::run(&target, arguments.call, arguments.json)).into()
        }
        Command::Hold(arguments) => match arguments.action {
            HoldAction::List { stack, json } => block_on(hold::list(&stack.target(), json)).into(),
            HoldAction::Lift { stack, target } => block_on(hold::lift(&stack.target(), &target)).into(),
        },
        Command::Pause(arguments) => {
            block_on(hold::change_batch(&arguments.stack.target(), &arguments.batch, "pause")).into()
        }
        Command::Resume(arguments) => {
            block_on(hold::change_batch(&arguments.stack.target(), &arguments.batch, "resume")).into()
        }
        Command::Smoke(arguments) => {
            let target = arguments.stack.target();
            let options = smoke::Options {
                keep: arguments.keep,
                timeout: Duration::from_secs_f64(arguments.timeout),
                prices: or_usage(read_prices(arguments.prices.as_deref())),
                json: arguments.json,
            };
            block_on(smoke::run(&target, &options)).into()
        }
    }
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
