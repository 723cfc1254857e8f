//! Pages of a batch's jobs, and of the batches.

use std::collections::HashMap;
use std::str::FromStr;

use lambda_http::{Request, RequestExt};
use serde_json::{Value, json};

use super::holds::pause_view;
use super::problem::Problem;
use super::view::job_view;
use super::{Answer, Producer};
use crate::domain::batch::cursor::{Page, Select};
use crate::domain::batch::filter::Filter;
use crate::domain::evidence::EvidenceStatus;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::limits::{FILE_NAME_MAX_BYTES, FILTER_CODE_MAX_BYTES, LABEL_MAX_BYTES, PAGE_DEFAULT, PAGE_MAX};

/// Whether jobs are read with their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    WithResults,
    WithoutResults,
}

impl Producer {
    /// `GET /batches/{batch_id}/jobs`: the jobs that match the query's filter, without
    /// their results.
    pub(super) async fn list_jobs(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let filter = read_filter(request, Select::All)?;
        let page = self.read_page(request, batch_id, &filter).await?;
        let mut rows = self.read_jobs(&page.job_ids, Fetch::WithoutResults).await?;
        rows.retain(|row| filter.matches(row));
        let data = rows.into_iter().map(|row| {
            let mut view = job_view(row);
            view.remove("result");
            Value::Object(view)
        });
        Ok(list_answer(data.collect(), page.next))
    }

    /// `GET /batches`: the stored batches, newest first, without their counts.
    pub(super) async fn list_batches(&self, request: &Request) -> Result<Answer, Problem> {
        let (limit, from) = (read_limit(request)?, read_cursor(request)?);
        let page = self.jobs.list_batches(from.as_ref(), limit).await?;
        let data = page.batches.into_iter().map(|batch| {
            let mut view = json!({"batch_id": batch.batch_id, "created_at": batch.created_at});
            if let Some(at) = batch.cancelled_at {
                view["cancelled_at"] = json!(at);
            }
            if let Some(pause) = batch.paused.filter(|_| batch.cancelled_at.is_none()) {
                view["paused"] = pause_view(&pause);
            }
            view
        });
        Ok(list_answer(data.collect(), page.next))
    }

    /// Reads the page of the query's `limit` and `cursor`. A batch that is unknown, and not
    /// only empty, is a problem.
    pub(super) async fn read_page(
        &self,
        request: &Request,
        batch_id: &BatchId,
        filter: &Filter,
    ) -> Result<Page, Problem> {
        let (limit, cursor) = (read_limit(request)?, read_cursor(request)?);
        let page = self.jobs.get_page(batch_id, filter, cursor, limit).await?;
        if page.job_ids.is_empty() {
            self.check_batch_exists(batch_id).await?;
        }
        Ok(page)
    }

    /// Reads stored jobs, in the order of their ids.
    pub(super) async fn read_jobs(&self, ids: &[JobId], fetch: Fetch) -> Result<Vec<StoredJob>, Problem> {
        let rows = match fetch {
            Fetch::WithResults => self.jobs.get_many(ids).await,
            Fetch::WithoutResults => self.jobs.get_many_without_results(ids).await,
        };
        let rows = rows?.into_iter().map(|row| (row.job_id.clone(), row));
        let mut rows: HashMap<JobId, StoredJob> = rows.collect();
        Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
    }
}

/// A page of a list, with the cursor of the next page.
fn list_answer(data: Vec<Value>, next: Option<impl ToString>) -> Answer {
    let mut body = json!({"data": data, "has_more": next.is_some()});
    if let Some(next) = next {
        body["next_cursor"] = json!(cursor_text(&next));
    }
    Answer::json(200, body)
}

/// Reads the query's `limit`.
fn read_limit(request: &Request) -> Result<usize, Problem> {
    match query_parameter(request, "limit")? {
        None => Ok(PAGE_DEFAULT),
        Some(text) => parse_limit(&text)
            .ok_or_else(|| Problem::invalid("limit", format!("`limit` must be a number from 1 to {PAGE_MAX}"))),
    }
}

/// The start of every cursor: its version, so that no release reads the position of another
/// walk. A release that changes the order or the partitions of a walk changes the number.
const CURSOR_VERSION: &str = "v1-";

