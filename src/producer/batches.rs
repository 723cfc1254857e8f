//! Batches: create one with settings for its jobs, view it, and cancel it.

use std::time::Instant;

use futures_util::FutureExt;
use lambda_http::Request;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::holds::{hold_view, pause_view};
use super::many::run_concurrently;
use super::pages::{CANCELLED_STATUSES, read_change_filter};
use super::problem::Problem;
use super::request::{check_analysis, read_body};
use super::{Answer, Producer};
use crate::aws::jobs::CreatedBatch;
use crate::clock::now;
use crate::domain::analysis::AnalysisRequest;
use crate::domain::batch::Batch;
use crate::domain::batch::cursor::Select;
use crate::domain::batch::filter::Filter;
use crate::domain::batch::shard::Group;
use crate::domain::batch::tally::{EvidenceCounts, Tally};
use crate::domain::document::sha256_hex;
use crate::domain::ids::BatchId;
use crate::domain::json;
use crate::domain::limits::{CHANGE_TIME, PAGE_MAX};
use crate::domain::message::body::check_metadata;

#[derive(Deserialize)]
struct Fields {
    batch_id: BatchId,
    #[serde(default, deserialize_with = "json::object_or_null")]
    analysis: Option<AnalysisRequest>,
    metadata: Option<Map<String, Value>>,
    deduplicate: Option<bool>,
}

impl Producer {
    /// `POST /batches`. A repeated request returns the same batch.
    pub(super) async fn create_batch(&self, request: &Request, path: &str) -> Result<Answer, Problem> {
        let fields: Fields = json::read_strictly(read_body(request)?)?;
        check_analysis(fields.analysis.as_ref(), &self.allowed)?;
        fields.metadata.iter().try_for_each(check_metadata)?;
        let settings = json!([fields.analysis, fields.metadata, fields.deduplicate]).to_string();
        let batch = Batch {
            batch_id: fields.batch_id,
            analysis: fields.analysis,
            metadata: fields.metadata,
            deduplicate: fields.deduplicate,
            request_hash: Some(sha256_hex(settings.as_bytes())),
            created_at: now(),
            cancelled_at: None,
            paused: None,
        };
        let batch = match self.jobs.create_batch(&batch).await? {
            CreatedBatch::New(batch) => *batch,
            CreatedBatch::Existing(existing) if existing.request_hash == batch.request_hash => *existing,
            CreatedBatch::Existing(_) => {
                return Err(Problem::invalid_state(
                    None,
                    "the batch was created with another request; use another batch_id",
                ));
            }
        };
        let location = format!("{}/{}", path.trim_end_matches('/'), batch.batch_id);
        Ok(Answer::json(201, self.batch_view(&batch.batch_id).await?).with_header("location", location))
    }

    /// `GET /batches/{batch_id}`.
    pub(super) async fn get_batch(&self, batch_id: &BatchId) -> Result<Answer, Problem> {
        Ok(Answer::json(200, self.batch_view(batch_id).await?))
    }

    /// `DELETE /batches/{batch_id}`: no job of the batch starts any more, and the result
    /// of a running job is dropped.
    ///
    /// After [`CHANGE_TIME`], the answer has `has_more`: the caller repeats the request,
    /// which cancels the remaining jobs.
    ///
    /// With a filter, only the unfinished jobs that match it are cancelled, and the batch takes
    /// further jobs.
    pub(super) async fn cancel_batch(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        let filter = read_change_filter(request, &CANCELLED_STATUSES)?;
        self.batch_view(batch_id).await?;
        if filter != Filter::from(Select::Unfinished) {
            let has_more = self.cancel_matching(batch_id, &filter).await?;
            let mut view = self.batch_view(batch_id).await?;
            view["has_more"] = json!(has_more);
            return Ok(Answer::json(200, view));
        }
        self.jobs.cancel_batch(batch_id, now()).await?;
        let (mut cursor, until) = (None, Instant::now() + CHANGE_TIME);
        let has_more = loop {
            let page = self.jobs.get_unfinished(Group::Batch(batch_id), cursor, PAGE_MAX).await?;
            let cancelled = page
                .job_ids
                .into_iter()
                .map(|job_id| async move { self.jobs.cancel(&job_id, now()).await.map_err(Problem::from) }.boxed());
            run_concurrently(cancelled.collect()).await?;
            cursor = page.next;
            if cursor.is_none() || Instant::now() >= until {
                break cursor.is_some();
            }
        };
        let mut view = self.batch_view(batch_id).await?;
        view["has_more"] = json!(has_more);
        Ok(Answer::json(200, view))
    }

    /// The batch as the API returns it: its settings, and the counts of its jobs.
    pub(super) async fn batch_view(&self, batch_id: &BatchId) -> Result<Value, Problem> {
        let now = now();
        let (batch, tally) = futures_util::try_join!(self.jobs.get_batch(batch_id), self.jobs.tally(batch_id, now))?;
        if batch.is_none() && tally.counts.total == 0 {
            return Err(Problem::no_such_batch());
        }
        let batch = batch.as_ref();
        let cancelled_at = batch.and_then(|batch| batch.cancelled_at);
        let status = tally.status(cancelled_at.is_some());
        let mut view = json!({
            "batch_id": batch_id,
            "status": status,
            "request_counts": tally.counts,
            "usage": tally.usage,
        });
        let hold = match tally.counts.unfinished() {
            0 => None,
            _ => self.find_hold(batch.and_then(|batch| batch.analysis.as_ref()?.model_id.as_deref())).await?,
        };
        let completed_at = tally.last_completed_at.filter(|_| tally.counts.unfinished() == 0);
        for (name, value) in [
            ("cost_usd", json!(self.cost(&tally))),
            ("evidence", json!((tally.evidence != EvidenceCounts::default()).then_some(tally.evidence))),
            ("metadata", json!(batch.and_then(|batch| batch.metadata.as_ref()))),
            ("analysis", json!(batch.and_then(|batch| batch.analysis.as_ref()))),
            ("deduplicate", json!(batch.and_then(|batch| batch.deduplicate))),
            ("created_at", json!(batch.map(|batch| batch.created_at).or(tally.first_created_at))),
            ("first_job_at", json!(tally.first_created_at)),
            ("last_completed_at", json!(tally.last_completed_at)),
            ("completed_at", json!(completed_at)),
            ("cancelled_at", json!(cancelled_at)),
            ("hold", json!(hold.as_ref().map(hold_view))),
            ("paused", json!(batch.and_then(|batch| batch.paused.as_ref()).map(pause_view))),
            ("jobs_per_minute", json!(tally.rate_per_minute(now))),
            ("estimated_completion_at", json!(tally.estimated_completion(now))),
        ] {
            if !value.is_null() {
                view[name] = value;
            }
        }
        Ok(view)
    }

    /// Checks that the batch is stored or has a job.
    pub(super) async fn check_batch_exists(&self, batch_id: &BatchId) -> Result<(), Problem> {
        if self.jobs.get_batch(batch_id).await?.is_some() {
            return Ok(());
        }
        let first = self.jobs.get_page(batch_id, &Filter::default(), None, 1).await?;
        if first.job_ids.is_empty() { Err(Problem::no_such_batch()) } else { Ok(()) }
    }

    /// The cost in US dollars; `None` when no prices are configured.
    fn cost(&self, tally: &Tally) -> Option<f64> {
        let prices = self.prices?;
        let cost = |tokens: u64, per_million: f64| tokens as f64 * per_million / 1e6;
        Some(cost(tally.usage.input_tokens, prices.input) + cost(tally.usage.output_tokens, prices.output))
    }
}
