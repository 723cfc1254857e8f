//! Reads of several jobs.
//!
//! | jobs | read by |
//! | --- | --- |
//! | a batch's jobs | the index over batch and status |
//! | jobs with given ids | the table |
//! | a complete job with the same document and settings | the index over fingerprints |
//!
//! A global secondary index is eventually consistent. It may miss the newest writes
//! to the table.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;

use super::table::{Jobs, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, WITHOUT_RESULT, attribute, decode};
use crate::aws::update::text;
use crate::domain::batch::cursor::{Cursor, Select};
use crate::domain::batch::shard::shard_name;
use crate::domain::batch::tally::{Entry, Tally};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob, Usage};
use crate::domain::limits::{BATCH_GET_ROUNDS, BATCH_SHARDS};

/// The index over `batch_shard` and `status`.
pub const BATCH_INDEX: &str = "batch-index";
/// The index over `fingerprint`.
pub const FINGERPRINT_INDEX: &str = "fingerprint-index";

const QUERY: &str = "dynamodb:Query";

/// Keys of one BatchGetItem. The operation accepts 100 keys, but its response ends
/// at 16 MB and an item may have 400 KB.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const KEYS_MAX: usize = 25;

#[derive(Deserialize)]
struct EntryItem {
    job_id: JobId,
    status: Status,
    #[serde(default)]
    usage: Usage,
    created_at: Timestamp,
    completed_at: Option<Timestamp>,
}

