//! The report of a submit.

use std::collections::BTreeMap;

use docket::domain::ids::BatchId;
use serde_json::{Value, json};

use super::estimate::Estimate;
use super::walk::Reason;
use crate::terminal::Progress;

/// Skipped and unreadable files that the JSON lists; the others are counted alone.
const LISTED_MAX: usize = 10_000;

/// The outcomes of the files.
pub(super) struct Report {
    batch_id: BatchId,
    /// Files that this run uploaded.
    pub uploaded: u64,
    /// Files that the bucket had.
    pub present: u64,
    skipped: BTreeMap<Reason, u64>,
    listed: Vec<(String, Reason)>,
    /// Files that could not be read, with the error.
    pub unreadable: Vec<(String, String)>,
    /// The batch at the end of the wait.
    pub batch: Option<Value>,
}

impl Report {
    /// A report without files.
    pub fn new(batch_id: &BatchId) -> Self {
        let batch_id = batch_id.clone();
        let (skipped, listed, unreadable) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { batch_id, uploaded: 0, present: 0, skipped, listed, unreadable, batch: None }
    }

    /// The files that are in the bucket now.
    pub fn count_files(&self) -> u64 {
        self.uploaded + self.present
    }

    /// Counts and prints a skipped file.
    pub fn skip(&mut self, progress: &Progress, path: String, reason: Reason) {
        progress.note(&format!("skipped {path}: {reason}"));
        *self.skipped.entry(reason).or_default() += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push((path, reason));
        }
    }

    /// Keeps and prints a file that cannot be read.
    pub fn fail(&mut self, progress: &Progress, path: String, error: String) {
        progress.note(&format!("cannot read {path}: {error}"));
        self.unreadable.push((path, error));
    }

    fn count_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// The counts of files that are not in the bucket.
    pub fn skip_verdict(&self) -> String {
        let mut text = format!("{} skipped", self.count_skipped());
        if !self.unreadable.is_empty() {
            text += &format!(", {} unreadable", self.unreadable.len());
        }
        text
    }

    /// The counts on one line.
    pub fn verdict(&self) -> String {
        format!("{} uploaded, {} already there, {}", self.uploaded, self.present, self.skip_verdict())
    }

    /// The report as text.
    pub fn as_text(&self) -> String {
        let mut text = format!(
            "batch          {}\nuploaded       {}\nalready there  {}\nskipped        {}\n",
            self.batch_id,
            self.uploaded,
            self.present,
            self.count_skipped()
        );
        for (reason, count) in &self.skipped {
            text += &format!("  {reason}: {count}\n");
        }
        if !self.unreadable.is_empty() {
            text += &format!("unreadable     {}\n", self.unreadable.len());
        }
        text
    }

    /// The report as JSON.
    pub fn as_json(&self) -> String {
        self.json().to_string() + "\n"
    }

    /// The report of a dry run as JSON.
    pub fn as_json_with(&self, estimate: &Estimate) -> String {
        let mut json = self.json();
        json["estimate"] = json!(estimate);
        json.to_string() + "\n"
    }

    fn json(&self) -> Value {
        let skipped = self.listed.iter().map(|(path, reason)| json!({"path": path, "reason": reason.to_string()}));
        let unreadable = self.unreadable.iter().take(LISTED_MAX);
        let unreadable = unreadable.map(|(path, error)| json!({"path": path, "error": error}));
        let mut json = json!({
            "batch_id": self.batch_id,
            "uploaded": self.uploaded,
            "already_there": self.present,
            "skipped_count": self.count_skipped(),
            "skipped": skipped.collect::<Vec<_>>(),
            "unreadable": unreadable.collect::<Vec<_>>(),
        });
        if let Some(batch) = &self.batch {
            json["batch"] = batch.clone();
        }
        json
    }
}
