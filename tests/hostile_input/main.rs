//! 500 generated hostile schemas, metadata and messages. Each is refused or used within a
//! budget of processor time and memory, and none ends the process. Needs no local AWS.
//!
//! A child process runs the cases of one range, so that an abort is the failure of one case.
//! `HOSTILE_SEED` generates other cases. A failure prints the seed and the number.

use std::collections::BTreeSet;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use docket::domain::analysis::{Analysis, AnalysisRequest};
use docket::domain::failure::codes;
use docket::domain::limits::HEAVY_WORK_STACK_BYTES;
use docket::domain::message::body::{ParsedMessage, parse_message};
use serde_json::{Map, Value, json};
use test_support::hostile::{HostileCase, KEYWORDS, hostile_case};

const CASES: u64 = 500;
const CASES_PER_PROCESS: u64 = 50;

/// Most processor time of one case. Code without optimisation is slower; `cargo test --release` measures the budget itself.
const CPU_MAX_MS: u64 = if cfg!(debug_assertions) { 400 } else { 100 };

/// Processor time after which a child process is ended.
const CHILD_CPU_MAX: Duration = Duration::from_secs(60);

/// Most memory of one case.
const MEMORY_MAX_KB: u64 = 50 * 1_024;

fn seed() -> u64 {
    std::env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20)
}

#[test]
fn hostile_input_is_refused_or_used_within_its_budget() {
    let test = std::env::current_exe().expect("the test's binary");
    let mut slowest = String::new();
    let (mut refused, mut slowest_ms, mut largest_kb) = (0, 0, 0);
    for first in (0..CASES).step_by(CASES_PER_PROCESS as usize) {
        let child = Command::new(&test)
            .args(["--exact", "child_process_runs_cases", "--ignored", "--nocapture"])
            .env("HOSTILE_FIRST", first.to_string())
            .env("HOSTILE_SEED", seed().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the child process starts");
        let output = wait_or_kill(child);
        let text = String::from_utf8_lossy(&output.stdout);
        let ended: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("ended ").map(|(_, ended)| ended)).collect();
        assert!(
            output.status.success() && ended.len() as u64 == CASES_PER_PROCESS,
            "seed {}, first case {first}: the process ended with {} after {} cases\n{text}\n{}",
            seed(),
            output.status,
            ended.len(),
            String::from_utf8_lossy(&output.stderr)
        );
        for line in ended {
            let fields: Vec<&str> = line.splitn(5, ' ').collect();
            let [_, cpu_ms, memory_kb, result, _] = fields[..] else { panic!("{line}") };
            let (cpu_ms, memory_kb): (u64, u64) = (cpu_ms.parse().unwrap(), memory_kb.parse().unwrap());
            assert!(cpu_ms <= CPU_MAX_MS, "seed {}, case {line}: {cpu_ms} ms of processor time", seed());
            assert!(memory_kb <= MEMORY_MAX_KB, "seed {}, case {line}: {memory_kb} kB of memory", seed());
            if std::env::var_os("HOSTILE_SEED").is_some() {
                println!("{line}");
            }
            refused += u64::from(result != "used");
            largest_kb = largest_kb.max(memory_kb);
            if cpu_ms >= slowest_ms {
                (slowest, slowest_ms) = (line.to_owned(), cpu_ms);
            }
        }
    }
    println!("seed {}: {refused} of {CASES} refused; slowest {slowest}; at most {largest_kb} kB", seed());
    assert!(refused > CASES / 5 && refused < CASES * 4 / 5, "the cases are too mild or too wild: {refused} refused");
}