/// The text of a cursor for callers.
pub(super) fn cursor_text(position: &impl ToString) -> String {
    format!("{CURSOR_VERSION}{}", position.to_string())
}

/// Reads the query's `cursor`.
fn read_cursor<T: FromStr>(request: &Request) -> Result<Option<T>, Problem> {
    query_parameter(request, "cursor")?.map(|text| parse_cursor(&text)).transpose()
}

fn parse_cursor<T: FromStr>(text: &str) -> Result<T, Problem> {
    let number = |text: &str| text.strip_prefix('v')?.split_once('-')?.0.parse::<u32>().ok();
    match text.strip_prefix(CURSOR_VERSION).map(str::parse) {
        Some(Ok(position)) => Ok(position),
        None if number(text).is_some() => {
            let detail = "`cursor` is of another version of Docket; begin again with the first page";
            Err(Problem::invalid("cursor", detail))
        }
        Some(Err(_)) | None => {
            let detail = "`cursor` must be the next cursor of the previous page of this list";
            Err(Problem::invalid("cursor", detail))
        }
    }
}

/// Only digits are a limit; `parse` alone would accept `+7` too.
fn parse_limit(text: &str) -> Option<usize> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads the query's filter. `all` are the statuses that the list has without `status`.
pub(super) fn read_filter(request: &Request, all: Select) -> Result<Filter, Problem> {
    let select = match query_parameter(request, "status")? {
        None => all,
        Some(text) => match text.parse::<Status>() {
            Ok(status) if all.includes(status) => Select::Only(status),
            _ => {
                let statuses = match all {
                    Select::Ended => "complete, failed or cancelled",
                    _ => "pending, processing, complete, failed or cancelled",
                };
                return Err(Problem::invalid("status", format!("`status` must be {statuses}")));
            }
        },
    };
    let read_text = |name: &str, max_bytes: usize| match query_parameter(request, name)? {
        Some(text) if text.is_empty() || text.len() > max_bytes => {
            let detail = format!("`{name}` must have 1 to {max_bytes} bytes; it has {}", text.len());
            Err(Problem::invalid(name, detail))
        }
        text => Ok(text),
    };
    Ok(Filter {
        select,
        label: read_text("label", LABEL_MAX_BYTES)?,
        error_code: read_text("error_code", FILTER_CODE_MAX_BYTES)?,
        evidence: read_evidence(request)?,
        name_contains: read_text("name_contains", FILE_NAME_MAX_BYTES)?,
    })
}

fn read_evidence(request: &Request) -> Result<Option<EvidenceStatus>, Problem> {
    let Some(text) = query_parameter(request, "evidence")? else { return Ok(None) };
    let found = EvidenceStatus::ALL.into_iter().find(|status| status.as_str() == text);
    let invalid = || Problem::invalid("evidence", "`evidence` must be verified, unverified or unverifiable");
    found.ok_or_else(invalid).map(Some)
}

/// The statuses of jobs that a retry selects; the first without a filter.
pub(super) const RETRIED_STATUSES: [Status; 3] = [Status::Failed, Status::Pending, Status::Processing];
/// The statuses of jobs that a cancellation selects.
pub(super) const CANCELLED_STATUSES: [Status; 2] = [Status::Pending, Status::Processing];

/// Reads the query's filter of a change. A retry selects failed jobs without `status`, and a
/// cancellation all unfinished ones. A part of the filter that no such job has is rejected,
/// because the change would have no effect.
pub(super) fn read_change_filter(request: &Request, statuses: &[Status]) -> Result<Filter, Problem> {
    let filter = read_filter(request, Select::All)?;
    let select = match filter.select {
        Select::Only(status) if statuses.contains(&status) => filter.select,
        Select::Only(_) => {
            let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
            return Err(Problem::invalid("status", format!("`status` must be {}", names.join(" or "))));
        }
        _ if statuses.contains(&Status::Failed) => Select::Only(Status::Failed),
        _ => Select::Unfinished,
    };
    for (name, is_set) in [("label", filter.label.is_some()), ("evidence", filter.evidence.is_some())] {
        if is_set {
            let detail = format!("`{name}` selects complete jobs, which do not change; remove it");
            return Err(Problem::invalid(name, detail));
        }
    }
    if filter.error_code.is_some() && select != Select::Only(Status::Failed) {
        return Err(Problem::invalid("error_code", "`error_code` selects failed jobs; remove it"));
    }
    Ok(Filter { select, ..filter })
}

