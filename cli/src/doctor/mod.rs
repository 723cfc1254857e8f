//! `docket doctor`: checks a deployed stack and its account.
//!
//! Each file judges one kind of facts, without any request; this file asks for the facts.

mod api;
mod functions;
mod holds;
mod line;
mod mappings;
mod models;
mod queues;
mod quotas;
mod report;
mod stack_state;
mod topics;

use std::collections::HashMap;

use docket::domain::analysis::answer_form::profile_prefix;

use self::line::{Line, Status};
use self::mappings::list_sources;
use crate::aws::api::Api;
use crate::aws::connect::{Connection, Target, connect};
use crate::aws::error::{AwsError, ConnectError};
use crate::aws::functions::{Function, Mapping, list_mappings, read_concurrency, read_function};
use crate::aws::holds::list_holds;
use crate::aws::models::{call_model, find_foundation_model, read_availability, read_lifecycle};
use crate::aws::queues::read_depth;
use crate::aws::quotas::list_model_quotas;
use crate::aws::stack::{Stack, StackError, read_stack};
use crate::aws::topics::count_subscriptions;
use crate::exit::Exit;
use crate::plan::prices::Prices;
use crate::terminal::{print_status, print_text};

/// Runs the command: connects, checks, and prints the report.
pub(crate) async fn run(target: &Target, call: bool, json: bool) -> Exit {
    let connection = match connect(target).await {
        Ok(connection) => connection,
        Err(error) => {
            print_status(&error.to_string());
            return match error {
                ConnectError::Credentials(_) => Exit::Credentials,
                ConnectError::Other(_) => Exit::Failed,
            };
        }
    };
    let lines = match examine(&connection, call).await {
        Ok(lines) => lines,
        Err(error) => {
            print_status(&format!("AWS does not accept the credentials: {error}: renew them, or use --profile"));
            return Exit::Credentials;
        }
    };
    print_text(&if json { report::as_json(&lines) } else { report::as_text(&lines) });
    let worst = lines.iter().map(|line| line.status).max();
    if worst == Some(Status::Error) { Exit::Failed } else { Exit::Done }
}

/// Makes every check.
///
/// # Errors
/// AWS does not accept the credentials.
async fn examine(connection: &Connection, call: bool) -> Result<Vec<Line>, AwsError> {
    let name = &connection.stack;
    let stack = match read_stack(connection).await {
        Ok(stack) => stack,
        Err(StackError::Missing { .. }) => return Ok(vec![stack_state::missing_stack(name, connection.region())]),
        Err(StackError::Aws(error)) if error.is_of_credentials() => return Err(error),
        Err(StackError::Aws(error)) => {
            // Without the outputs, nothing else can be checked.
            let line = Line::not_checked("stack", name, &error);
            return Ok(vec![Line { status: Status::Error, ..line }]);
        }
    };
    let mut lines = vec![stack_state::judge_stack(name, &stack), stack_state::judge_version(&stack)];
    let functions = check_functions(connection, &stack, &mut lines).await;
    check_mappings(connection, &stack, &mut lines).await;
    if let Some(url) = stack.output("ApiUrl") {
        lines.push(api::judge_api(Api::new(connection, url).send("GET", api::PATH, None).await));
    }
    check_models(connection, &functions, call, &mut lines).await;
    match list_holds(connection, &stack).await {
        Ok(holds) => lines.extend(holds::judge_holds(&holds)),
        Err(error) => lines.push(Line::not_checked(holds::CHECK, "JobsTable", &error)),
    }
    check_queues(connection, &stack, &mut lines).await;
    check_topics(connection, &stack, &mut lines).await;
    Ok(lines)
}

/// Reads every function of the stack, and returns those that Lambda knows, by their names.
async fn check_functions(
    connection: &Connection,
    stack: &Stack,
    lines: &mut Vec<Line>,
) -> HashMap<&'static str, Function> {
    let mut found = HashMap::new();
    for (name, output) in [
        ("ConsumerFunction", "ConsumerFunctionName"),
        ("ProducerFunction", "ProducerFunctionName"),
        ("NotifierFunction", "NotifierFunctionName"),
    ] {
        let Some(physical) = stack.output(output) else { continue };
        match read_function(connection, physical).await {
            Ok(function) => {
                lines.push(functions::judge_function(name, &function));
                found.insert(name, function);
            }
            Err(error) if error.code == "ResourceNotFoundException" => {
                let detail = format!("Lambda has no function {physical}");
                lines.push(Line::error(functions::CHECK, name, detail, "Deploy the stack again."));
            }
            Err(error) => lines.push(Line::not_checked(functions::CHECK, name, &error)),
        }
    }
    found
}