/// Waits for the end of a child process, and ends it if it uses too much processor time.
fn wait_or_kill(mut child: Child) -> Output {
    while child.try_wait().expect("a child process").is_none() {
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
        let busy = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
        let nanoseconds: u64 = busy.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum();
        if Duration::from_nanos(nanoseconds) > CHILD_CPU_MAX {
            child.kill().expect("the process ends");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("the output")
}

/// Validates the largest answers that the budget allows, by schemas that apply many rules to
/// each item.
#[test]
fn costliest_validation_stays_within_its_time() {
    for (keyword, doublings) in [("allOf", 2), ("allOf", 6), ("anyOf", 9), ("oneOf", 5), ("allOf", 10)] {
        let next = |number: usize| json!({"$ref": format!("#/$defs/r{number}")});
        let last = if keyword == "allOf" { json!(true) } else { json!({"type": "string"}) };
        let mut defs: Map<String, Value> =
            (0..doublings).map(|n| (format!("r{n}"), json!({keyword: [next(n + 1), next(n + 1)]}))).collect();
        defs.insert(format!("r{doublings}"), last);
        let schema = json!({"type": "object", "$defs": defs, "properties": {"a": {"items": next(0)}}});
        let request = AnalysisRequest { schema: Some(schema), ..Default::default() };
        let analysis = Analysis::new(&request).expect("within the budget");
        let is_used = |count: usize| {
            let before = cpu_ms();
            let answer = json!({"a": vec![0; count]});
            match analysis.accept(answer) {
                Err(failure) if failure.code == codes::ANSWER_TOO_LARGE => None,
                _ => Some(cpu_ms() - before),
            }
        };
        let used: Vec<_> = (6..20).map_while(|power| Some((1 << power, is_used(1 << power)?))).collect();
        println!("{keyword} {doublings}: {used:?}");
        let (_, cpu_ms) = used.last().expect("a small answer is used");
        assert!(*cpu_ms < 10 * CPU_MAX_MS, "{keyword} {doublings}: {cpu_ms} ms");
    }
}

#[test]
fn generated_cases_have_every_keyword() {
    let mut missing: BTreeSet<&str> = KEYWORDS.into();
    for number in 0..CASES {
        let case = hostile_case(seed(), number);
        missing.retain(|keyword| !case.message.contains(&format!("\"{keyword}\":")));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
#[ignore = "runs in a child process of the test above"]
fn child_process_runs_cases() {
    let first: u64 = std::env::var("HOSTILE_FIRST").ok().and_then(|first| first.parse().ok()).unwrap_or_default();
    let _ = Analysis::standard();
    for number in first..first + CASES_PER_PROCESS {
        let case = hostile_case(seed(), number);
        println!("begun {number} {}", case.theme);
        let theme = case.theme;
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
        let before = memory_kb("VmRSS:");
        let thread = std::thread::Builder::new().stack_size(HEAVY_WORK_STACK_BYTES);
        let (result, cpu_ms) = thread.spawn(move || (run(&case), cpu_ms())).unwrap().join().expect("no panic");
        let memory_kb = memory_kb("VmHWM:").saturating_sub(before);
        let (name, reason) = result.map_or_else(|reason| ("refused", reason), |()| ("used", String::new()));
        println!("ended {number} {cpu_ms} {memory_kb} {name} {theme}: {}", reason.replace(['\n', '\r'], " "));
    }
}

/// Uses a case as the functions do: parse the message, compile the analysis, validate answers.
///
/// # Errors
/// The reason of the refusal.
fn run(case: &HostileCase) -> Result<(), String> {
    let ParsedMessage::Job(job) = parse_message(Some(&case.message), None, "b").map_err(|failure| failure.message)?
    else {
        return Ok(());
    };
    let Some(request) = job.analysis else { return Ok(()) };
    let analysis = Analysis::new(&request).map_err(|invalid| invalid.to_string())?;
    for answer in &case.answers {
        let _ = analysis.accept(answer.clone());
    }
    Ok(())
}

/// The processor time of this thread.
fn cpu_ms() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = statistics.split(' ').next().and_then(|time| time.parse::<u64>().ok());
    nanoseconds.expect("the time on the processor") / 1_000_000
}

fn memory_kb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok());
    value.expect("a number of kB")
}
