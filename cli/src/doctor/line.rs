//! A line of the report: one check, its status and its remedy.

use serde::Serialize;

use crate::aws::error::AwsError;

/// The status of a check, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// Worth a look, or not checked.
    Warning,
    /// Docket does not work as it should.
    Error,
}

impl Status {
    /// The status as the report shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// The kind of check.
    pub check: &'static str,
    /// The thing that was checked.
    pub subject: String,
    /// The status.
    pub status: Status,
    /// The finding.
    pub detail: String,
    /// The next step; ok lines have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Line {
    pub fn ok(check: &'static str, subject: &str, detail: impl Into<String>) -> Self {
        Self { check, subject: subject.to_owned(), status: Status::Ok, detail: detail.into(), remedy: None }
    }

    pub fn warning(check: &'static str, subject: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warning, remedy: Some(remedy.into()), ..Self::ok(check, subject, detail) }
    }

    pub fn error(check: &'static str, subject: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Error, remedy: Some(remedy.into()), ..Self::ok(check, subject, detail) }
    }

    /// The check could not be made: AWS did not execute the request.
    pub fn not_checked(check: &'static str, subject: &str, error: &AwsError) -> Self {
        let action = error.action;
        if error.is_denied() {
            return Self::warning(
                check,
                subject,
                format!("not checked: AWS denies {action}"),
                format!("Allow {action} for this caller."),
            );
        }
        let remedy = format!("This check needs {action}, which the local AWS and some regions do not offer.");
        Self::warning(check, subject, format!("not checked: {error}"), remedy)
    }
}
