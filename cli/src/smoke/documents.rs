//! The documents that the command sends: samples of the repository, and by which way each goes.

use serde_json::{Value, json};

/// A way into Docket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `POST /jobs`.
    Api,
    /// An object under `uploads/`.
    Upload,
    /// An SQS message.
    Queue,
}

impl Way {
    /// The name in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Upload => "upload",
            Self::Queue => "queue",
        }
    }
}

/// A sample of `events/documents`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// The file's name.
    pub name: &'static str,
    /// The file's bytes.
    pub bytes: &'static [u8],
}

macro_rules! sample {
    ($name:literal) => {
        Sample { name: $name, bytes: include_bytes!(concat!("../../../events/documents/", $name)) }
    };
}

/// The documents of the API and of the queue, which take text alone.
pub(super) const TEXTS: [Sample; 5] = [
    sample!("lease.txt"),
    sample!("invoice.txt"),
    sample!("letter.txt"),
    sample!("judgment.txt"),
    sample!("minutes.txt"),
];

/// The documents of the uploads, which may also be files.
pub(super) const FILES: [Sample; 5] = [
    sample!("lease.txt"),
    sample!("policy.txt"),
    sample!("report.txt"),
    sample!("bridge-report.pdf"),
    sample!("piano-agreement.docx"),
];

/// One document on its way.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    /// The way.
    pub way: Way,
    /// The name of the sample.
    pub document: &'static str,
    /// `high` for one document of each way that can set it.
    pub priority: &'static str,
    /// The id, or for an upload the name by which the job is found.
    pub key: String,
    /// The file's bytes.
    pub bytes: &'static [u8],
    run: String,
}

impl Submission {
    /// The job's body for the API and for the queue. The run's name is part of the text, so
    /// that a stack with deduplication calls the model for it.
    pub fn body(&self) -> Value {
        let text = String::from_utf8_lossy(self.bytes);
        json!({
            "job_id": self.key,
            "batch_id": self.run,
            "document": format!("{text}\n\nReference: {}\n", self.key),
        })
    }
}

/// The documents of a run: five by each way. The last one of the API and of the queue has high
/// priority, so that both queues are used.
pub(super) fn list_submissions(run: &str) -> Vec<Submission> {
    let number = |way: Way, samples: &[Sample]| -> Vec<Submission> {
        let last = samples.len() - 1;
        let samples = samples.iter().enumerate().map(|(index, sample)| {
            let name = way.as_str().to_lowercase();
            let key = match way {
                Way::Upload => format!("{run}/{}", sample.name),
                Way::Api | Way::Queue => format!("{run}-{name}-{}", index + 1),
            };
            let priority = if index == last && way != Way::Upload { "high" } else { "normal" };
            Submission { way, document: sample.name, priority, key, bytes: sample.bytes, run: run.to_owned() }
        });
        samples.collect()
    };
    [number(Way::Api, &TEXTS), number(Way::Upload, &FILES), number(Way::Queue, &TEXTS)].concat()
}

/// The body of a message that is no job. It names the run, so that the command finds it again.
pub(super) fn poison_body(run: &str) -> String {
    json!({"smoke": run}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_five_documents_with_distinct_keys() {
        let submissions = list_submissions("smoke-1");
        for way in [Way::Api, Way::Upload, Way::Queue] {
            assert_eq!(submissions.iter().filter(|submission| submission.way == way).count(), 5);
        }
        let mut keys: Vec<&str> = submissions.iter().map(|submission| submission.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 15);
        assert_eq!(submissions.iter().filter(|submission| submission.priority == "high").count(), 2);
        let body = submissions[0].body();
        assert!(body["document"].as_str().is_some_and(|text| text.ends_with("Reference: smoke-1-api-1\n")));
    }
}
