//! A batch's jobs, page by page.

use std::collections::HashMap;

use lambda_http::{Request, RequestExt};
use serde_json::{Value, json};

use super::batches::unavailable;
use super::problem::Problem;
use super::view::view;
use super::{Answer, Producer};
use crate::aws::jobs::Page;
use crate::domain::batch::{Cursor, Select};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::domain::row::{Row, Status};

impl Producer {
    /// `GET /batches/{batch_id}/jobs?status=…&limit=…&cursor=…`, without the
    /// results.
    pub(super) async fn list_jobs(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let select = match parameter(request, "status") {
            None => Select::All,
            Some(text) => Select::Only(text.parse::<Status>().map_err(|()| {
                Problem::invalid("status", "is none of pending, processing, complete, failed, cancelled")
            })?),
        };
        let (page, rows) = self.rows(request, batch_id, select).await?;
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

    /// The rows of a page that the caller asks for, in the page's order.
    pub(super) async fn rows(
        &self,
        request: &Request,
        batch_id: &BatchId,
        select: Select,
    ) -> Result<(Page, Vec<Row>), Problem> {
        let limit = match parameter(request, "limit").map(|text| text.parse()) {
            None => PAGE_DEFAULT,
            Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => limit,
            Some(_) => return Err(Problem::invalid("limit", format!("must be a number from 1 to {PAGE_MAX}"))),
        };
        let cursor = parameter(request, "cursor").map(|text| {
            let detail = "is not a cursor; take `next_cursor` of the page before";
            text.parse::<Cursor>().map_err(|()| Problem::invalid("cursor", detail))
        });
        let cursor = cursor.transpose()?;
        let page = self.jobs.page(batch_id, select, cursor, limit).await.map_err(unavailable)?;
        let ids: Vec<JobId> = page.entries.iter().map(|entry| entry.job_id.clone()).collect();
        let rows = self.jobs.get_many(&ids).await.map_err(unavailable)?;
        let mut rows: HashMap<JobId, Row> = rows.into_iter().map(|row| (row.job_id.clone(), row)).collect();
        let rows = ids.iter().filter_map(|id| rows.remove(id)).collect();
        Ok((page, rows))
    }
}

/// A parameter of the query; an empty one counts as not given.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let parameters = request.query_string_parameters();
    parameters.first(name).filter(|text| !text.is_empty()).map(str::to_owned)
}
