//! The command line `docket`. It calls no service.
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

/// The deadline is not met.
const NOT_MET: u8 = 1;

/// Runs the command line of this process: 0 when the deadline is met, 1 when it
/// is not, 2 for an error of use.
pub fn run() -> ExitCode {
    let Command::Plan(arguments) = Arguments::parse().command;
    match run_plan(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_MET),
        // Exits with 2, as clap does for its own.
        Err(wrong) => Arguments::command().error(ErrorKind::ValueValidation, wrong).exit(),
    }
}

fn run_plan(arguments: &PlanArguments) -> Result<bool, String> {
    let prices = match &arguments.prices {
        None => Prices::own(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("--prices {}: {error}", path.display()))?;
            Prices::read(&text).map_err(|error| format!("--prices {}: {error}", path.display()))?
        }
    };
    let model = &arguments.model;
    let price = prices.model(model).ok_or_else(|| {
        let known: Vec<&str> = prices.models.keys().map(String::as_str).collect();
        format!("--model {model}: no prices for it; add them with --prices. Known: {}", known.join(", "))
    })?;
    let (work, limits) = (arguments.work(price.output_token_factor), arguments.limits());
    let plan = plan(work, limits, model, &prices).map_err(|error| format!("--seconds: {error}"))?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())? + "\n"
    } else {
        report(&plan, &prices)
    };
    // A reader that has seen enough and closed the pipe is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(plan.meets_deadline)
}
