//! README, template and code say the same.

use std::collections::{BTreeMap, BTreeSet};

use docket::config::{
    DEFAULT_CHUNK_MAX_BYTES, DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_TOKENS, DEFAULT_RETENTION_DAYS, MIN_RETENTION_DAYS,
};
use docket::domain::events::{BATCH_FINISHED, JOB_FINISHED, SOURCE};
use docket::domain::job::stored::Status;
use docket::domain::limits::{MESSAGE_MAX_BYTES, RESPONSE_MARGIN, STORE_RESERVE};
use test_support::{file, read};

/// The lines of a top-level section of the template.
fn section(name: &str) -> Vec<String> {
    let template = read("template.yaml");
    let lines = template.lines().skip_while(|line| *line != format!("{name}:")).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])).map(str::to_owned).collect()
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

/// The environment that a function is given.
fn variables(function: &str) -> BTreeSet<String> {
    let resources = section("Resources");
    let own = resources.iter().skip_while(|line| **line != format!("  {function}:")).skip(1);
    let own: Vec<&String> = own.take_while(|line| !line.starts_with("  ") || line.starts_with("   ")).collect();
    let variables = own.iter().skip_while(|line| line.trim() != "Variables:").skip(1);
    variables
        .take_while(|line| line.starts_with("          "))
        .map(|line| line.trim().split_once(':').expect("NAME: value").0.to_owned())
        .collect()
}

fn default(name: &str) -> String {
    parameters()[name]["Default"].clone()
}

#[test]
fn the_readme_lists_every_parameter_with_its_default() {
    let readme = read("README.md");
    for (name, attributes) in parameters() {
        let value = &attributes["Default"];
        let row = if value.is_empty() { format!("| `{name}` | |") } else { format!("| `{name}` | `{value}` |") };
        assert!(readme.contains(&row), "README.md wants a row {row}");
        assert!(attributes.contains_key("Description"), "{name} wants a description");
    }
}

#[test]
fn every_parameter_stands_in_the_console_in_a_group() {
    let groups = section("Metadata").join("\n");
    for name in parameters().keys() {
        assert!(groups.contains(name.as_str()), "{name} is in no group");
    }
}

#[test]
fn the_template_gives_each_function_the_variables_that_it_reads() {
    let config = read("src/config.rs");
    let code = config.split("#[cfg(test)]").next().expect("code");
    let read_somewhere: BTreeSet<String> = code
        .split('"')
        .skip(1)
        .step_by(2)
        // Lambda gives its own by itself.
        .filter(|word| {
            word.len() > 3 && !word.starts_with("AWS_") && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
        .map(str::to_owned)
        .collect();
    let (consumer, producer) = (variables("ConsumerFunction"), variables("ProducerFunction"));
    let notifier = variables("NotifierFunction");
    let mut given: BTreeSet<String> = [&consumer, &producer, &notifier].into_iter().flatten().cloned().collect();
    assert!(given.remove("RUST_LOG"), "the log's level is a parameter");
    assert!(given.remove("MALLOC_MMAP_THRESHOLD_"), "the C library reads it");
    assert_eq!(given, read_somewhere);
    for (function, own, name) in [
        ("consumer", &consumer, "EVENT_BUS_NAME"),
        ("producer", &producer, "DEAD_LETTER_QUEUE_URL"),
        ("producer", &producer, "EVENT_BUS_NAME"),
    ] {
        assert!(!own.contains(name), "the {function} needs no {name}");
    }
    let notifier: Vec<&str> = notifier.iter().map(String::as_str).collect();
    assert_eq!(notifier, ["EVENT_BUS_NAME", "JOBS_TABLE", "RUST_LOG"], "no more than needed");
}

#[test]
fn defaults_stand_in_one_place() {
    assert_eq!(default("MaxTokens"), DEFAULT_MAX_TOKENS.to_string());
    assert_eq!(default("ChunkMaxBytes"), DEFAULT_CHUNK_MAX_BYTES.to_string());
    assert_eq!(default("MaxAttempts"), DEFAULT_MAX_ATTEMPTS.to_string());
    assert_eq!(default("RetentionDays"), DEFAULT_RETENTION_DAYS.to_string());
    assert_eq!(parameters()["RetentionDays"]["MinValue"], MIN_RETENTION_DAYS.to_string());
    assert!(default("ModelId").ends_with(&default("FoundationModelId")), "the role may call what is called");
    assert_eq!(MESSAGE_MAX_BYTES, 1024 * 1024);
}

#[test]
fn the_model_ends_before_the_function_and_the_queue_waits_six_times_as_long() {
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
    let kept_free = (STORE_RESERVE + RESPONSE_MARGIN).as_secs_f64().ceil() as u64;
    for (function, model, visibility) in rows {
        assert!(allowed.contains(&format!("\"{function}\"")));
        assert!(model + kept_free + 2 <= function, "{function} s leave no time to claim and fetch");
        assert_eq!(visibility, 6 * function);
    }
}

#[test]
fn the_stack_has_the_outputs_of_the_contract() {
    let outputs = section("Outputs");
    for name in [
        "ApiUrl",
        "JobsQueueUrl",
        "DeadLetterQueueUrl",
        "JobsTableName",
        "DocumentsBucketName",
        "ConsumerFunctionName",
        "ProducerFunctionName",
        "NotifierFunctionName",
        "EventBusName",
    ] {
        assert!(outputs.contains(&format!("  {name}:")), "{name}");
    }
}

#[test]
fn the_rules_and_the_filter_let_through_what_the_notifier_tells() {
    let template = read("template.yaml");
    let rules: Vec<&str> = template.split("Type: AWS::Events::Rule").skip(1).collect();
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
fn what_holds_data_is_retained_and_no_role_may_do_everything() {
    let resources = section("Resources").join("\n");
    for name in ["JobsTable", "DocumentsBucket", "DeadLetterQueue", "NotifierFailureQueue"] {
        let own = resources.split(&format!("\n  {name}:\n")).nth(1).expect(name);
        let own: Vec<&str> = own.lines().take(4).collect();
        assert!(
            own.contains(&"    DeletionPolicy: Retain") && own.contains(&"    UpdateReplacePolicy: Retain"),
            "{name}"
        );
    }
    let starred = resources.matches("Resource: \"*\"").count();
    assert_eq!(starred, resources.matches("xray:PutTraceSegments").count(), "only X-Ray has no resources to name");
    assert!(!resources.contains("Action: \"*\""));
}

#[test]
fn what_the_readme_names_is_there() {
    let readme = read("README.md") + &read("ARCHITECTURE.md");
    let mut named = 0;
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !link.starts_with("http") {
            assert!(file(link).exists(), "{link} is named and not there");
            named += 1;
        }
    }
    assert!(named > 20);
}
