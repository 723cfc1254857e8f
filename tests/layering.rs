//! Arrows point inward: `bin → consumer, producer, notifier → aws → domain`.

use std::path::PathBuf;

use test_support::file;

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![file(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                // Tests within a module may look where they like.
                let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path, code));
            }
        }
    }
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

fn without(folder: &str, forbidden: &[&str]) {
    for (path, code) in sources(folder) {
        let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
        for (number, line) in lines.enumerate() {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: {word} has no place here", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn the_domain_knows_no_service_no_runtime_no_environment_and_no_clock() {
    without(
        "src/domain",
        &[
            "aws_",
            "lambda_",
            "tokio",
            "std::env",
            "std::fs",
            "::now()",
            "crate::aws",
            "crate::con",
            "crate::producer",
            "crate::notifier",
        ],
    );
}

#[test]
fn the_services_know_the_domain_and_nothing_above() {
    without(
        "src/aws",
        &[
            "lambda_",
            "aws_lambda_events",
            "crate::consumer",
            "crate::producer",
            "crate::notifier",
            "crate::config",
            "std::env",
        ],
    );
}

#[test]
fn the_sdk_is_named_only_among_the_services() {
    for folder in ["src/consumer", "src/producer", "src/notifier", "src/bin"] {
        without(folder, &["aws_sdk_", "aws_smithy_"]);
    }
}

#[test]
fn the_functions_do_not_know_each_other() {
    without("src/consumer", &["crate::producer", "crate::notifier"]);
    without("src/producer", &["crate::consumer", "crate::notifier"]);
    without("src/notifier", &["crate::consumer", "crate::producer"]);
}

#[test]
fn the_terminal_knows_no_service_and_the_plan_no_files() {
    for folder in ["src/cli", "src/plan"] {
        without(folder, &["aws_", "lambda_", "tokio", "crate::aws", "crate::consumer", "crate::producer", "env::var"]);
    }
    without("src/plan", &["std::fs", "::now()", "clap", "crate::cli", "crate::config"]);
}

#[test]
fn the_environment_is_read_in_the_binaries_alone() {
    for folder in ["src/consumer", "src/producer", "src/notifier", "src/aws", "src/domain"] {
        without(folder, &["env::var"]);
    }
}

#[test]
fn binaries_are_thin() {
    for (path, code) in sources("src/bin") {
        assert!(code.lines().count() <= 40, "{} is more than wiring", path.display());
    }
}

#[test]
fn files_are_read_in_one_sitting() {
    for folder in ["src", "tests", "examples"] {
        for (path, code) in sources(folder) {
            assert!(code.lines().count() <= 330, "{} has {} lines: split it", path.display(), code.lines().count());
        }
    }
}
