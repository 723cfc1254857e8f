//! The template, the reference pages and the code agree.

mod managed_policies;
mod metrics;
mod model_families;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use docket::aws::AwsConfig;
use docket::config::{
    ConfigError, ConsumerConfig, DEFAULT_CHUNK_MAX_BYTES, DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_TOKENS,
    DEFAULT_RETENTION_DAYS, Lookup, MIN_RETENTION_DAYS, NotifierConfig, ProducerConfig, PurgerConfig, variables,
};
use docket::domain::events::{BATCH_FINISHED, JOB_FINISHED, SOURCE};
use docket::domain::failure::codes;
use docket::domain::job::stored::Status;
use docket::domain::limits::{MESSAGE_MAX_BYTES, RESPONSE_MARGIN, STORE_RESERVE};
use docket::producer::problem_type::PROBLEM_TYPES;
use serde_json::Value;
use test_support::read;

/// The C library reads this variable, which only the consumer has.
const MALLOC_VARIABLE: &str = "MALLOC_MMAP_THRESHOLD_";

/// The lines of a top-level section of the template.
fn section(name: &str) -> Vec<String> {
    let template = read("template.yaml");
    let lines = template.lines().skip_while(|line| *line != format!("{name}:")).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])).map(str::to_owned).collect()
}

/// The template's resources. An intrinsic function in its short form reads as its
/// argument: `!Sub "text"` is the text.
fn resources() -> Value {
    let template: Value = serde_saphyr::from_str(&read("template.yaml")).expect("template.yaml is YAML");
    template["Resources"].clone()
}

/// The template's parameters, each with its attributes.
fn parameters() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut parameters: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = String::new();
    for line in section("Parameters") {
        match line.len() - line.trim_start().len() {
            2 => current = line.trim().trim_end_matches(':').to_owned(),
            4 => {
                let (name, value) = line.trim().split_once(':').expect("name: value");
                let value = value.trim().trim_matches('"').to_owned();
                parameters.entry(current.clone()).or_default().insert(name.to_owned(), value);
            }
            _ => {}
        }
    }
    assert!(parameters.len() > 15, "{parameters:?}");
    parameters
}

/// The variables that the template sets for a function.
fn template_variables(function: &str) -> BTreeSet<String> {
    let resources = section("Resources");
    let own = resources.iter().skip_while(|line| **line != format!("  {function}:")).skip(1);
    let own: Vec<&String> = own.take_while(|line| !line.starts_with("  ") || line.starts_with("   ")).collect();
    let variables = own.iter().skip_while(|line| line.trim() != "Variables:").skip(1);
    variables
        .take_while(|line| line.starts_with("          "))
        .filter(|line| !line.trim().starts_with('#'))
        .map(|line| line.trim().split_once(':').expect("NAME: value").0.to_owned())
        .collect()
}

fn default(name: &str) -> String {
    parameters()[name]["Default"].clone()
}

/// The variables that `read_config` looks up. The looked-up values reach every branch.
fn read_variables<T>(read_config: impl Fn(Lookup<'_>) -> Result<T, ConfigError>) -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        let value = match name {
            variables::AWS_USE_DUALSTACK_ENDPOINT | variables::AWS_USE_FIPS_ENDPOINT | variables::DEDUPLICATE => "true",
            variables::ANSWER_MODE => "auto",
            variables::CHUNK_MAX_BYTES => "1000",
            variables::MODEL_REQUEST_FIELDS => "{}",
            variables::TEMPERATURE => "1",
            variables::MAX_TOKENS_CEILING => "0",
            // A valid number, and a valid text.
            _ => "29",
        };
        Some(value.to_owned())
    };
    if let Err(error) = read_config(&lookup) {
        panic!("{error}");
    }
    names.into_inner()
}

