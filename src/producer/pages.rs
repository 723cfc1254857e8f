//! Pages of a batch's jobs.

use std::collections::HashMap;

use lambda_http::{Request, RequestExt};
use serde_json::{Value, json};

use super::problem::Problem;
use super::view::job_view;
use super::{Answer, Producer};
use crate::domain::batch::cursor::{Page, Select};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::limits::{PAGE_DEFAULT, PAGE_MAX};

/// Whether jobs are read with their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    WithResults,
    WithoutResults,
}

impl Producer {
    /// `GET /batches/{batch_id}/jobs?status=…&limit=…&cursor=…`: jobs without their
    /// results.
    pub(super) async fn list_jobs(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let select = match query_parameter(request, "status")? {
            None => Select::All,
            Some(text) => Select::Only(text.parse::<Status>().map_err(|()| {
                Problem::invalid("status", "`status` must be pending, processing, complete, failed or cancelled")
            })?),
        };
        let page = self.read_page(request, batch_id, select).await?;
        let rows = self.read_jobs(&page.job_ids, Fetch::WithoutResults).await?;
        let data = rows.into_iter().map(|row| {
            let mut view = job_view(row);
            view.remove("result");
            Value::Object(view)
        });
        let mut body = json!({"data": data.collect::<Vec<_>>(), "has_more": page.next.is_some()});
        if let Some(next) = page.next {
            body["next_cursor"] = json!(next.to_string());
        }
        Ok(Answer::json(200, body))
    }

    /// Reads the page of the query's `limit` and `cursor`.
    pub(super) async fn read_page(
        &self,
        request: &Request,
        batch_id: &BatchId,
        select: Select,
    ) -> Result<Page, Problem> {
        let limit = match query_parameter(request, "limit")? {
            None => PAGE_DEFAULT,
            Some(text) => parse_limit(&text)
                .ok_or_else(|| Problem::invalid("limit", format!("`limit` must be a number from 1 to {PAGE_MAX}")))?,
        };
        let cursor = query_parameter(request, "cursor")?.map(|text| {
            let detail = "`cursor` must be the next cursor of the previous page of this list";
            text.parse().map_err(|()| Problem::invalid("cursor", detail))
        });
        let cursor = cursor.transpose()?;
        Ok(self.jobs.get_page(batch_id, select, cursor, limit).await?)
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

/// Only digits are a limit; `parse` alone would accept `+7` too.
fn parse_limit(text: &str) -> Option<usize> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads a query parameter. A repeated parameter is rejected: the producer cannot know
/// which value the caller means.
fn query_parameter(request: &Request, name: &str) -> Result<Option<String>, Problem> {
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
    fn limit_is_digits_within_the_range() {
        assert_eq!((parse_limit("1"), parse_limit("500")), (Some(1), Some(PAGE_MAX)));
        for wrong in ["", "0", "501", "+7", "-1", "7.0", " 7", "\u{664}"] {
            assert_eq!(parse_limit(wrong), None, "{wrong}");
        }
    }
}