/// Reads a query parameter. A repeated parameter is rejected: the producer cannot know
/// which value the caller means.
pub(super) fn query_parameter(request: &Request, name: &str) -> Result<Option<String>, Problem> {
    let parameters = request.query_string_parameters();
    match parameters.all(name).as_deref() {
        None | Some([]) => Ok(None),
        Some([text]) => Ok(Some((*text).to_owned())),
        Some(_) => Err(Problem::invalid(name, format!("`{name}` must be given once"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::batch::cursor::Cursor;
    use lambda_http::Body;

    #[test]
    fn repeated_query_parameter_is_rejected() {
        let request = Request::new(Body::Empty).with_query_string_parameters(std::collections::HashMap::from([
            ("once".to_owned(), vec!["7".to_owned()]),
            ("empty".to_owned(), vec![String::new()]),
            ("twice".to_owned(), vec!["7".to_owned(), "8".to_owned()]),
        ]));
        assert_eq!(query_parameter(&request, "once"), Ok(Some("7".to_owned())));
        assert_eq!(query_parameter(&request, "empty"), Ok(Some(String::new())), "an empty value is a value");
        assert_eq!(query_parameter(&request, "none"), Ok(None));
        assert_eq!(query_parameter(&request, "twice").expect_err("rejected").status(), 422);
    }

    #[test]
    fn filter_of_a_change_selects_jobs_that_can_change() {
        let filter = |statuses: &[Status], query: &[(&str, &str)]| {
            let query = query.iter().map(|(name, value)| (name.to_string(), vec![value.to_string()]));
            let query: std::collections::HashMap<_, _> = query.collect();
            let request = Request::new(Body::Empty).with_query_string_parameters(query);
            read_change_filter(&request, statuses).map_err(|problem| problem.status())
        };
        let retried = |query: &[(&str, &str)]| filter(&RETRIED_STATUSES, query);
        let cancelled = |query: &[(&str, &str)]| filter(&CANCELLED_STATUSES, query);
        assert_eq!(retried(&[]).unwrap(), Filter::from(Select::Only(Status::Failed)));
        assert_eq!(retried(&[("error_code", "c")]).unwrap().error_code.as_deref(), Some("c"));
        assert_eq!(retried(&[("status", "pending")]).unwrap(), Filter::from(Select::Only(Status::Pending)));
        assert_eq!(cancelled(&[]).unwrap(), Filter::from(Select::Unfinished));
        assert_eq!(cancelled(&[("name_contains", "a")]).unwrap().name_contains.as_deref(), Some("a"));
        let rejected: [&[(&str, &str)]; 3] =
            [&[("status", "complete")], &[("label", "l")], &[("status", "pending"), ("error_code", "c")]];
        assert!(rejected.iter().all(|query| retried(query) == Err(422)));
        assert!([("status", "failed"), ("error_code", "c")].iter().all(|query| cancelled(&[*query]) == Err(422)));
    }

    #[test]
    fn cursor_of_another_version_is_refused_with_its_reason() {
        let position: Cursor = "2.job-1".parse().unwrap();
        assert_eq!(parse_cursor(&cursor_text(&position)), Ok(position));
        let detail = |text: &str| parse_cursor::<Cursor>(text).expect_err(text).detail;
        assert!(detail("v2-2.job-1").contains("another version"));
        for wrong in ["2.job-1", "v1-", "v1-x", "vx-2", "v1-64", ""] {
            assert!(detail(wrong).contains("previous page"), "{wrong}");
        }
    }

    #[test]
    fn limit_is_digits_within_the_range() {
        assert_eq!((parse_limit("1"), parse_limit("500")), (Some(1), Some(PAGE_MAX)));
        for wrong in ["", "0", "501", "+7", "-1", "7.0", " 7", "\u{664}"] {
            assert_eq!(parse_limit(wrong), None, "{wrong}");
        }
    }
}
