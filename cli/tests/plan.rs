//! `docket plan` as a user runs it: the binary, its output and its exit codes.

use std::process::{Command, Output};

use docket_cli::plan::prices::Prices;
use docket_cli::plan::{BATCH_SIZE_MAX, MAXIMUM_CONCURRENCY_MAX, MAXIMUM_CONCURRENCY_MIN, TIMEOUTS};
use serde_json::Value;
use test_support::{file, read, unique};

const EXAMPLE: [&str; 13] = [
    "plan",
    "--documents",
    "10000",
    "--seconds",
    "8",
    "--tokens-in",
    "2000",
    "--tokens-out",
    "300",
    "--tokens-per-minute",
    "600000",
    "--deadline",
    "60m",
];

fn run_docket(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_docket")).args(arguments).output().expect("docket runs")
}

/// Runs the example with more flags. A flag that the example has replaces its value.
fn run_example(more: &[&str]) -> Output {
    let mut arguments = EXAMPLE.to_vec();
    for pair in more.chunks(2) {
        match arguments.iter().position(|argument| *argument == pair[0]) {
            Some(index) => arguments[index + 1] = pair[1],
            None => arguments.extend(pair),
        }
    }
    run_docket(&arguments)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn documented_example_equals_the_output() {
    let output = run_example(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = read("docs/operations/planning.md");
    assert!(page.contains(text(&output.stdout)), "docs/operations/planning.md must show:\n{}", text(&output.stdout));
}

#[test]
fn help_names_every_flag_and_the_exit_codes() {
    let output = run_docket(&["plan", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for flag in ["--documents", "--deadline", "--max-tokens", "--output-token-factor", "--prices", "--json"] {
        assert!(help.contains(flag), "the help has no {flag}:\n{help}");
    }
    assert!(help.contains("Exit codes: 0 the plan meets the deadline, 1 it does not, 2 invalid arguments"));
    assert!(text(&run_docket(&["--help"]).stdout).contains("plan"));
    assert_eq!(run_docket(&[]).status.code(), Some(2));
}

#[test]
fn missed_deadline_exits_with_1_and_names_the_remedy() {
    let output = run_example(&["--deadline", "10m"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("Does not meet the deadline of 10m"), "{shown}");
    assert!(shown.contains("Cross-Region InvokeModel tokens per minute"), "{shown}");
    let impossible = run_example(&["--deadline", "5s"]);
    assert!(
        text(&impossible.stdout).contains("No larger quota helps: the shortest possible run takes"),
        "{}",
        text(&impossible.stdout)
    );
}

#[test]
fn json_output_has_the_values_of_the_text() {
    for (deadline, meets) in [("60m", true), ("10m", false)] {
        let output = run_example(&["--deadline", deadline, "--json"]);
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(plan["meets_deadline"], meets);
        assert_eq!(output.status.code(), Some(i32::from(!meets)));
        assert_eq!(plan["binds"], "tokens_per_minute");
        assert!(plan["ways"][0]["cost"]["total"].as_f64().is_some_and(|total| total > 14.0));
        assert_eq!(plan["remedy"].is_null(), meets);
    }
}

#[test]
fn invalid_argument_exits_with_2_and_names_the_flag() {
    for (flag, value) in [
        ("--deadline", "soon"),
        ("--deadline", "60"),
        ("--deadline", "0s"),
        ("--deadline", "-5m"),
        ("--seconds", "8x"),
        ("--seconds", "NaN"),
        ("--seconds", "900"),
        ("--seconds", "50ms"),
        ("--overhead", "fast"),
        ("--documents", "0"),
        ("--documents", "many"),
        ("--batch-size", "1001"),
        ("--maximum-concurrency", "1"),
        ("--function-concurrency", "1"),
        ("--output-token-factor", "NaN"),
        ("--model", "unknown.model"),
        ("--prices", "/nowhere/prices.json"),
    ] {
        let given = format!("{flag}={value}");
        let output = match EXAMPLE.contains(&flag) {
            // `--flag=value`, because some values begin with a dash.
            true => {
                let index = EXAMPLE.iter().position(|argument| *argument == flag).expect("a flag of the example");
                let mut arguments = EXAMPLE.to_vec();
                arguments.splice(index..=index + 1, [given.as_str()]);
                run_docket(&arguments)
            }
            false => run_docket(&[&EXAMPLE[..], &[given.as_str()]].concat()),
        };
        assert_eq!(output.status.code(), Some(2), "{given}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(flag), "{given}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{given}");
    }
}

#[test]
fn durations_may_have_any_unit() {
    for deadline in ["60m", "1h", "3600s", "0h60m", "59m 60s"] {
        let output = run_example(&["--deadline", deadline, "--seconds", "8s"]);
        assert_eq!(output.stdout, run_example(&[]).stdout, "{deadline}");
    }
}

#[test]
fn price_table_may_be_replaced() {
    let mut prices = Prices::built_in();
    prices.models.get_mut("amazon.nova-2-lite-v1:0").expect("a built-in model").input_per_1000 = 1.0;
    prices.api_request.assumed = true;
    let path = file("target/tmp").join(unique("prices"));
    std::fs::write(&path, serde_json::to_string(&prices).expect("JSON")).expect("written");
    let output = run_example(&["--prices", path.to_str().expect("a UTF-8 path")]);
    // 20 million tokens at $1 per thousand.
    assert!(text(&output.stdout).contains("$20,008"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("Assumed price: api_request."));
    std::fs::write(&path, "{}").expect("written");
    let output = run_example(&["--prices", path.to_str().expect("a UTF-8 path")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--prices"));
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn limits_of_every_range_have_a_plan() {
    for more in [
        ["--documents", "1", "--tokens-per-minute", "1"],
        ["--documents", "1000000000", "--tokens-per-minute", "1000000000000"],
        ["--seconds", "100ms", "--overhead", "0s"],
        ["--seconds", "430s", "--deadline", "8760h"],
        ["--tokens-in", "10000000", "--tokens-out", "1000000"],
        ["--batch-size", "1000", "--maximum-concurrency", "1000"],
        ["--function-concurrency", "2", "--memory-mb", "128"],
        ["--requests-per-minute", "1", "--deadline", "1ms"],
    ] {
        let output = run_example(&[&more[..], &["--json"]].concat());
        assert!(matches!(output.status.code(), Some(0 | 1)), "{more:?}: {}", text(&output.stderr));
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(plan["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{more:?}: {plan}");
        assert!(!text(&run_example(&more).stdout).contains("NaN"), "{more:?}");
    }
}

#[test]
fn plan_is_within_a_tenth_of_the_recorded_runs() {
    // The benchmark `quota` with admission: 2,000 jobs of 4 s, 600 requests per minute. The
    // benchmark `headline`: 10,000 jobs of 8 s, 1,000 in flight, with the ramp of AWS.
    let quota: [&[&str]; 2] = [
        &["--documents", "2000", "--seconds", "4", "--requests-per-minute", "600"],
        &["--maximum-concurrency", "100", "--batch-size", "10"],
    ];
    let headline: [&[&str]; 2] =
        [&["--documents", "10000", "--seconds", "8"], &["--maximum-concurrency", "20", "--batch-size", "50"]];
    for (work, binds, measured) in [
        (quota, "requests_per_minute", recorded_median("quota", "requests", "total time")),
        (headline, "function_concurrency", recorded_median("headline", "", "wall time")),
    ] {
        let limits = ["--tokens-per-minute", "1000000000", "--intake", "queue", "--json"];
        let output = run_example(&[work[0], work[1], &limits].concat());
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(plan["binds"], binds);
        let planned = plan["seconds"].as_f64().expect("a time");
        assert!((measured / planned - 1.0).abs() < 0.1, "planned {planned:.1} s, measured {measured:.1} s");
    }
}

/// Docket's median in a recorded benchmark result.
fn recorded_median(measure: &str, at: &str, quantity: &str) -> f64 {
    let result: Value = serde_json::from_str(&read(&format!("bench/results/{measure}.json"))).expect("JSON");
    let series = result["series"].as_array().expect("a list");
    let docket = series.iter().find(|one| one["variant"] == "docket" && one["at"] == at && one["quantity"] == quantity);
    docket.and_then(|one| one["median"].as_f64()).expect("a median")
}

#[test]
fn stack_parameters_name_the_planned_model() {
    let claude = "anthropic.claude-haiku-4-5-20251001-v1:0";
    for (model, foundation) in [(format!("global.{claude}"), claude), (claude.to_owned(), claude)] {
        let shown = run_example(&["--model", &model]).stdout;
        let expected = format!(" ModelId={model} FoundationModelId={foundation} ");
        assert_eq!(text(&shown).matches(&expected).count(), 2, "{}", text(&shown));
    }
    assert!(!text(&run_example(&[]).stdout).contains("ModelId="), "the template's default is omitted");
}

#[test]
fn output_names_assumed_prices() {
    let shown = run_example(&["--model", "us.anthropic.claude-haiku-5-5"]).stdout;
    assert!(text(&shown).contains("Assumed: that Bedrock's regional profile"), "{}", text(&shown));
    assert!(!text(&run_example(&[]).stdout).contains("Assumed"));
}

#[test]
fn batch_inference_needs_a_hundred_documents() {
    assert!(text(&run_example(&["--documents", "99"]).stdout).contains("batch inference needs at least 100 records"));
    assert!(!text(&run_example(&["--documents", "100"]).stdout).contains("batch inference needs"));
}

#[test]
fn plan_ranges_and_defaults_match_the_template() {
    let template = read("template.yaml");
    let parameter = |name: &str| {
        let section = template.split(&format!("\n  {name}:\n")).nth(1).expect(name);
        section.split("Description").next().expect("the part before the description").to_owned()
    };
    let concurrency = parameter("MaximumConcurrency");
    assert!(concurrency.contains(&format!("MinValue: {MAXIMUM_CONCURRENCY_MIN}\n")));
    assert!(concurrency.contains(&format!("MaxValue: {MAXIMUM_CONCURRENCY_MAX}\n")));
    assert!(parameter("BatchSize").contains(&format!("MaxValue: {BATCH_SIZE_MAX}\n")));
    for (function, model) in TIMEOUTS {
        assert!(template.contains(&format!("\"{function}\": {{Model: \"{model}\"")), "{function}");
    }
    assert!(parameter("FunctionTimeoutSeconds").contains("Default: \"180\""), "the stack parameters omit this default");
    let help = run_docket(&["plan", "--help"]);
    for (name, flag) in [("ModelId", "--model"), ("MaxTokens", "--max-tokens"), ("MemorySizeMb", "--memory-mb")] {
        let head = parameter(name);
        let default = head.split("Default: ").nth(1).and_then(|rest| rest.lines().next()).expect(name);
        let section = text(&help.stdout).split(&format!("{flag} <")).nth(1).expect(flag);
        let shown = section.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
        assert_eq!(shown, Some(default), "{flag}");
    }
}

#[test]
fn functions_do_not_depend_on_the_command_line() {
    // cargo-lambda builds the binaries that the template names, with default features.
    let template = read("template.yaml");
    let built: Vec<&str> =
        template.split("Binary: ").skip(1).map(|rest| rest.split('}').next().unwrap_or_default()).collect();
    assert_eq!(built, ["consumer", "producer", "purger", "notifier"]);
    let manifest = read("Cargo.toml");
    assert!(!manifest.contains("\ndefault = "), "a default feature would be part of the functions");
    assert!(!manifest.contains("clap"), "only the package docket-cli uses clap");
}

#[test]
fn functions_lack_the_credential_chain_of_the_command_line() {
    let arguments = ["tree", "--locked", "--offline", "--package", "docket", "--edges", "features,normal,build"];
    let cargo = Command::new(env!("CARGO")).args(arguments).current_dir(file(".")).output().expect("cargo runs");
    let tree = text(&cargo.stdout);
    assert!(tree.contains("aws-config"), "{}", text(&cargo.stderr));
    for feature in ["aws-sdk-sso", "credentials-login", "credentials-process", "default-https-client"] {
        assert!(!tree.contains(feature), "{feature} would be part of the functions");
    }
}
