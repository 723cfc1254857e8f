//! The layers: `bin → consumer, producer, notifier, purger → aws → domain`. Nothing imports a
//! layer above it, and no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use test_support::file;

/// Most lines of a file, without the unit tests in it.
const FILE_MAX_LINES: usize = 330;

/// The Rust files of a folder, each with its code before the unit tests.
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
                // Unit tests may import anything.
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
                found.push((path, lines.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(!found.is_empty(), "no files in {folder}");
    found
}

fn assert_absent(folder: &str, forbidden: &[&str]) {
    for (path, code) in sources(folder) {
        for (number, line) in code.lines().enumerate() {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: {word} is not allowed here", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn domain_imports_no_service_runtime_environment_or_clock() {
    let outside = ["aws_", "lambda_", "tokio", "std::env", "std::fs", "::now()"];
    let above =
        ["crate::aws", "crate::config", "crate::consumer", "crate::producer", "crate::notifier", "crate::purger"];
    assert_absent("src/domain", &[&outside[..], &above[..]].concat());
}

#[test]
fn services_import_the_domain_alone() {
    let outside = ["lambda_", "aws_lambda_events", "std::env"];
    let above = ["crate::config", "crate::consumer", "crate::producer", "crate::notifier", "crate::purger"];
    assert_absent("src/aws", &[&outside[..], &above[..]].concat());
}

#[test]
fn sdk_is_named_by_the_services_alone() {
    for folder in ["src/consumer", "src/producer", "src/notifier", "src/purger", "src/bin"] {
        assert_absent(folder, &["aws_sdk_", "aws_smithy_"]);
    }
}

#[test]
fn functions_do_not_import_each_other() {
    assert_absent("src/consumer", &["crate::producer", "crate::notifier", "crate::purger"]);
    assert_absent("src/producer", &["crate::consumer", "crate::notifier", "crate::purger"]);
    assert_absent("src/notifier", &["crate::consumer", "crate::producer", "crate::purger"]);
    assert_absent("src/purger", &["crate::consumer", "crate::producer", "crate::notifier"]);
}

#[test]
fn command_line_names_services_in_one_folder() {
    assert_absent("cli/src", &["lambda_runtime", "lambda_http", "docket::consumer", "docket::producer"]);
    let in_aws = file("cli/src/aws");
    for (path, code) in sources("cli/src") {
        if path.starts_with(&in_aws) {
            continue;
        }
        for word in ["docket::aws", "aws_sdk_", "aws_config", "aws_smithy_", "aws_sigv4", "env::var"] {
            assert!(!code.contains(word), "{}: {word} is allowed in cli/src/aws alone", path.display());
        }
    }
    assert_absent("cli/src/aws", &["clap", "crate::doctor", "crate::smoke", "crate::plan", "crate::terminal"]);
    let pure = ["aws_", "crate::aws", "tokio", "std::fs", "::now()", "clap", "docket::config"];
    assert_absent("cli/src/plan", &pure);
}

#[test]
fn environment_is_read_in_binaries_alone() {
    for folder in ["src/consumer", "src/producer", "src/notifier", "src/purger", "src/aws", "src/domain"] {
        assert_absent(folder, &["env::var"]);
    }
}

#[test]
fn binaries_only_wire_the_parts() {
    for (path, code) in sources("src/bin") {
        assert!(code.lines().count() <= 40, "{} does more than wiring", path.display());
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for folder in ["src", "cli", "stand_in", "tests"] {
        for (path, code) in sources(folder) {
            let lines = code.lines().count();
            assert!(lines <= FILE_MAX_LINES, "{} has {lines} lines: split it", path.display());
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for folder in ["src", "cli/src", "stand_in/src"] {
        let circle = find_circle(&imports(folder));
        assert!(circle.is_none(), "{folder}: {}", circle.unwrap().join(" → "));
    }
}

#[test]
fn planted_circle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: Graph = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(find_circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(
        find_circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])),
        Some(["b", "c", "b"].map(String::from).into())
    );
    let code = "use super::{one, two::{Three, four}};\nuse crate::top::*; fn f() { self::inner::call() }";
    let found: Vec<String> = paths(code, &[]).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["super::one", "super::two::Three", "super::two::four", "crate::top", "self::inner::call"]);
    assert_eq!(paths("child::call(); other::call();", &["child"]), [["self", "child", "call"]]);
}

/// The files that each file imports, by their module paths.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The imports between the files of one crate.
fn imports(folder: &str) -> Graph {
    let root = file(folder).canonicalize().expect("a folder");
    let files: BTreeMap<Vec<String>, String> = sources(folder)
        .into_iter()
        .filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "bin"))
        .map(|(path, code)| (module_of(&path.canonicalize().expect("a file"), &root), code))
        .collect();
    let mut graph = Graph::new();
    for (module, code) in &files {
        let children: Vec<&str> = files
            .keys()
            .filter(|other| other.len() == module.len() + 1 && other.starts_with(module))
            .filter_map(|other| other.last().map(String::as_str))
            .collect();
        let imported = graph.entry(module.join("::")).or_default();
        for path in paths(code, &children) {
            let target = resolve(module, &path);
            // The longest prefix that is a file; the rest names an item in it.
            let found = (1..=target.len()).rev().find(|length| files.contains_key(&target[..*length]));
            if let Some(length) = found.filter(|length| target[..*length] != module[..]) {
                imported.insert(target[..length].join("::"));
            }
        }
    }
    graph
}

