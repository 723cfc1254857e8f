//! Filters of a batch's jobs.

use serde::{Deserialize, Serialize};

use super::cursor::Select;
use crate::domain::evidence::{Evidence, EvidenceStatus};
use crate::domain::job::stored::{State, Status, StoredJob};
use crate::domain::message::s3_event::uploaded_name;

/// A filter of a batch's jobs. A job matches if it matches every part of the filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The statuses of the jobs.
    pub select: Select,
    /// The label of a complete job; see [`label_of`](crate::domain::job::stored::label_of).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The error code of a failed job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The state of the evidence of a complete job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceStatus>,
    /// A part of the name of an uploaded document, in the same case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_contains: Option<String>,
}

impl From<Select> for Filter {
    fn from(select: Select) -> Self {
        Self { select, ..Self::default() }
    }
}

impl Filter {
    /// The statuses of the jobs that can match: only a complete job has a label, and only a
    /// failed one an error code.
    pub fn possible_statuses(&self) -> Select {
        match self {
            Self { label: Some(_), select: Select::All | Select::Ended, .. }
            | Self { evidence: Some(_), select: Select::All | Select::Ended, .. } => Select::Only(Status::Complete),
            Self { error_code: Some(_), select: Select::All | Select::Ended, .. } => Select::Only(Status::Failed),
            _ => self.select,
        }
    }

    /// Whether the filter has no part but the statuses.
    pub fn is_by_status_alone(&self) -> bool {
        let Self { select: _, label, error_code, evidence, name_contains } = self;
        label.is_none() && error_code.is_none() && evidence.is_none() && name_contains.is_none()
    }

    /// Whether a stored job matches. An index is eventually consistent, so it may list a job
    /// that has changed since.
    pub fn matches(&self, job: &StoredJob) -> bool {
        let (label, evidence, error_code) = match &job.state {
            State::Complete(done) => (done.label.as_deref(), done.evidence.as_ref().map(Evidence::status), None),
            State::Failed { error, .. } => (None, None, Some(error.code.as_str())),
            State::Pending | State::Processing { .. } | State::Cancelled { .. } => (None, None, None),
        };
        let name = job.document.key().and_then(uploaded_name).unwrap_or_default();
        self.select.includes(job.state.status())
            && self.label.as_deref().is_none_or(|wanted| label == Some(wanted))
            && self.evidence.is_none_or(|wanted| evidence == Some(wanted))
            && self.error_code.as_deref().is_none_or(|wanted| error_code == Some(wanted))
            && self.name_contains.as_deref().is_none_or(|part| name.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::DocumentRecord;
    use crate::domain::document::location::S3Location;
    use crate::domain::failure::Failure;
    use jiff::Timestamp;

    fn failed(code: &str, key: &str) -> StoredJob {
        let at = S3Location { bucket: "b".into(), key: key.into(), version_id: None, sha256: None };
        StoredJob {
            state: State::Failed { error: Failure::new(code, "m"), completed_at: Timestamp::UNIX_EPOCH },
            document: DocumentRecord::unread(&at),
            ..StoredJob::new("j".parse().unwrap(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn job_must_match_every_part_of_a_filter() {
        let job = failed("document_empty", "uploads/leases/Flat 7.pdf");
        let filter = Filter { error_code: Some("document_empty".into()), ..Filter::default() };
        assert!(filter.matches(&job) && Filter::default().matches(&job));
        assert!(Filter { name_contains: Some("Flat".into()), ..filter.clone() }.matches(&job));
        assert!(!Filter { name_contains: Some("flat".into()), ..filter.clone() }.matches(&job));
        assert!(!Filter { select: Select::Only(Status::Complete), ..filter.clone() }.matches(&job));
        assert!(!Filter { label: Some("lease".into()), ..filter }.matches(&job));
        assert!(!Filter { error_code: Some("another".into()), ..Filter::default() }.matches(&job));
        assert!(Filter::from(Select::Ended).matches(&job) && !Filter::from(Select::Unfinished).matches(&job));
    }

    #[test]
    fn label_and_error_code_narrow_the_statuses() {
        let statuses = |label: Option<&str>, code: Option<&str>, select| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let filter = Filter { select, label: text(label), error_code: text(code), ..Filter::default() };
            filter.possible_statuses()
        };
        assert_eq!(statuses(Some("a"), None, Select::All), Select::Only(Status::Complete));
        assert_eq!(statuses(None, Some("c"), Select::Ended), Select::Only(Status::Failed));
        assert_eq!(statuses(None, Some("c"), Select::Only(Status::Pending)), Select::Only(Status::Pending));
        assert_eq!(statuses(None, None, Select::Ended), Select::Ended);
    }
}