async fn check_mappings(connection: &Connection, stack: &Stack, lines: &mut Vec<Line>) {
    let mut all: Vec<Mapping> = Vec::new();
    let mut by_function: HashMap<&str, Result<Vec<Mapping>, AwsError>> = HashMap::new();
    for source in list_sources(stack) {
        let Some(function) = stack.output(source.function_output) else { continue };
        if !by_function.contains_key(function) {
            let mappings = list_mappings(connection, function).await;
            all.extend(mappings.iter().flatten().cloned());
            by_function.insert(function, mappings);
        }
        lines.push(match &by_function[function] {
            Ok(mappings) => mappings::judge_source(&source, mappings),
            Err(error) => Line::not_checked(mappings::CHECK, source.name, error),
        });
    }
    if all.is_empty() {
        return;
    }
    lines.push(match read_concurrency(connection).await {
        Ok(concurrency) => mappings::judge_concurrency(concurrency, &all),
        Err(error) => Line::not_checked(mappings::CONCURRENCY_CHECK, "Lambda", &error),
    });
}

async fn check_models(
    connection: &Connection,
    functions: &HashMap<&'static str, Function>,
    call: bool,
    lines: &mut Vec<Line>,
) {
    let Some(consumer) = functions.get("ConsumerFunction") else { return };
    let models = models::list_models(consumer, functions.get("ProducerFunction"));
    for model_id in &models {
        lines.push(check_model(connection, model_id).await);
    }
    let Some(model_id) = models.first() else { return };
    if call {
        let result = call_model(connection, model_id, &consumer.environment).await;
        lines.push(models::judge_call(model_id, result, &Prices::built_in()));
    }
    let setting = |kind: quotas::Kind| {
        consumer.environment.get(kind.variable).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
    };
    match list_model_quotas(connection).await {
        Ok(found) => {
            lines.push(quotas::judge_quota(quotas::TOKENS, model_id, setting(quotas::TOKENS), &found));
            // Many models have no quota of requests.
            if setting(quotas::REQUESTS) > 0 {
                lines.push(quotas::judge_quota(quotas::REQUESTS, model_id, setting(quotas::REQUESTS), &found));
            }
        }
        Err(error) => lines.push(Line::not_checked(quotas::CHECK, quotas::TOKENS.parameter, &error)),
    }
}

async fn check_model(connection: &Connection, model_id: &str) -> Line {
    let failed = |error: &AwsError| models::judge_failed_question(model_id, error, connection.is_local());
    let foundation = match profile_prefix(model_id) {
        None => model_id.to_owned(),
        Some(_) => match find_foundation_model(connection, model_id).await {
            Ok(Some(foundation)) => foundation,
            Ok(None) => return models::inactive_profile(model_id),
            Err(error) => return failed(&error),
        },
    };
    match read_availability(connection, &foundation).await {
        Ok(availability) => {
            // The phase of the model's life is a bonus: without it, the access is still known.
            let lifecycle = read_lifecycle(connection, &foundation).await.unwrap_or_default();
            models::judge_model(model_id, &availability, lifecycle.as_ref())
        }
        Err(error) => failed(&error),
    }
}

async fn check_queues(connection: &Connection, stack: &Stack, lines: &mut Vec<Line>) {
    for (output, name, remedy) in queues::QUEUES {
        let Some(url) = stack.output(output) else { continue };
        lines.push(match read_depth(connection, url).await {
            Ok(depth) => queues::judge_depth(name, depth, remedy),
            Err(error) => Line::not_checked(queues::CHECK, name, &error),
        });
    }
}

async fn check_topics(connection: &Connection, stack: &Stack, lines: &mut Vec<Line>) {
    for output in topics::OUTPUTS {
        let Some(arn) = stack.output(output) else { continue };
        let name = output.trim_end_matches("Arn");
        lines.push(match count_subscriptions(connection, arn).await {
            Ok(subscriptions) => topics::judge_topic(name, subscriptions),
            Err(error) => Line::not_checked(topics::CHECK, name, &error),
        });
    }
}