/// The variables that each function reads, by the heading of the function's section in
/// environment.md.
fn read_variables_by_section() -> [(&'static str, BTreeSet<String>); 4] {
    [
        ("Consumer", read_variables(ConsumerConfig::read)),
        ("Producer", read_variables(ProducerConfig::read)),
        ("Notifier", read_variables(NotifierConfig::read)),
        ("Purger", read_variables(PurgerConfig::read)),
    ]
}

/// The variables of a section of environment.md: the code in the first cell of each row.
fn documented_variables(section: &str) -> BTreeSet<String> {
    let page = read("docs/reference/environment.md");
    let section = page.split(&format!("\n## {section}\n")).nth(1).expect("a section");
    let rows = section.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn parameters_page_lists_every_parameter_and_default() {
    let page = read("docs/reference/parameters.md");
    for (name, attributes) in parameters() {
        let value = &attributes["Default"];
        let row = if value.is_empty() { format!("| `{name}` | |") } else { format!("| `{name}` | `{value}` |") };
        assert!(page.contains(&row), "parameters.md lacks the row {row}: run tools/reference.py");
        assert!(attributes.contains_key("Description"), "{name} has no description");
    }
}

#[test]
fn every_parameter_is_in_a_console_group() {
    let groups = section("Metadata").join("\n");
    for name in parameters().keys() {
        assert!(groups.contains(name.as_str()), "{name} is in no group");
    }
}

#[test]
fn template_sets_exactly_the_variables_a_function_reads() {
    for (name, mut expected) in read_variables_by_section() {
        // Lambda sets its own variables.
        expected.retain(|variable| !variable.starts_with("AWS_"));
        expected.insert(variables::RUST_LOG.to_owned());
        if name == "Consumer" {
            expected.insert(MALLOC_VARIABLE.to_owned());
        }
        assert_eq!(template_variables(&format!("{name}Function")), expected, "{name}");
    }
}

#[test]
fn environment_page_lists_every_variable_of_each_function() {
    for (name, mut expected) in read_variables_by_section() {
        expected.extend(read_variables(AwsConfig::read));
        expected.insert(variables::RUST_LOG.to_owned());
        // The AWS SDK reads the credentials.
        let credentials = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        expected.extend(credentials.map(str::to_owned));
        if name == "Consumer" {
            expected.insert(MALLOC_VARIABLE.to_owned());
        }
        let documented: BTreeSet<String> = &documented_variables("All functions") | &documented_variables(name);
        assert_eq!(documented, expected, "{name}");
    }
}

#[test]
fn error_codes_page_lists_every_code_and_problem_type() {
    let page = read("docs/reference/error-codes.md");
    for code in codes::ALL {
        assert!(page.contains(&format!("\n| `{code}` | ")), "error-codes.md has no row of {code}");
    }
    for problem in PROBLEM_TYPES {
        let row = format!("\n| `{}` | {} | ", problem.kind, problem.status);
        assert!(page.contains(&row), "error-codes.md has no row of {} with {}", problem.kind, problem.status);
    }
}

#[test]
fn template_and_code_have_the_same_defaults() {
    assert_eq!(default("MaxTokens"), DEFAULT_MAX_TOKENS.to_string());
    assert_eq!(default("ChunkMaxBytes"), DEFAULT_CHUNK_MAX_BYTES.to_string());
    assert_eq!(default("MaxAttempts"), DEFAULT_MAX_ATTEMPTS.to_string());
    assert_eq!(default("RetentionDays"), DEFAULT_RETENTION_DAYS.to_string());
    assert_eq!(parameters()["RetentionDays"]["MinValue"], MIN_RETENTION_DAYS.to_string());
    assert!(default("ModelId").ends_with(&default("FoundationModelId")), "the role may call the default model");
    assert_eq!(MESSAGE_MAX_BYTES, 1024 * 1024);
}

#[test]
fn model_and_visibility_timeouts_follow_the_functions() {
    let rows: Vec<(u64, u64, u64)> = section("Mappings")
        .iter()
        .filter(|line| line.contains("Model:"))
        .map(|line| {
            let numbers: Vec<u64> = line
                .split(|c: char| !c.is_ascii_digit())
                .filter(|n| !n.is_empty())
                .map(|n| n.parse().unwrap())
                .collect();
            (numbers[0], numbers[1], numbers[2])
        })
        .collect();
    let allowed = &parameters()["FunctionTimeoutSeconds"]["AllowedValues"];
    assert_eq!(rows.len(), allowed.split(',').count());
    let reserve = (STORE_RESERVE + RESPONSE_MARGIN).as_secs_f64().ceil() as u64;
    let longest_window: u64 = parameters()["MaximumBatchingWindowSeconds"]["MaxValue"].parse().expect("a number");
    for (function, model, visibility) in rows {
        assert!(allowed.contains(&format!("\"{function}\"")));
        assert!(model + reserve + 2 <= function, "{function} s leave too little time to claim and fetch");
        assert_eq!(visibility, 6 * function + longest_window);
    }
}

#[test]
fn stack_has_the_outputs_of_the_contract() {
    let outputs = section("Outputs");
    for name in [
        "ApiUrl",
        "JobsQueueUrl",
        "HighPriorityQueueUrl",
        "DeadLetterQueueUrl",
        "JobsTableName",
        "DocumentsBucketName",
        "ConsumerFunctionName",
        "ProducerFunctionName",
        "NotifierFunctionName",
        "NotifierFailureQueueUrl",
        "EventBusName",
        "ReaderPolicyArn",
        "SubmitterPolicyArn",
        "OperatorPolicyArn",
        "TemplateVersion",
    ] {
        assert!(outputs.contains(&format!("  {name}:")), "{name}");
    }
    let version = format!("    Value: \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(outputs.contains(&version), "TemplateVersion is not the version of the package");
}

#[test]
fn event_rules_and_stream_filter_match_the_events() {
    let template = read("template.yaml");
    let rules = template.split("Type: AWS::Events::Rule").skip(1);
    // The rule of the sweep has a schedule, and no pattern.
    let rules: Vec<&str> =
        rules.filter(|rule| !rule.trim_start().contains("\n      ScheduleExpression: rate(15")).collect();
    assert_eq!(rules.len(), 2);
    for rule in rules {
        assert!(rule.contains(&format!("source: [{SOURCE}]")), "{SOURCE}");
        let kinds = rule.split("detail-type: [").nth(1).and_then(|rest| rest.split(']').next()).expect("kinds");
        assert!(kinds.split(", ").all(|kind| [JOB_FINISHED, BATCH_FINISHED].contains(&kind)), "{kinds}");
    }
    let filter = template.split("- Pattern: >-").nth(1).and_then(|rest| rest.split("}}}}").next()).expect("a filter");
    let filter: serde_json::Value = serde_json::from_str(&format!("{filter}}}}}}}}}")).expect("JSON");
    let statuses = |image: &str| -> Vec<Status> {
        serde_json::from_value(filter["dynamodb"][image]["status"]["S"].clone()).expect("statuses")
    };
    assert!(statuses("OldImage").iter().all(|status| !status.has_ended()) && statuses("OldImage").len() == 2);
    assert!(statuses("NewImage").iter().all(|status| status.has_ended()) && statuses("NewImage").len() == 3);
}

#[test]
fn resources_with_data_are_retained() {
    let resources = resources();
    for name in [
        "JobsTable",
        "QuotasTable",
        "DocumentsBucket",
        "DeadLetterQueue",
        "NotifierFailureQueue",
        "WebhookDeadLetterQueue",
    ] {
        // A failed first deployment leaves none of them behind.
        assert_eq!(resources[name]["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resources[name]["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn tests_use_the_indexes_of_the_template() {
    let resources = resources();
    let table = &resources["JobsTable"]["Properties"];
    let indexes = table["GlobalSecondaryIndexes"].as_array().expect("indexes").iter().map(|index| {
        let key = |place: usize| index["KeySchema"][place]["AttributeName"].as_str().unwrap_or_default();
        (index["IndexName"].as_str().expect("a name"), key(0), key(1))
    });
    assert_eq!(indexes.collect::<Vec<_>>(), test_support::table::INDEXES);
}

#[test]
fn no_role_has_all_actions_or_all_resources() {
    let resources = section("Resources").join("\n");
    let starred = resources.matches("Resource: \"*\"").count();
    assert_eq!(starred, resources.matches("xray:PutTraceSegments").count(), "only X-Ray has no resource to name");
    assert!(!resources.contains("Action: \"*\""));
}