/// `src/domain/job/claim.rs` → `domain`, `job`, `claim`.
fn module_of(path: &Path, root: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root).expect("below the root").with_extension("");
    let mut module: Vec<String> = relative.iter().map(|part| part.to_str().expect("text").to_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

fn resolve(module: &[String], path: &[String]) -> Vec<String> {
    let mut target = module.to_vec();
    for part in path {
        match part.as_str() {
            "crate" => target.clear(),
            "self" => {}
            "super" => drop(target.pop()),
            name => target.push(name.to_owned()),
        }
    }
    target
}

/// Every path in the code that begins with `crate`, `super`, `self` or a child module.
fn paths(code: &str, children: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let is_first = !code[..at].ends_with("::");
        at += name.len();
        let is_child = children.contains(&name.as_str());
        if is_first && code[at..].starts_with("::") && (["crate", "super", "self"].contains(&name.as_str()) || is_child)
        {
            let start = if is_child { vec!["self".to_owned(), name] } else { vec![name] };
            at += tree(&code[at..], &start, &mut found);
        }
    }
    found
}

/// Reads what follows the start of a path, and returns how many bytes it took.
fn tree(code: &str, start: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = start.to_vec();
    let mut at = 0;
    while code[at..].starts_with("::") {
        at += 2;
        if code[at..].starts_with('{') {
            return at + group(&code[at..], &path, found);
        }
        let name: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        at += name.len();
        if name.is_empty() {
            break;
        }
        path.push(name);
    }
    found.push(path);
    at
}

fn group(code: &str, start: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut at = 1;
    loop {
        at += code[at..].len() - code[at..].trim_start_matches([',', ' ', '\n']).len();
        if code[at..].starts_with('}') || at >= code.len() {
            return at + 1;
        }
        let name: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*').collect();
        assert!(!name.is_empty(), "unreadable group: {}", &code[..code.len().min(80)]);
        at += name.len();
        let path: Vec<String> = start.iter().cloned().chain([name]).collect();
        at += tree(&code[at..], &path, found);
        // `Name as Other`.
        at += code[at..].find([',', '}']).unwrap_or_default();
    }
}

/// A circle, if there is one: its files in order, the first one repeated at the end.
fn find_circle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(graph: &Graph, file: &str, trail: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|other| other == file) {
            return Some([&trail[start..], &[file.to_owned()]].concat());
        }
        if done.contains(file) {
            return None;
        }
        trail.push(file.to_owned());
        for next in graph.get(file).into_iter().flatten() {
            if let Some(circle) = visit(graph, next, trail, done) {
                return Some(circle);
            }
        }
        trail.pop();
        done.insert(file.to_owned());
        None
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|file| visit(graph, file, &mut Vec::new(), &mut done))
}
