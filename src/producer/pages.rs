//! A batch's jobs, page by page.

use std::collections::HashMap;

use lambda_http::{Request, RequestExt};
use serde_json::{Value, json};

use super::problem::Problem;
use super::view::view;
use super::{Answer, Producer};
use crate::aws::jobs::Page;
use crate::domain::batch::cursor::{Cursor, Select};
use crate::domain::batch::tally::Entry;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::limits::{PAGE_DEFAULT, PAGE_MAX};

/// How much of a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    /// All of it.
    Whole,
    /// All but its result.
    WithoutResults,
}

impl Producer {
    /// `GET /batches/{batch_id}/jobs?status=…&limit=…&cursor=…`, without the
    /// results.
    pub(super) async fn list_jobs(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let select = match parameter(request, "status")? {
            None => Select::All,
            Some(text) => Select::Only(text.parse::<Status>().map_err(|()| {
                Problem::invalid("status", "is none of pending, processing, complete, failed, cancelled")
            })?),
        };
        let page = self.page(request, batch_id, select).await?;
        let rows = self.rows(&page.entries, Fetch::WithoutResults).await?;
        let data = rows.into_iter().map(|row| {
            let mut told = view(row);
            told.remove("result");
            Value::Object(told)
        });
        let mut body = json!({"data": data.collect::<Vec<_>>(), "has_more": page.next.is_some()});
        if let Some(next) = page.next {
            body["next_cursor"] = json!(next.to_string());
        }
        Ok(Answer::json(200, body))
    }

    /// The page that the caller asks for.
    pub(super) async fn page(&self, request: &Request, batch_id: &BatchId, select: Select) -> Result<Page, Problem> {
        let limit = match parameter(request, "limit")? {
            None => PAGE_DEFAULT,
            Some(text) => limit(&text)
                .ok_or_else(|| Problem::invalid("limit", format!("must be a number from 1 to {PAGE_MAX}")))?,
        };
        let cursor = parameter(request, "cursor")?.map(|text| {
            let detail = "is not a cursor of this list; take `next_cursor` of the page before";
            cursor_of(select, &text).ok_or_else(|| Problem::invalid("cursor", detail))
        });
        let cursor = cursor.transpose()?;
        Ok(self.jobs.page(batch_id, select, cursor, limit).await?)
    }

    /// The rows of a page's entries, in their order.
    pub(super) async fn rows(&self, entries: &[Entry], fetch: Fetch) -> Result<Vec<StoredJob>, Problem> {
        let ids: Vec<JobId> = entries.iter().map(|entry| entry.job_id.clone()).collect();
        let rows = match fetch {
            Fetch::Whole => self.jobs.get_many(&ids).await,
            Fetch::WithoutResults => self.jobs.get_many_without_results(&ids).await,
        };
        let rows = rows?.into_iter().map(|row| (row.job_id.clone(), row));
        let mut rows: HashMap<JobId, StoredJob> = rows.collect();
        Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
    }
}

/// Digits alone: `parse` would take `+7`, too.
fn limit(text: &str) -> Option<usize> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The table refuses to begin behind a job that is not in the list.
fn cursor_of(select: Select, text: &str) -> Option<Cursor> {
    let cursor: Cursor = text.parse().ok()?;
    let is_ours = cursor.after.as_ref().is_none_or(|(status, _)| select.has(*status));
    is_ours.then_some(cursor)
}

/// A parameter of the query. One that is given twice is refused: whichever was
/// taken, the caller may have meant the other.
fn parameter(request: &Request, name: &str) -> Result<Option<String>, Problem> {
    let parameters = request.query_string_parameters();
    match parameters.all(name).as_deref() {
        None | Some([]) => Ok(None),
        Some([text]) => Ok(Some((*text).to_owned())),
        Some(_) => Err(Problem::invalid(name, "is given more than once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::Body;

    #[test]
    fn a_parameter_is_given_once_or_not_at_all() {
        let request = Request::new(Body::Empty).with_query_string_parameters(std::collections::HashMap::from([
            ("once".to_owned(), vec!["7".to_owned()]),
            ("empty".to_owned(), vec![String::new()]),
            ("twice".to_owned(), vec!["7".to_owned(), "8".to_owned()]),
        ]));
        assert_eq!(parameter(&request, "once"), Ok(Some("7".to_owned())));
        assert_eq!(parameter(&request, "empty"), Ok(Some(String::new())), "and no parameter may be empty");
        assert_eq!(parameter(&request, "none"), Ok(None));
        assert_eq!(parameter(&request, "twice").expect_err("refused").status, 422);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let text = "3.complete.a";
        for (select, is_ours) in [
            (Select::All, true),
            (Select::Ended, true),
            (Select::Only(Status::Complete), true),
            (Select::Only(Status::Failed), false),
            (Select::Unfinished, false),
        ] {
            assert_eq!(cursor_of(select, text).is_some(), is_ours, "{select:?}");
            assert!(cursor_of(select, "3").is_some());
        }
    }

    #[test]
    fn a_limit_is_digits_within_the_pages() {
        assert_eq!((limit("1"), limit("500")), (Some(1), Some(PAGE_MAX)));
        for wrong in ["", "0", "501", "+7", "-1", "7.0", " 7", "\u{664}"] {
            assert_eq!(limit(wrong), None, "{wrong}");
        }
    }
}
