//! The harness of all integration tests. Tests run the real binaries against the
//! local AWS, with a separate queue, table, bucket and Bedrock stand-in for each test.

pub mod api;
pub mod aws;
pub mod description;
pub mod event_listener;
pub mod event_source;
pub mod function;
pub mod hostile;
pub mod proxy;
pub mod stack;
pub mod stand_in;
pub mod table;
pub mod virtual_queue;

use std::path::PathBuf;
use std::time::Duration;

use docket::domain::job::priority::Priority;
use docket::domain::job::{DocumentSource, Job, Work};
use serde_json::Value;

/// The path of a file in the repository; `path` is relative to its root.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The path of a binary of the workspace. Cargo builds it into the parent of `deps`,
/// the folder of the running test. An absolute `name` is returned unchanged.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test's binary");
    let directory = test.parent().and_then(|deps| deps.parent()).expect("the test is in target/<profile>/deps");
    directory.join(name)
}

/// The content of a text file in the repository.
///
/// # Panics
/// If the file cannot be read as UTF-8.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A sample event: the content of `events/<name>.json`.
pub fn event(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}.json"))).expect("the sample event is JSON")
}

/// A job whose document is the inline text `text`.
pub fn inline_job(job_id: &str) -> Job {
    Job {
        job_id: job_id.parse().expect("a valid job id"),
        work: Work::Document(DocumentSource::Inline("text".into())),
        batch_id: None,
        analysis: None,
        model_id: None,
        metadata: None,
        priority: Priority::Normal,
    }
}

/// The work id of [`inline_job`].
pub fn inline_work_id() -> String {
    docket::domain::job::work_id::WorkIds::from_work(&inline_job("any").work).own
}

/// `<prefix>-<random>`: a name that no other test uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// Calls `poll` every 100 ms until it returns a value. The limit is generous, for
/// slow machines.
///
/// # Panics
/// After two minutes without a value; the message names `what` was awaited.
pub async fn eventually<T>(what: &str, poll: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(2, what, poll).await
}

/// As [`eventually`], for work that takes minutes itself.
///
/// # Panics
/// After `minutes` without a value; the message names `what` was awaited.
pub async fn eventually_within<T>(minutes: usize, what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..minutes * 600 {
        if let Some(value) = poll().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited {minutes} minutes for {what}");
}

/// A release after throttling, for tests of the writes alone.
pub fn released(charged: bool) -> docket::domain::job::ending::Release {
    let reason = docket::domain::job::outcome::RetryReason::Throttled;
    docket::domain::job::ending::Release::new(charged, std::time::Duration::ZERO, reason, None)
}

/// A result that completes a job, for tests of the writes alone.
pub fn sample_completion() -> docket::domain::job::stored::Completed {
    use docket::domain::job::stored::{Completed, StoredResult, Usage};
    Completed {
        result: StoredResult::Inline(serde_json::json!({"summary": "s"})),
        model_id: "m".into(),
        usage: Usage { input_tokens: 1, output_tokens: 2 },
        label: None,
        repaired: false,
        evidence: None,
        stop_reason: "tool_use".into(),
        model_latency_ms: 3,
        chunks: Some(4),
        completed_at: docket::clock::now(),
        deduplicated_from: None,
        fingerprint: None,
    }
}