/// A page of a batch's jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The jobs, as the index shows them.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl Jobs {
    /// Counts a batch's jobs, as the index shows them.
    pub async fn tally(&self, batch_id: &BatchId, now: Timestamp) -> Result<Tally, Unavailable> {
        let mut tally = Tally::default();
        tally.add(self.entries(batch_id).await?, now);
        Ok(tally)
    }

    /// Reads all jobs of a batch. A job may occur several times; its last entry is
    /// the newest.
    ///
    /// Each index partition is read three times, because a job may change its status
    /// during the reads:
    ///
    /// ```text
    /// reads    unfinished                  ended           unfinished
    /// job a    found         ends          found again
    /// job b    not found     is retried    not found       found
    /// ```
    pub(super) async fn entries(&self, batch_id: &BatchId) -> Result<Vec<Entry>, Unavailable> {
        let shards = (0..BATCH_SHARDS).map(|shard| async move {
            let mut entries = self.query_all(batch_id, shard, Select::Unfinished).await?;
            entries.extend(self.query_all(batch_id, shard, Select::Ended).await?);
            entries.extend(self.query_all(batch_id, shard, Select::Unfinished).await?);
            Ok::<_, Unavailable>(entries)
        });
        Ok(try_join_all(shards).await?.concat())
    }

    async fn query_all(&self, batch_id: &BatchId, shard: u32, select: Select) -> Result<Vec<Entry>, Unavailable> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let (more, last) = self.query_page(batch_id, shard, select, after, None).await?;
            entries.extend(more);
            after = last;
            if after.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Reads a page of a batch's jobs, at most `limit`, from the cursor `from` on.
    pub async fn get_page(
        &self,
        batch_id: &BatchId,
        select: Select,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        let mut at = from.unwrap_or_default();
        let mut entries = Vec::new();
        while at.shard < BATCH_SHARDS {
            let after = at.after.take().map(|(status, job_id)| start_key(batch_id, at.shard, status, &job_id));
            let (more, last) = self.query_page(batch_id, at.shard, select, after, Some(limit - entries.len())).await?;
            entries.extend(more);
            if last.is_none() {
                at = Cursor { shard: at.shard + 1, after: None };
            } else if let Some(entry) = entries.last() {
                at.after = Some((entry.status, entry.job_id.clone()));
            }
            if entries.len() >= limit {
                break;
            }
        }
        Ok(Page { entries, next: (at.shard < BATCH_SHARDS).then_some(at) })
    }

    async fn query_page(
        &self,
        batch_id: &BatchId,
        shard: u32,
        select: Select,
        after: Option<Item>,
        limit: Option<usize>,
    ) -> Result<(Vec<Entry>, Option<Item>), Unavailable> {
        // The sort key compares text: `pending` and `processing` follow `cancelled`,
        // `complete` and `failed`.
        let (condition, status) = match select {
            Select::All => ("#shard = :shard", None),
            Select::Only(status) => ("#shard = :shard AND #status = :status", Some(status)),
            Select::Unfinished => ("#shard = :shard AND #status >= :status", Some(Status::Pending)),
            Select::Ended => ("#shard = :shard AND #status < :status", Some(Status::Pending)),
        };
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BATCH_INDEX)
            .key_condition_expression(condition)
            .expression_attribute_names("#shard", "batch_shard")
            .expression_attribute_values(":shard", text(shard_name(batch_id, shard)))
            .set_exclusive_start_key(after)
            .set_limit(limit.and_then(|limit| limit.max(1).try_into().ok()));
        if let Some(status) = status {
            request = request
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":status", attribute(&status));
        }
        let response = request.send().await.map_err(|error| Unavailable::new(QUERY, &error))?;
        let entries = response.items.unwrap_or_default().into_iter().map(|item| {
            let EntryItem { job_id, status, usage, created_at, completed_at } =
                serde_dynamo::from_item(item).map_err(|_| unreadable())?;
            Ok(Entry { job_id, status, usage, created_at, completed_at })
        });
        Ok((entries.collect::<Result<_, _>>()?, response.last_evaluated_key))
    }

    /// Reads stored jobs by their ids, consistently. The order of the ids is not
    /// kept, and ids without a stored job are left out.
    pub async fn get_many(&self, job_ids: &[JobId]) -> Result<Vec<StoredJob>, Unavailable> {
        self.get_attributes(job_ids, &[]).await
    }

    /// Reads stored jobs as [`get_many`](Self::get_many) does, without their large
    /// attributes. A result that is stored in the item reads as null, and the analysis
    /// reads as `None`.
    pub async fn get_many_without_results(&self, job_ids: &[JobId]) -> Result<Vec<StoredJob>, Unavailable> {
        self.get_attributes(job_ids, &WITHOUT_RESULT).await
    }

    /// The ids may repeat: a job that changes its status while the index is read has
    /// several entries. BatchGetItem refuses a repeated key.
    async fn get_attributes(&self, job_ids: &[JobId], attributes: &[&str]) -> Result<Vec<StoredJob>, Unavailable> {
        let distinct: Vec<&JobId> = job_ids.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let requests = distinct.chunks(KEYS_MAX).map(|ids| self.batch_get(ids, attributes));
        Ok(try_join_all(requests).await?.into_iter().flatten().collect())
    }

    /// A response ends at 16 MB and names the keys that it did not process; a further
    /// round reads these, at most [`BATCH_GET_ROUNDS`].
    async fn batch_get(&self, job_ids: &[&JobId], attributes: &[&str]) -> Result<Vec<StoredJob>, Unavailable> {
        let keys = job_ids.iter().map(|id| Item::from([("job_id".to_owned(), text(id.as_str()))])).collect();
        let mut keys_and_attributes = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
        if !attributes.is_empty() {
            let names = attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect();
            let placeholders: Vec<String> = attributes.iter().map(|name| format!("#{name}")).collect();
            keys_and_attributes = keys_and_attributes
                .projection_expression(placeholders.join(", "))
                .set_expression_attribute_names(Some(names));
        }
        let mut unprocessed = keys_and_attributes.build().ok();
        let mut stored_jobs = Vec::with_capacity(job_ids.len());
        for _ in 0..BATCH_GET_ROUNDS {
            let Some(keys) = unprocessed.take() else { return Ok(stored_jobs) };
            let response = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await
                .map_err(|error| Unavailable::new("dynamodb:BatchGetItem", &error))?;
            for item in response.responses.unwrap_or_default().into_values().flatten() {
                stored_jobs.push(decode(item).ok_or_else(unreadable)?);
            }
            unprocessed = response.unprocessed_keys.unwrap_or_default().into_values().next();
        }
        match unprocessed {
            None => Ok(stored_jobs),
            Some(_) => Err(Unavailable { service: "dynamodb:BatchGetItem", code: "UnprocessedKeys".to_owned() }),
        }
    }

    /// Finds a complete job that analysed the same document in the same way.
    pub async fn find_by_fingerprint(&self, fingerprint: &str) -> Result<Option<StoredJob>, Unavailable> {
        let response = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(FINGERPRINT_INDEX)
            .key_condition_expression("#fingerprint = :fingerprint")
            .expression_attribute_names("#fingerprint", "fingerprint")
            .expression_attribute_values(":fingerprint", text(fingerprint))
            .limit(1)
            .send()
            .await
            .map_err(|error| Unavailable::new(QUERY, &error))?;
        let id = response.items.unwrap_or_default().into_iter().next().and_then(|mut item| item.remove("job_id"));
        match id {
            Some(AttributeValue::S(id)) => self.get(&id.parse().map_err(|_| unreadable())?).await,
            _ => Ok(None),
        }
    }
}

fn start_key(batch_id: &BatchId, shard: u32, status: Status, job_id: &JobId) -> Item {
    Item::from([
        ("batch_shard".to_owned(), text(shard_name(batch_id, shard))),
        ("status".to_owned(), attribute(&status)),
        ("job_id".to_owned(), text(job_id.as_str())),
    ])
}
