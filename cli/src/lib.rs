//! The command line `docket`. It calls no AWS service.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arguments;
pub mod plan;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use self::arguments::{Arguments, Command, PlanArguments};
use crate::plan::prices::Prices;
use crate::plan::{plan, report};

/// Exit code of a plan that misses the deadline.
const DEADLINE_MISSED: u8 = 1;

/// Runs the command line of this process. The exit code is 0 if the plan meets the
/// deadline, 1 if it does not, and 2 for invalid arguments.
pub fn run() -> ExitCode {
    let Command::Plan(arguments) = Arguments::parse().command;
    match run_plan(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DEADLINE_MISSED),
        // `exit` ends the process with 2, as for errors that clap finds itself.
        Err(problem) => Arguments::command().error(ErrorKind::ValueValidation, problem).exit(),
    }
}

fn run_plan(arguments: &PlanArguments) -> Result<bool, String> {
    let prices = match &arguments.prices {
        None => Prices::built_in(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("--prices {}: {error}", path.display()))?;
            Prices::parse(&text).map_err(|error| format!("--prices {}: {error}", path.display()))?
        }
    };
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
    // A closed pipe, as with `| head`, is not an error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(plan.meets_deadline)
}
