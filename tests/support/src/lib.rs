//! The one harness: real binaries, a real queue, table and bucket on the local
//! AWS, and a stand-in for the model that each test has for itself.

pub mod aws;
pub mod description;
pub mod event_listener;
pub mod function;
pub mod stack;
pub mod stand_in;

use std::path::PathBuf;
use std::time::Duration;

use docket::domain::job::priority::Priority;
use docket::domain::job::{DocumentSource, Job, Work};
use serde_json::Value;

/// A file of the repository.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A binary of the workspace: cargo puts the test's own binary into `deps` below it.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let directory = own.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    directory.join(name)
}

/// A text file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A sample event.
pub fn event(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}.json"))).expect("a sample event is JSON")
}

/// A job with a document of its own.
pub fn inline_job(job_id: &str) -> Job {
    Job {
        job_id: job_id.parse().unwrap(),
        work: Work::Document(DocumentSource::Inline("text".into())),
        batch_id: None,
        analysis: None,
        model_id: None,
        metadata: None,
        priority: Priority::Normal,
    }
}

/// A text that no other test uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// Asks until the answer is there; generous, for slow machines.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("two minutes went by without {what}");
}
