//! A request that the page cannot answer, as a page with the reason.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::views::layout::failure_page;
use crate::error::CommandError;

/// A status and the reason.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    reason: String,
}

impl Failure {
    /// Nothing has this id.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: reason.into() }
    }

    /// The request is not valid.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, reason: reason.into() }
    }

    /// The status and the reason as plain text, for the script.
    pub fn into_text(self) -> Response {
        (self.status, self.reason).into_response()
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let status = match error {
            CommandError::Usage(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self { status, reason: error.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Html(failure_page(&self.reason))).into_response()
    }
}
